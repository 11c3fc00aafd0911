"""One operator family case: float in both engines and both layouts, then int8 in both engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from edgepress.export.tflite.lower import Lowered, lower
from onnx import helper

from .lowering import ENGINES, assert_same_float, lsb_difference, make_hub
from .quantized import quantize, ranges

Arrays = Mapping[str, np.ndarray]


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    """An ONNX node named after its first output."""
    return helper.make_node(op, list(inputs), list(outputs), f"n_{outputs[0]}", **attributes)


def values(shapes: Mapping[str, Sequence[int]], seed: int = 0, count: int = 1) -> list[Arrays]:
    """Normal float32 samples of each shape."""
    rng = np.random.default_rng(seed)
    return [
        {n: np.asarray(rng.normal(size=s), np.float32) for n, s in shapes.items()}
        for _ in range(count)
    ]


def operators(lowered: Lowered) -> list[str]:
    """Operator names of the file in order."""
    return [operator.code for operator in lowered.model.operators]


def check(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, Any] | None = None,
    *,
    lsb: float | None = 1.0,
    tolerance: float = 1e-5,
    computes_int8: Sequence[str] | None = None,
    seed: int = 0,
    layouts: Sequence[str] = ("nchw", "nhwc"),
) -> tuple[Lowered, Lowered | None]:
    """Float against onnxruntime, then int8 within `lsb` steps (None: float only).

    `computes_int8`: operators the int8 file must consist of; default: no DEQUANTIZE at all.
    """
    model = make_hub(
        nodes, inputs, outputs, {k: np.asarray(v) for k, v in (constants or {}).items()}
    )
    feeds = values(inputs, seed)[0]
    float_form = assert_same_float(model, feeds, tolerance, layouts=layouts)
    if lsb is None:
        return float_form, None
    return float_form, check_int8(model, inputs, lsb, computes_int8, seed)


def check_int8(
    model: onnx.ModelProto,
    inputs: Mapping[str, Sequence[int]],
    lsb: float,
    computes_int8: Sequence[str] | None = None,
    seed: int = 0,
) -> Lowered:
    """The model quantized on random samples, in both engines, within `lsb` steps of onnxruntime."""
    samples = values(inputs, seed + 1, 3)
    quantized = quantize(model, samples, params=ranges(model, samples))
    lowered = lower(quantized)
    if computes_int8 is None:
        assert "DEQUANTIZE" not in operators(lowered), operators(lowered)
    else:
        assert operators(lowered) == list(computes_int8)
    for engine in ENGINES:
        for sample in samples[:2]:
            difference = lsb_difference(quantized, sample, engine)
            assert difference.max() <= lsb + 1e-3, (engine, difference.max())
    return lowered
