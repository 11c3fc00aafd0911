"""Convolutions lowered to TFLite: float equal to onnxruntime within 1e-5, int8 within two steps, in every engine."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.rules import by_tflite
from edgepress.export.tflite.lower import Lowered, lower
from edgepress.runtime.errors import UnsupportedOperatorError
from onnx import helper
from support.lowering import ENGINES, assert_same_float, lsb_difference, make_hub
from support.passes import random
from support.quantized import quantize

SIZES, KERNELS, STRIDES, PADS = (7, 8, 32, 33), (1, 2, 3, 5), (1, 2), (0, 1, 2)


def window(spatial: int, kernel: int, stride: int, pad: int) -> dict[str, list[int]]:
    """Attributes of a square window, the last axis only for one spatial axis."""
    return {
        "kernel_shape": [kernel] * spatial,
        "strides": [stride] * spatial,
        "pads": [pad] * 2 * spatial,
    }


@pytest.mark.parametrize("spatial", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_padding_matrix(size: int, spatial: int) -> None:
    """Every kernel, stride and padding of one size in one file, an output each."""
    nodes, constants, outputs = [], {}, []
    for kernel, stride, pad in itertools.product(KERNELS, STRIDES, PADS):
        name = f"k{kernel}s{stride}p{pad}"
        constants[f"{name}_w"] = random(2, 3, *[kernel] * spatial, seed=kernel)
        outputs.append(name)
        attributes = window(spatial, kernel, stride, pad)
        nodes.append(helper.make_node("Conv", ["x", f"{name}_w"], [name], name, **attributes))
    model = make_hub(nodes, {"x": (1, 3, *[size] * spatial)}, outputs, constants)
    lowered = assert_same_float(model, {"x": random(1, 3, *[size] * spatial)}, layouts=("nhwc",))
    assert expected_pads(size, spatial) == codes(lowered).count("PAD")


def expected_pads(size: int, spatial: int) -> int:
    """Windows whose padding is neither TensorFlow's SAME nor VALID, by the definition of both."""
    count = 0
    for kernel, stride, pad in itertools.product(KERNELS, STRIDES, PADS):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        same = (total // 2, total - total // 2) == (pad, pad)
        count += not (same or pad == 0)
    return count


def codes(lowered: Lowered) -> list[str]:
    return [operator.code for operator in lowered.model.operators]


GROUPED = ["SPLIT", "CONV_2D", "CONV_2D", "CONCATENATION"]
CONVS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...], list[str]]] = {
    "plain": ({}, (1, 4, 6, 6), (5, 4, 3, 3), ["CONV_2D"]),
    "cube": ({"pads": [1] * 4}, (1, 6, 6, 6), (6, 6, 3, 3), ["CONV_2D"]),
    "cube 3x3x3": ({}, (1, 3, 3, 3), (3, 3, 3, 3), ["CONV_2D"]),
    "oblong": ({"strides": [1, 2], "pads": [1, 0, 1, 0]}, (1, 3, 5, 9), (4, 3, 3, 1), ["CONV_2D"]),
    "one-sided": ({"pads": [0, 0, 2, 1]}, (1, 3, 6, 6), (4, 3, 3, 3), ["PAD", "CONV_2D"]),
    "dilated": ({"dilations": [2, 2], "pads": [2] * 4}, (1, 3, 9, 9), (4, 3, 3, 3), ["CONV_2D"]),
    "dilated unevenly": ({"dilations": [1, 3]}, (1, 3, 9, 9), (4, 3, 3, 3), ["CONV_2D"]),
    "same upper": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (1, 3, 7, 8), (4, 3, 3, 3), ["CONV_2D"]),
    "same lower": ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (1, 3, 8, 8), (4, 3, 3, 3), ["PAD", "CONV_2D"]),
    "groups": ({"group": 2}, (1, 4, 5, 5), (6, 2, 3, 3), GROUPED),
    "depthwise": ({"group": 4, "pads": [1] * 4}, (1, 4, 4, 4), (4, 1, 3, 3), ["DEPTHWISE_CONV_2D"]),
    "depthwise doubled": ({"group": 4}, (1, 4, 5, 5), (8, 1, 3, 3), ["DEPTHWISE_CONV_2D"]),
    "depthwise dilated": ({"group": 4, "dilations": [2, 2]}, (1, 4, 7, 7), (8, 1, 3, 3), ["DEPTHWISE_CONV_2D"]),
    "depthwise strided": ({"group": 3, "strides": [2, 2]}, (1, 3, 9, 9), (3, 1, 3, 3), ["DEPTHWISE_CONV_2D"]),
    "one channel": ({}, (1, 1, 5, 5), (4, 1, 3, 3), ["CONV_2D"]),
    "1-D": ({"pads": [1, 1]}, (1, 4, 9), (6, 4, 3), ["CONV_2D"]),
    "1-D dilated": ({"dilations": [3]}, (1, 4, 20), (6, 4, 3), ["CONV_2D"]),
    "1-D depthwise": ({"group": 4}, (1, 4, 4), (8, 1, 3), ["DEPTHWISE_CONV_2D"]),
    "1-D groups": ({"group": 2, "strides": [2]}, (1, 4, 9), (4, 2, 3), GROUPED),
    "1-D square": ({"pads": [1, 1]}, (1, 5, 5), (5, 5, 3), ["CONV_2D"]),
}  # fmt: skip


def conv(name: str, bias: bool = True, activation: str = "", op: str = "Conv") -> onnx.ModelProto:
    attributes, shape, weight, _ = CONVS[name]
    constants = {"w": random(*weight, seed=1)}
    if bias:
        constants["b"] = random(weight[0], seed=2)
    target = "a" if activation else "y"
    nodes = [helper.make_node(op, ["x", *constants], [target], "conv", **attributes)]
    constants.update(zero=np.float32(0), six=np.float32(6), one=np.float32(1), minus=np.float32(-1))
    names = {"Relu": ["a"], "Relu6": ["a", "zero", "six"], "Clip1": ["a", "minus", "one"]}
    if activation:
        kind = "Relu" if activation == "Relu" else "Clip"
        nodes.append(helper.make_node(kind, names[activation], ["y"], "act"))
    return make_hub(nodes, {"x": shape}, ["y"], constants)


def inner(lowered: Lowered) -> list[str]:
    """Operators without what brings 1-D values into the 2-D kernels."""
    return [code for code in codes(lowered) if code not in ("RESHAPE", "TRANSPOSE")]


@pytest.mark.parametrize("name", CONVS)
def test_float(name: str) -> None:
    _, shape, _, expected = CONVS[name]
    lowered = assert_same_float(conv(name), {"x": random(*shape)})
    assert inner(lowered) == expected
    assert_same_float(conv(name, bias=False), {"x": random(*shape)}, layouts=("nhwc",))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CONVS)
def test_int8(name: str, engine: str) -> None:
    _, shape, _, expected = CONVS[name]
    samples = [{"x": random(*shape, seed=s)} for s in range(8)]
    hub = quantize(conv(name), samples)
    steps = np.concatenate([lsb_difference(hub, sample, engine) for sample in samples[:3]])
    assert steps.max() <= 1 and (steps == 0).mean() > 0.9
    lowered = lower(hub)
    assert inner(lowered) == expected and not lowered.extra_quantize
    for operator in lowered.model.operators:
        rule = by_tflite(operator.code)
        assert rule is None or operator.version == rule.version


@pytest.mark.parametrize("activation", ["Relu", "Relu6", "Clip1"])
@pytest.mark.parametrize("name", ["plain", "groups", "depthwise", "1-D"])
def test_activations_are_fused(name: str, activation: str) -> None:
    shape = CONVS[name][1]
    lowered = assert_same_float(
        conv(name, activation=activation), {"x": random(*shape) * 3}, layouts=("nhwc",)
    )
    fused = {"Relu": "RELU", "Relu6": "RELU6", "Clip1": "RELU_N1_TO_1"}[activation]
    layers = [op for op in lowered.model.operators if op.code.endswith("CONV_2D")]
    assert all(op.options["fused_activation_function"] == fused for op in layers)
    samples = [{"x": random(*shape, seed=s)} for s in range(4)]
    hub = quantize(conv(name, activation=activation), samples)
    for engine in ENGINES:
        assert lsb_difference(hub, samples[0], engine).max() <= 1


def test_no_transpose_between_layers_and_only_one_where_the_border_asks() -> None:
    """Two convolutions and a residual sum stay channels last throughout."""
    constants = {"w": random(3, 3, 3, 3), "v": random(3, 3, 1, 1, seed=1)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "a", pads=[1] * 4),
        helper.make_node("Conv", ["a", "v"], ["b"], "b"),
        helper.make_node("Add", ["a", "b"], ["y"], "y"),
    ]
    model = make_hub(nodes, {"x": (1, 3, 3, 3)}, ["y"], constants)
    feeds = {"x": random(1, 3, 3, 3)}
    assert codes(assert_same_float(model, feeds, layouts=("nhwc",))) == [
        "CONV_2D",
        "CONV_2D",
        "ADD",
    ]
    turned = codes(assert_same_float(model, feeds, layouts=("nchw",)))
    assert turned == ["TRANSPOSE", "CONV_2D", "CONV_2D", "ADD", "TRANSPOSE"]


# ------------------------------------------------------------------------ transposed

TRANSPOSED: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "plain": ({}, (1, 3, 5, 5), (3, 4, 3, 3)),
    "cube": ({"pads": [1] * 4}, (1, 3, 3, 3), (3, 3, 3, 3)),
    "stride 2": ({"strides": [2, 2], "pads": [1] * 4}, (1, 3, 5, 5), (3, 4, 3, 3)),
    "doubling": ({"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]}, (1, 3, 5, 5), (3, 4, 3, 3)),
    "kernel 4": ({"strides": [2, 2], "pads": [1] * 4}, (1, 3, 5, 5), (3, 4, 4, 4)),
    "kernel 2": ({"strides": [2, 2]}, (1, 3, 4, 6), (3, 4, 2, 2)),
    "gaps": ({"strides": [3, 3]}, (1, 3, 4, 4), (3, 4, 2, 2)),
    "dilated": ({"dilations": [2, 2]}, (1, 3, 5, 5), (3, 4, 3, 3)),
    "groups": ({"group": 3, "strides": [2, 2]}, (1, 6, 4, 4), (6, 2, 3, 3)),
    "same upper": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (1, 3, 5, 5), (3, 4, 3, 3)),
    "output shape": ({"output_shape": [10, 9], "strides": [2, 2]}, (1, 3, 5, 5), (3, 4, 3, 3)),
    "1-D": ({"strides": [2], "pads": [1, 1]}, (1, 3, 6), (3, 4, 4)),
}  # fmt: skip


def transposed(name: str, bias: bool = True) -> onnx.ModelProto:
    attributes, shape, weight = TRANSPOSED[name]
    channels = weight[1] * attributes.get("group", 1)
    constants = {"w": random(*weight, seed=1)} | ({"b": random(channels, seed=2)} if bias else {})
    node = helper.make_node("ConvTranspose", ["x", *constants], ["y"], "up", **attributes)
    return make_hub([node], {"x": shape}, ["y"], constants)


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_float(name: str) -> None:
    shape = TRANSPOSED[name][1]
    lowered = assert_same_float(transposed(name), {"x": random(*shape)})
    assert "TRANSPOSE_CONV" in codes(lowered)
    assert_same_float(transposed(name, bias=False), {"x": random(*shape)}, layouts=("nhwc",))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_int8(name: str, engine: str) -> None:
    shape = TRANSPOSED[name][1]
    samples = [{"x": random(*shape, seed=s)} for s in range(8)]
    per_channel = "group" not in TRANSPOSED[name][0]  # ONNX's scales run along axis 1 of one group
    hub = quantize(transposed(name), samples, per_channel=per_channel)
    steps = np.concatenate([lsb_difference(hub, sample, engine) for sample in samples[:3]])
    assert steps.max() <= 1 and (steps == 0).mean() > 0.9


# -------------------------------------------------------------------------- refused


def test_what_no_engine_runs_is_refused_by_name() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], "cube")
    three = make_hub([node], {"x": (1, 2, 4, 4, 4)}, ["y"], {"w": random(3, 2, 2, 2, 2)})
    with pytest.raises(UnsupportedOperatorError, match="3 spatial axes.*cube|cube.*3 spatial axes"):
        lower(three)
    node = helper.make_node("Conv", ["x", "w"], ["y"], "dynamic")
    computed = make_hub([node], {"x": (1, 2, 4, 4), "w": (3, 2, 2, 2)}, ["y"], {})
    with pytest.raises(UnsupportedOperatorError, match="computed at run time"):
        lower(computed)
