"""Random small networks as C programs under sanitizers: strange shapes, strides, pads, groups, broadcasts."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edgepress.runtime.c_folder import MANIFEST, parse

from . import c_models
from .families import node
from .lowering import make_hub

FLAGS = (
    *("-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)

MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"

/* Buffers of exactly the bytes that are said, so that a step beyond is found. */
int main(int argc, char **argv)
{
    model_context *context = malloc(sizeof *context);
    void *input = malloc(MODEL_INPUT_0_BYTES), *output = malloc(MODEL_OUTPUT_0_BYTES);
    const void *inputs[1];
    void *outputs[1];
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL || fread(input, 1, MODEL_INPUT_0_BYTES, file) != MODEL_INPUT_0_BYTES) return 2;
    fclose(file);
    memset(context, 0x5A, sizeof *context);
    inputs[0] = input;
    outputs[0] = output;
    if (model_invoke(context, inputs, outputs)) return 3;
    fwrite(output, 1, MODEL_OUTPUT_0_BYTES, stdout);
    free(context);
    free(input);
    free(output);
    return 0;
}
"""


def random_hub(seed: int) -> Any:
    """Some layers over a random image: the kinds and sizes come from the seed."""
    rng = np.random.default_rng(seed)
    channels, height, width = (int(n) for n in rng.integers((1, 5, 5), (9, 12, 12)))
    nodes, constants = [], {}
    current, c = "x", channels
    for index in range(int(rng.integers(2, 5))):
        kind = rng.choice(["conv", "depthwise", "pool", "mean_pool", "add", "concat", "act"])
        name = f"v{index}"
        kernel = [int(n) for n in rng.integers(1, 4, 2)]
        pads = [int(n) for n in rng.integers(0, 2, 4)]
        if kind in ("conv", "depthwise"):
            outputs = c if kind == "depthwise" else int(rng.integers(1, 20))
            groups = c if kind == "depthwise" else 1
            constants[f"w{index}"] = _normal(rng, outputs, c // groups, *kernel)
            constants[f"b{index}"] = _normal(rng, outputs)
            strides = [int(n) for n in rng.integers(1, 3, 2)]
            nodes.append(
                node(
                    "Conv",
                    [current, f"w{index}", f"b{index}"],
                    [name],
                    pads=pads,
                    group=groups,
                    strides=strides,
                )
            )
            c = outputs
        elif kind in ("pool", "mean_pool"):
            operator = "MaxPool" if kind == "pool" else "AveragePool"
            nodes.append(node(operator, [current], [name], kernel_shape=[2, 2]))
        elif kind == "add":
            constants[f"w{index}"] = _normal(rng, 1, c, 1, 1)
            nodes.append(node("Add", [current, f"w{index}"], [name]))
        elif kind == "concat":
            nodes.append(node("Concat", [current, current], [name], axis=1))
            c *= 2
        else:
            operator = str(rng.choice(["Sigmoid", "Tanh", "LeakyRelu", "HardSwish"]))
            nodes.append(node(operator, [current], [name]))
        current = name
    nodes.append(node("GlobalAveragePool", [current], ["g"]))
    nodes.append(node("Flatten", ["g"], ["f"]))
    constants["wf"], constants["bf"] = _normal(rng, 5, c), _normal(rng, 5)
    nodes.append(node("Gemm", ["f", "wf", "bf"], ["d"], transB=1))
    nodes.append(node("Softmax", ["d"], ["y"]))
    for number, one in enumerate(nodes):
        one.name = f"n{number}"
    return make_hub(nodes, {"x": (1, channels, height, width)}, ["y"], constants)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def samples(hub: Any, count: int, seed: int) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(seed)
    shape = [d.dim_value for d in hub.graph.input[0].type.tensor_type.shape.dim]
    return [(rng.normal(size=shape).astype(np.float32),) for _ in range(count)]


def run_sanitized(
    hub: Any, folder: Path, compiler: str, flags: Sequence[str] = (), **options: Any
) -> np.ndarray:
    """The raw output of a program built with sanitizers, for a random raw input.

    Raises:
        AssertionError: the program ended with an error; what the sanitizer said is told.
    """
    path = c_models.write(hub, folder, **options)
    facts = parse((path / MANIFEST).read_bytes())
    (path / "main.c").write_text(MAIN)
    rng = np.random.default_rng(0)
    spec = facts.inputs[0]
    raw = rng.normal(size=spec.shape).astype(np.float32)
    if spec.dtype == "int8":
        raw = rng.integers(-128, 128, spec.shape).astype(np.int8)
    (path / "input.bin").write_bytes(raw.tobytes())
    sources = [*facts.sources, "main.c"]
    words = [compiler, *FLAGS, *flags, *sources, "-o", "program", "-lm"]
    subprocess.run(words, cwd=path, check=True, capture_output=True)
    done = subprocess.run(["./program", "input.bin"], cwd=path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:2000]
    output = facts.outputs[0]
    return np.frombuffer(done.stdout, output.dtype).reshape(output.shape)
