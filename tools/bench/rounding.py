"""What rounding alone does to the outputs of an int8 network: engines and roundings against onnxruntime.

    python -m edgepress.tools.bench.rounding FILE.int8.onnx FILE.int8.tflite --task cifar10 --data DATA [--samples 16]

Differences are in steps of the output. The second table changes single values by one step behind the first layer, or
behind every layer, of the integer reference: what the network makes of it is what no kernel can avoid
(docs/parity.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...compress.task import Array

ROUNDINGS = ("single", "float", "double")
SHARE = 6e-4
"""Of the values behind a layer that are changed: about what two engines differ in."""


def main(arguments: list[str] | None = None) -> int:
    """Print both tables."""
    from ...compress import datasets
    from ...export.onnx import hub as hubs
    from ..samples import as_fed, spread

    options = _parser().parse_args(arguments)
    split = datasets.task(options.task, options.data).load("test")
    rows = spread(range(len(split)), options.samples)
    samples = [as_fed(split.inputs[0][i : i + 1]) for i in rows]
    model = hubs.load(options.onnx)
    print(f"{len(samples)} samples of {options.task}/test, steps of the output")
    for name, difference in engines(model, options.tflite, samples).items():
        print(f"{name:36s} mean {difference.mean():.3f}  largest {difference.max():.0f}")
    for name, difference in disturbed(model, samples).items():
        print(f"{name:36s} mean {difference.mean():.3f}  largest {difference.max():.0f}")
    return 0


def engines(model: Any, tflite: Path, samples: Sequence[Array]) -> dict[str, Array]:
    """|difference from onnxruntime| in steps: both TFLite engines, the integer reference in every rounding."""
    from ...compress.quantization.integer import IntegerModel
    from ...export.parity_onnx import OnnxSubject
    from ...export.parity_tflite import TfliteSubject

    right, reference = OnnxSubject(model, "onnx"), IntegerModel(model)
    step = right.step(right.outputs[0]) or 1.0
    expected = [right.run([x])[0] for x in samples]
    found: dict[str, list[Array]] = {}
    for engine in ("litert", "tflite"):
        subject = TfliteSubject(tflite, engine, {})
        found[engine] = [subject.run([x])[0] for x in samples]
    for rounding in ROUNDINGS:
        made = [np.asarray(reference.run((x,), rounding)[0]) for x in samples]
        found[f"integer reference, {rounding}"] = made
    return {
        name: np.abs(np.concatenate(values) - np.concatenate(expected)) / step
        for name, values in found.items()
    }


def disturbed(model: Any, samples: Sequence[Array]) -> dict[str, Array]:
    """|change of the output| in steps after a few values are moved by one step."""
    from ...compress.quantization.integer import IntegerModel

    reference = IntegerModel(model)
    layers = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    names = [n.output[0] for n in layers[1:-1]]
    cases = {
        "one value behind the first layer": (names[:1], 0.0),
        "0.06 % behind the first layer": (names[:1], SHARE),
        "0.06 % behind every layer": (names, SHARE),
    }
    last, rng = layers[-1].output[0], np.random.default_rng(0)
    found: dict[str, list[Array]] = {name: [] for name in cases}
    for x in samples:
        plain = reference.run_tensors((x,), "single")
        for case, (chosen, share) in cases.items():
            moved = _moved(reference, x, chosen, share, rng)
            found[case].append(np.abs(moved[last].astype(int) - plain[last]))
    return {name: np.concatenate(values) for name, values in found.items()}


def _moved(reference: Any, x: Array, names: Sequence[str], share: float, rng: Any) -> Any:
    """All integers of a run in which a share of the values of `names` (one at least) is off by one."""
    given: dict[str, Array] = {}
    for name in names:
        values = reference.run_tensors((x,), "single", given=given)[name].copy()
        flat = values.reshape(-1)
        where = rng.choice(flat.size, max(1, int(share * flat.size)), replace=False)
        flat[where] = np.clip(flat[where] + rng.choice([-1, 1], where.size), -128, 127)
        given[name] = values
    return reference.run_tensors((x,), "single", given=given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("onnx", type=Path)
    parser.add_argument("tflite", type=Path)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--samples", type=int, default=16)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
