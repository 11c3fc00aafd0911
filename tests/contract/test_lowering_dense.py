"""Gemm and MatMul lowered to TFLite: every attribute, flattened images, per-tensor scales, batched products."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from edgepress.export.tflite.lower import Lowered, lower
from edgepress.runtime.errors import UnsupportedOperatorError
from onnx import helper
from support.lowering import ENGINES, assert_same_float, lsb_difference, make_hub
from support.passes import ints, random
from support.quantized import quantize


def codes(lowered: Lowered) -> list[str]:
    return [operator.code for operator in lowered.model.operators]


def int8_steps(
    model: onnx.ModelProto, shape: tuple[int, ...], engine: str, **options: str
) -> np.ndarray:
    samples = [{"x": random(*shape, seed=s)} for s in range(6)]
    hub = quantize(model, samples)
    return np.concatenate([lsb_difference(hub, s, engine, **options) for s in samples[:3]])


def gemm(
    bias: tuple[int, ...] | None = (4,), rows: int = 1, **attributes: float
) -> onnx.ModelProto:
    a, b = attributes.get("transA", 0), attributes.get("transB", 0)
    constants = {"w": random(4, 6) if b else random(6, 4)}
    if bias is not None:
        constants["c"] = random(*bias, seed=2)
    node = helper.make_node("Gemm", ["x", *constants], ["y"], "fc", **attributes)
    return make_hub([node], {"x": (6, rows) if a else (rows, 6)}, ["y"], constants)


@pytest.mark.parametrize("bias", [None, (4,), (1, 4), (1,), (3, 4), (3, 1)])
@pytest.mark.parametrize(("a", "b"), itertools.product((0, 1), (0, 1)))
def test_gemm_float(a: int, b: int, bias: tuple[int, ...] | None) -> None:
    for factors in ({}, {"alpha": 0.5, "beta": 2.0}):
        model = gemm(bias, 3, transA=a, transB=b, **factors)
        x = random(6, 3) if a else random(3, 6)
        assert "FULLY_CONNECTED" in codes(assert_same_float(model, {"x": x}))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("b", [0, 1])
def test_gemm_int8(b: int, granularity: str, engine: str) -> None:
    model = gemm(transB=b)
    samples = [{"x": random(1, 6, seed=s)} for s in range(6)]
    hub = quantize(model, samples)
    lowered = lower(hub, fc_granularity=granularity)
    (operator,) = lowered.model.operators
    assert (operator.code, operator.version) == ("FULLY_CONNECTED", 4)
    weight, bias = (lowered.model.tensors[i].quantization for i in operator.inputs[1:])
    assert len(weight.scale) == len(bias.scale) == (4 if granularity == "channel" else 1)
    read = lowered.model.tensors[operator.inputs[0]].quantization
    expected = np.float32(read.scale[0]) * np.asarray(weight.scale, np.float32)
    assert bias.scale == tuple(expected.tolist())
    # one scale rounds the weights of the small channels again: the steps are those of that rounding
    limit = 1 if granularity == "channel" else 3
    assert int8_steps(model, (1, 6), engine, fc_granularity=granularity).max() <= limit


FLATTENS = {
    "flatten": ("Flatten", [], {}),
    "reshape": ("Reshape", ["shape"], {}),
}


@pytest.mark.parametrize("way", FLATTENS)
@pytest.mark.parametrize(
    "shape", [(1, 3, 4, 5), (1, 4, 4, 4), (1, 3, 3, 3), (1, 3, 7), (1, 5, 5), (1, 6, 1, 1)]
)
def test_weight_columns_follow_a_flattened_image(shape: tuple[int, ...], way: str) -> None:
    """Channels last in memory, channels first in ONNX: no TRANSPOSE, permuted columns."""
    count = int(np.prod(shape))
    spatial = len(shape) - 2
    constants = {
        "k": random(shape[1], shape[1], *[1] * spatial, seed=1),
        "w": random(4, count, seed=2),
        "b": random(4),
        "shape": ints(1, count),
    }
    op, more, attributes = FLATTENS[way]
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], "conv"),
        helper.make_node(op, ["a", *more], ["f"], "flat", **attributes),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"], "fc", transB=1),
    ]
    model = make_hub(nodes, {"x": shape}, ["y"], constants)
    lowered = assert_same_float(model, {"x": random(*shape)}, layouts=("nhwc",))
    assert "TRANSPOSE" not in codes(lowered)
    for engine in ENGINES:
        assert int8_steps(model, shape, engine).max() <= 1


def test_a_flattened_image_that_is_also_an_output_is_in_onnx_order() -> None:
    constants = {"k": random(3, 3, 1, 1), "w": random(4, 48)}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], "conv"),
        helper.make_node("Flatten", ["a"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w"], ["y"], "fc", transB=1),
    ]
    model = make_hub(nodes, {"x": (1, 3, 4, 4)}, ["y", "f"], constants)
    assert "TRANSPOSE" in codes(assert_same_float(model, {"x": random(1, 3, 4, 4)}))


def test_two_layers_behind_one_flattened_image_and_a_sum_of_it() -> None:
    constants = {"k": random(3, 3, 1, 1), "w": random(4, 48), "v": random(48, 4, seed=3)}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], "conv"),
        helper.make_node("Flatten", ["a"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w"], ["p"], "fc", transB=1),
        helper.make_node("MatMul", ["f", "v"], ["q"], "mm"),
        helper.make_node("Add", ["p", "q"], ["y"], "sum"),
    ]
    assert_same_float(
        make_hub(nodes, {"x": (1, 3, 4, 4)}, ["y"], constants), {"x": random(1, 3, 4, 4)}
    )
    nodes[-1] = helper.make_node("Add", ["q", "p"], ["s"], "sum")
    nodes.append(helper.make_node("Add", ["f", "f"], ["z"], "double"))
    assert_same_float(
        make_hub(nodes, {"x": (1, 3, 4, 4)}, ["s", "z"], constants), {"x": random(1, 3, 4, 4)}
    )


MATMULS = {
    "rows": ((5, 6), (6, 4)),
    "sequence": ((1, 5, 6), (6, 4)),
    "square": ((1, 4, 4), (4, 4)),
    "cube": ((1, 4, 4, 4), (4, 4)),
    "batch of matrices": ((2, 5, 6), (2, 6, 4)),
    "broadcast": ((2, 5, 6), (1, 6, 4)),
}


@pytest.mark.parametrize("name", MATMULS)
def test_matmul_with_a_constant(name: str) -> None:
    shape, weight = MATMULS[name]
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "mm")
    model = make_hub([node], {"x": shape}, ["y"], {"w": random(*weight)})
    lowered = assert_same_float(model, {"x": random(*shape)})
    assert ("FULLY_CONNECTED" if len(weight) == 2 else "BATCH_MATMUL") in codes(lowered)
    for engine in ENGINES:
        assert int8_steps(model, shape, engine).max() <= 1


@pytest.mark.parametrize(
    "shapes", [((1, 2, 3, 4), (1, 2, 4, 5)), ((1, 4, 4), (1, 4, 4)), ((3, 4), (4, 5))]
)
@pytest.mark.parametrize("turned", [False, True])
def test_matmul_of_two_values(shapes: tuple[tuple[int, ...], ...], turned: bool) -> None:
    left, right = shapes
    perm = [*range(len(right) - 2), len(right) - 1, len(right) - 2]
    given = tuple(right[i] for i in perm) if turned else right
    nodes = [helper.make_node("Transpose", ["z"], ["zt"], "turn", perm=perm)] if turned else []
    nodes.append(helper.make_node("MatMul", ["x", "zt" if turned else "z"], ["y"], "mm"))
    model = make_hub(nodes, {"x": left, "z": given}, ["y"], {})
    feeds = {"x": random(*left), "z": random(*given, seed=1)}
    assert_same_float(model, feeds)
    for engine in ENGINES:
        hub = quantize(model, [feeds])
        assert lsb_difference(hub, feeds, engine).max() <= 1


def test_gemm_of_two_values() -> None:
    for bias in (False, True):
        names = ["x", "z", *(["c"] if bias else [])]
        model = make_hub(
            [helper.make_node("Gemm", names, ["y"], "g", transB=1)],
            {"x": (3, 4), "z": (5, 4), **({"c": (3, 5)} if bias else {})},
            ["y"],
            {},
        )
        feeds = {
            "x": random(3, 4),
            "z": random(5, 4, seed=1),
            **({"c": random(3, 5, seed=2)} if bias else {}),
        }
        assert_same_float(model, feeds)
    model = make_hub(
        [helper.make_node("Gemm", ["x", "z"], ["y"], "g", alpha=2.0)],
        {"x": (3, 4), "z": (4, 5)},
        ["y"],
        {},
    )
    with pytest.raises(UnsupportedOperatorError, match="alpha or beta"):
        lower(model)


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_fused_activation(activation: str) -> None:
    constants = {"w": random(4, 6), "b": random(4), "zero": np.float32(0), "six": np.float32(6)}
    more = ["zero", "six"] if activation == "Clip" else []
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["a"], "fc", transB=1),
        helper.make_node(activation, ["a", *more], ["y"], "act"),
    ]
    model = make_hub(nodes, {"x": (1, 6)}, ["y"], constants)
    (operator,) = assert_same_float(model, {"x": random(1, 6) * 4}).model.operators
    assert operator.options["fused_activation_function"] == (
        "RELU" if activation == "Relu" else "RELU6"
    )
    for engine in ENGINES:
        assert int8_steps(model, (1, 6), engine).max() <= 1
