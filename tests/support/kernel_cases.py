"""Calls of int8 kernels on random shapes, packed for a core: what they must give by plain sums, and C that makes them.

A case is one convolution, depthwise convolution or dense layer. All cases have buffers of the same sizes, as vectors of
a firmware must; the C program makes the call with exactly the scratch that the layout says.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgepress.compress.quantization.requantize import Multiplier, multiply
from edgepress.export.c.kernels import TARGET, needed
from edgepress.export.c.pack import layout_of, target_header

Array = np.ndarray

X_BYTES, W_BYTES, N_WORDS, Y_BYTES, SCRATCH_BYTES = 4096, 32768, 128, 4096, 8192
CONV, DEPTHWISE, DENSE = 0, 1, 2
KINDS = ("conv", "depthwise", "dense")
AXES = ("batch", "in_h", "in_w", "channels", "out_h", "out_w", "kernel_h", "kernel_w")
AXES += ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_h", "pad_w")

SOURCE = """
#include <string.h>
#include "ep_conv_s8.h"
#include "ep_dense_s8.h"
#include "ep_depthwise_s8.h"

/* p: kind, window, outputs, depth, zero, low, high, the input's zero point, bytes of x, y and scratch, band. */
static void call(const int32_t *p, const int8_t *x, const int8_t *w, const int32_t *c, int8_t *y, int8_t *scratch)
{
    const int32_t n = %(words)d;
    ep_window window;
#if EP_LAYOUT == EP_LAYOUT_SMLAD
    ep_gemm_s8_args gemm = {p[16], p[15], w, c, p[17], p[18], p[19]};
#else
    ep_gemm_s8_args gemm = {p[16], p[15], w, c, c + n, c + 2 * n, p[17], p[18], p[19]};
#endif
    memcpy(&window, p + 1, sizeof window);
    if (p[0] == 0) {
        ep_conv_s8_args args = {window, gemm, p[20]};
        ep_conv_s8(&args, x, y, scratch);
    } else if (p[0] == 1) {
#if EP_LAYOUT == EP_LAYOUT_SMLAD
        ep_depthwise_s8_args args = {window, 1, w, c, c + n, c + 2 * n, p[20], p[17], p[18], p[19], p[24]};
        args.multiples = p[15] / window.channels;
        ep_depthwise_s8(&args, x, y, scratch);
#else
        ep_depthwise_s8_args args = {window, 1, w, c, c + n, c + 2 * n, p[20], p[17], p[18], p[19]};
        args.multiples = p[15] / window.channels;
        ep_depthwise_s8(&args, x, y);
#endif
    } else {
        ep_dense_s8_args args = {window.batch, gemm};
        ep_dense_s8(&args, x, y);
    }
}
"""

FIRMWARE = """
#include "edgepress_firmware.h"

static int8_t scratch[%(scratch)d] EP_ALIGNED(16);

int edgepress_step(const void *const *inputs, void *const *outputs)
{
    const int32_t *p = inputs[0];
    memset(outputs[0], 0, %(y)d);
    memset(scratch, 0x55, sizeof scratch);
    call(p, inputs[1], inputs[2], inputs[3], outputs[0], scratch);
    for (int32_t i = p[23]; i < %(scratch)d; i++)
        if (scratch[i] != 0x55) return 1;
    return 0;
}
"""

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>

static void *take(FILE *file, size_t all, size_t count)
{
    char *whole = malloc(all), *exact = malloc(count > 0 ? count : 1);
    if (fread(whole, 1, all, file) != all) exit(2);
    memcpy(exact, whole, count);
    free(whole);
    return exact;
}

/* Buffers of exactly the bytes that are used, so that a step beyond is found. */
int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    for (int left = file == NULL ? 0 : atoi(argv[2]); left > 0; left--) {
        int32_t *p = take(file, 100, 100);
        int8_t *x = take(file, %(x)d, (size_t)p[21]), *w = take(file, %(w)d, %(w)d);
        int32_t *c = take(file, 16 * %(words)d, 16 * %(words)d);
        int8_t *y = malloc((size_t)p[22]), *scratch = malloc(p[23] > 0 ? (size_t)p[23] : 1);
        call(p, x, w, c, y, scratch);
        fwrite(y, 1, (size_t)p[22], stdout);
        for (int i = p[22]; i < %(y)d; i++) putchar(0);
        free(p), free(x), free(w), free(c), free(y), free(scratch);
    }
    return file == NULL;
}
"""


@dataclass(frozen=True)
class Case:
    """One call: inputs as the C program takes them, and the output that must come."""

    inputs: tuple[Array, ...]
    expected: Array
    said: str


def random_case(seed: int, core: str) -> Case:
    """A call whose kind and shape come from the seed, packed for a core."""
    rng = np.random.default_rng(seed)
    kind = int(rng.choice(3, p=[0.5, 0.35, 0.15]))
    while True:
        window = _dense_window(rng) if kind == DENSE else _window(rng, kind)
        outputs = int(rng.integers(1, 40))
        if kind == DEPTHWISE:
            outputs = window["channels"] * int(rng.choice([1, 1, 1, 2, 3]))
        if _fits(window, outputs, kind):
            return _case(rng, kind, window, outputs, core)


def _window(rng: np.random.Generator, kind: int) -> dict[str, int]:
    def pick(*values: int) -> int:
        return int(rng.choice(values))

    one_line = rng.random() < 0.25
    w = {"batch": pick(1, 1, 2), "in_h": 1 if one_line else pick(2, 3, 5, 6, 9)}
    w["in_w"], w["channels"] = (
        pick(1, 3, 5, 8, 11, 25),
        pick(1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 32, 48),
    )
    sizes = (1, 2, 3, 3, 3, 4, 5) if kind == DEPTHWISE else (1, 1, 2, 3, 3, 4)
    w["kernel_h"], w["kernel_w"] = (1 if one_line else pick(*sizes)), pick(*sizes, 7)
    for axis in "hw":
        w[f"stride_{axis}"], w[f"dilation_{axis}"] = pick(1, 1, 2, 3), pick(1, 1, 1, 2)
        reach = (w[f"kernel_{axis}"] - 1) * w[f"dilation_{axis}"] + 1
        w[f"pad_{axis}"] = int(rng.integers(0, max(reach, 1)))
        behind = int(rng.integers(0, max(reach, 1)))
        free = w[f"in_{axis}"] + w[f"pad_{axis}"] + behind - reach
        w[f"out_{axis}"] = free // w[f"stride_{axis}"] + 1 if free >= 0 else 0
    return w


def _dense_window(rng: np.random.Generator) -> dict[str, int]:
    w = dict.fromkeys(AXES, 1)
    w["batch"], w["channels"] = int(rng.integers(1, 6)), int(rng.integers(1, 200))
    w["pad_h"] = w["pad_w"] = 0
    return w


def _fits(w: dict[str, int], outputs: int, kind: int) -> bool:
    pixels = w["batch"] * w["out_h"] * w["out_w"]
    taps = w["kernel_h"] * w["kernel_w"]
    x = w["batch"] * w["in_h"] * w["in_w"] * w["channels"]
    depth = w["channels"] * taps if kind != DEPTHWISE else taps * 4
    small = outputs + 16 <= N_WORDS and (outputs + 16) * (depth + 64) <= W_BYTES
    return 0 < pixels * outputs <= Y_BYTES and x <= X_BYTES and small


def _case(
    rng: np.random.Generator, kind: int, window: dict[str, int], outputs: int, core: str
) -> Case:
    layout, channels = layout_of(core), window["channels"]
    kernel = (window["kernel_h"], window["kernel_w"])
    depth = kernel[0] * kernel[1] * (1 if kind == DEPTHWISE else channels)
    x = rng.integers(-128, 128, (window["batch"], window["in_h"], window["in_w"], channels))
    weights = rng.integers(-127, 128, (outputs, *kernel, depth // (kernel[0] * kernel[1])))
    if rng.random() < 0.2:  # the largest sums there are
        x, weights = np.full_like(x, -128), np.full_like(weights, rng.choice([-127, 127]))
    x_zero, zero = (int(n) for n in rng.integers(-128, 128, 2))
    bias = rng.integers(-(2**14), 2**14, outputs)
    scale = _scale(rng, outputs, depth)
    low = zero if rng.random() < 0.4 else int(rng.choice([-128, -20]))
    high = max(low, int(rng.choice([127, 127, 60])))
    acc = bias + _sums(x - x_zero, weights, window, kind == DEPTHWISE)
    expected = np.clip(zero + multiply(acc, scale), low, high).astype(np.int8)
    packed, scratch = _packed(layout, kind, weights.astype(np.int8), window, depth)
    folds = kind != DEPTHWISE or layout.folds_depthwise
    folded = bias - (x_zero + layout.offset) * weights.reshape(outputs, -1).sum(1) * folds
    made = layout.vectors if kind == DEPTHWISE else layout.product_vectors
    words = made(*(v.astype(np.int32) for v in (folded, scale.m0, scale.shift)), zero)
    aside = len(words) > 1  # arrays of one word an output, else one of several
    held = [_filled(v, N_WORDS if aside else 4 * N_WORDS) for v in words.values()]
    head = [
        kind,
        *(window[a] for a in AXES),
        outputs,
        depth,
        zero,
        low,
        high,
        x_zero,
        x.size,
        expected.size,
        scratch,
        layout.depthwise_fields(window, outputs // channels).get("band", 0),
    ]
    inputs = (
        np.array(head, np.int32),
        _filled(x.astype(np.int8).reshape(-1), X_BYTES),
        _filled(packed, W_BYTES),
        _filled(np.concatenate(held), 4 * N_WORDS),
    )
    said = f"{KINDS[kind]} {window} outputs {outputs}"
    return Case(inputs, _filled(expected.reshape(-1), Y_BYTES), said)


def _scale(rng: np.random.Generator, outputs: int, depth: int) -> Multiplier:
    """Factors that bring sums into eight bits; sometimes some are 1/2 and more, sometimes half a step is met often."""
    shift = rng.integers(-12, -6, outputs) - int(np.log2(depth + 1)) // 2
    if rng.random() < 0.15:
        shift = rng.integers(-4, 4, outputs)
    exact = rng.random() < 0.3
    m0 = np.full(outputs, 2**30) if exact else rng.integers(2**30, 2**31, outputs)
    return Multiplier(m0 * 2.0**-31 * 2.0**shift, m0.astype(np.int64), shift.astype(np.int64))


def _packed(
    layout: object, kind: int, weights: Array, window: dict[str, int], depth: int
) -> tuple[Array, int]:
    """(weights as the layout has them, bytes of scratch)."""
    if kind == DEPTHWISE:
        scratch = layout.depthwise_scratch(window, len(weights) // window["channels"]) or 0  # type: ignore[attr-defined]
        return layout.depthwise_window(weights[..., 0].transpose(1, 2, 0), window), scratch  # type: ignore[attr-defined]
    if kind == DENSE:
        return layout.matrix(weights.reshape(len(weights), -1)), 0  # type: ignore[attr-defined]
    return layout.conv(weights, window), layout.conv_scratch(window, depth)  # type: ignore[attr-defined]


def _sums(x: Array, weights: Array, w: dict[str, int], depthwise: bool) -> Array:
    """[N, H', W', O] sums of a convolution by its definition; `x` counts from its zero point, 0 is the padding."""
    result = np.zeros((w["batch"], w["out_h"], w["out_w"], len(weights)), np.int64)
    spread = np.repeat(x, len(weights) // x.shape[3], axis=3) if depthwise else x
    for i in range(w["out_h"]):
        for j in range(w["out_w"]):
            for a in range(w["kernel_h"]):
                for b in range(w["kernel_w"]):
                    line = i * w["stride_h"] - w["pad_h"] + a * w["dilation_h"]
                    column = j * w["stride_w"] - w["pad_w"] + b * w["dilation_w"]
                    if not (0 <= line < w["in_h"] and 0 <= column < w["in_w"]):
                        continue
                    pixel, tap = spread[:, line, column], weights[:, a, b]
                    result[:, i, j] += pixel * tap[:, 0] if depthwise else pixel @ tap.T
    return result


def _filled(values: Array, count: int) -> Array:
    assert values.size <= count, (values.size, count)
    return np.concatenate([values, np.zeros(count - values.size, values.dtype)])


def write_program(folder: Path, core: str, firmware: bool) -> Path:
    """The kernels as they are exported for a core, and one file that calls them."""
    sizes = {"words": N_WORDS, "x": X_BYTES, "w": W_BYTES, "y": Y_BYTES, "scratch": SCRATCH_BYTES}
    headers = ("ep_conv_s8.h", "ep_depthwise_s8.h", "ep_dense_s8.h")
    files = needed(headers, dict(layout_of(core).sources))
    text = SOURCE % sizes + (FIRMWARE if firmware else PROGRAM) % sizes
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**files, TARGET: target_header(core), "calls.c": text}.items():
        (folder / name).write_text(data)
    return folder


def run_sanitized(cases: list[Case], folder: Path, core: str, compiler: str) -> list[Array]:
    """Outputs of the plain kernels on this machine, under the address and undefined-behaviour sanitizers.

    Raises:
        AssertionError: the program ended with an error; what the sanitizers said is told.
    """
    write_program(folder, core, firmware=False)
    flags = ["-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = sorted(path.name for path in folder.glob("*.c"))
    built = subprocess.run(
        [compiler, *flags, *sources, "-o", "program"], cwd=folder, capture_output=True, check=False
    )
    assert built.returncode == 0, built.stderr.decode()
    data = b"".join(array.tobytes() for case in cases for array in case.inputs)
    (folder / "cases.bin").write_bytes(data)
    done = subprocess.run(
        ["./program", "cases.bin", str(len(cases))], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:2000]
    return list(np.frombuffer(done.stdout, np.int8).reshape(len(cases), Y_BYTES))
