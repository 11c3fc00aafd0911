"""Every activation in float and int8, in every engine; slopes of every shape; fixed output scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.qparams import QParams
from edgepress.export.tflite.lower import Lowered, lower
from edgepress.runtime.errors import UnsupportedOperatorError
from onnx import helper
from support.lowering import ENGINES, assert_same_float, lsb_difference, make_hub
from support.passes import random
from support.quantized import quantize, ranges

FLOAT_ONLY = ("Abs", "Neg", "Exp", "Log", "Sqrt", "Elu", "Floor", "Ceil", "Sin", "Cos")
ACTIVATIONS: dict[str, tuple[str, dict[str, Any], int]] = {
    # name: operator, attributes, steps int8 may differ (kernels work with tables of 16 bits or with exp)
    "Relu": ("Relu", {}, 1),
    "LeakyRelu": ("LeakyRelu", {"alpha": 0.2}, 1),
    "LeakyRelu default": ("LeakyRelu", {}, 1),
    "HardSwish": ("HardSwish", {}, 1),
    "Sigmoid": ("Sigmoid", {}, 1),
    "Tanh": ("Tanh", {}, 1),
    "Gelu": ("Gelu", {}, 1),
    "Gelu tanh": ("Gelu", {"approximate": "tanh"}, 1),
    "HardSigmoid": ("HardSigmoid", {}, 2),
    "HardSigmoid of HardSwish": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, 2),
    "Softmax": ("Softmax", {"axis": -1}, 1),
}


def codes(lowered: Lowered) -> list[str]:
    return [operator.code for operator in lowered.model.operators]


def activation(op: str, shape: tuple[int, ...], **attributes: Any) -> onnx.ModelProto:
    return make_hub(
        [helper.make_node(op, ["x"], ["y"], "act", **attributes)], {"x": shape}, ["y"], {}
    )


def int8_steps(
    model: onnx.ModelProto, shape: tuple[int, ...], engine: str, scale: float = 3.0
) -> np.ndarray:
    samples = [{"x": random(*shape, seed=s) * np.float32(scale)} for s in range(6)]
    hub = quantize(model, samples)
    return np.concatenate([lsb_difference(hub, s, engine) for s in samples[:3]])


@pytest.mark.parametrize("shape", [(1, 7), (1, 4, 9), (1, 4, 4, 4), (1, 3, 5, 2)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float(name: str, shape: tuple[int, ...]) -> None:
    op, attributes, _ = ACTIVATIONS[name]
    assert_same_float(activation(op, shape, **attributes), {"x": random(*shape) * 4})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(1, 40), (1, 4, 4, 4)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_int8(name: str, shape: tuple[int, ...], engine: str) -> None:
    op, attributes, limit = ACTIVATIONS[name]
    model = activation(op, shape, **attributes)
    steps = int8_steps(model, shape, engine)
    assert steps.max() <= limit and (steps <= 1).mean() >= 0.98
    hub = quantize(model, [{"x": random(*shape)}])
    assert not {"DEQUANTIZE"} & set(codes(lower(hub)))


@pytest.mark.parametrize("op", FLOAT_ONLY)
def test_functions_of_one_value(op: str) -> None:
    x = (
        np.abs(random(1, 3, 4, 4)) + np.float32(0.25)
        if op in ("Log", "Sqrt")
        else random(1, 3, 4, 4)
    )
    assert_same_float(activation(op, (1, 3, 4, 4)), {"x": x})


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("shape", [(1, 4, 4, 4), (1, 3, 4, 5)])
def test_softmax_along_any_axis(shape: tuple[int, ...], op: str, axis: int) -> None:
    assert_same_float(activation(op, shape, axis=axis), {"x": random(*shape) * 3})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_int8_softmax_along_any_axis(axis: int, engine: str) -> None:
    assert (
        int8_steps(activation("Softmax", (1, 4, 4, 4), axis=axis), (1, 4, 4, 4), engine).max() <= 1
    )


FIXED = {"Sigmoid": (1 / 256, -128), "Softmax": (1 / 256, -128), "Tanh": (1 / 128, 0)}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("op", FIXED)
def test_another_output_scale_than_the_kernels_costs_one_quantize(op: str, engine: str) -> None:
    model = activation(op, (1, 40))
    sample = {"x": random(1, 40) * 3}
    params = ranges(model, [sample])
    plain = lower(quantize(model, [sample], params=params))
    assert len(plain.model.operators) == 1 and not plain.extra_quantize
    params["y"] = QParams((0.01,), (-20,))
    hub = quantize(model, [sample], params=params)
    lowered = lower(hub)
    assert codes(lowered)[1:] == ["QUANTIZE"] and len(lowered.extra_quantize) == 1
    made = lowered.model.tensors[lowered.model.operators[0].outputs[0]].quantization
    assert (made.scale[0], made.zero_point[0]) == FIXED[op]
    assert lsb_difference(hub, sample, engine).max() <= 1


SLOPES = {
    "one": ((1, 3, 4, 5), (1,)),
    "channels": ((1, 3, 4, 5), (3, 1, 1)),
    "cube, channels": ((1, 4, 4, 4), (4, 1, 1)),
    "cube, width": ((1, 4, 4, 4), (4,)),
    "full": ((1, 3, 4, 5), (3, 4, 5)),
    "1-D": ((1, 3, 7), (3, 1)),
    "vector": ((1, 6), (6,)),
    "scalar": ((1, 6), ()),
}


def prelu(name: str) -> onnx.ModelProto:
    shape, slope = SLOPES[name]
    values = np.asarray(random(*slope, seed=4), np.float32)
    return make_hub(
        [helper.make_node("PRelu", ["x", "s"], ["y"], "act")], {"x": shape}, ["y"], {"s": values}
    )


@pytest.mark.parametrize("name", SLOPES)
def test_prelu_float(name: str) -> None:
    assert_same_float(prelu(name), {"x": random(*SLOPES[name][0])})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SLOPES)
def test_prelu_int8(name: str, engine: str) -> None:
    assert int8_steps(prelu(name), SLOPES[name][0], engine).max() <= 1


CLIPS: dict[str, tuple[float | None, float | None, list[str]]] = {
    "relu": (0.0, None, ["RELU"]),
    "relu6": (0.0, 6.0, ["RELU6"]),
    "hardtanh": (-1.0, 1.0, ["RELU_N1_TO_1"]),
    "low": (-0.5, None, ["MAXIMUM"]),
    "high": (None, 0.7, ["MINIMUM"]),
    "both": (-0.3, 2.5, ["MAXIMUM", "MINIMUM"]),
}


def clip(name: str) -> onnx.ModelProto:
    low, high, _ = CLIPS[name]
    constants = {k: np.float32(v) for k, v in (("low", low), ("high", high)) if v is not None}
    inputs = ["x", "low" if low is not None else "", *(["high"] if high is not None else [])]
    return make_hub(
        [helper.make_node("Clip", inputs, ["y"], "act")], {"x": (1, 3, 4, 5)}, ["y"], constants
    )


@pytest.mark.parametrize("name", CLIPS)
def test_clip(name: str) -> None:
    lowered = assert_same_float(clip(name), {"x": random(1, 3, 4, 5) * 4}, layouts=("nhwc",))
    assert codes(lowered) == CLIPS[name][2]
    for engine in ENGINES:
        assert int8_steps(clip(name), (1, 3, 4, 5), engine).max() <= 1


def test_int8_saturation_is_a_clip_already() -> None:
    """An output range of exactly [0, 6] needs a QUANTIZE and no comparison."""
    model = clip("relu6")
    sample = {"x": random(1, 3, 4, 5) * 8}
    params = ranges(model, [sample])
    params["y"] = QParams((6 / 255,), (-128,))
    hub = quantize(model, [sample], params=params)
    for engine in ENGINES:
        assert lsb_difference(hub, sample, engine).max() <= 1


def test_what_has_no_form_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperatorError, match="alpha"):
        lower(activation("Elu", (1, 4), alpha=0.5))
    model = make_hub(
        [helper.make_node("PRelu", ["x", "s"], ["y"], "act")], {"x": (1, 4), "s": (1, 4)}, ["y"], {}
    )
    with pytest.raises(UnsupportedOperatorError, match="'act'.*slope"):
        lower(model)
