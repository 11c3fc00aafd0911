"""Add, Sub, Mul and Div with ONNX's broadcasting: constants on either side, every shape, channels last or first."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgepress.export.tflite.lower import lower
from edgepress.runtime.errors import UnsupportedOperatorError
from onnx import helper
from support.lowering import ENGINES, assert_same_float, lsb_difference, make_hub
from support.passes import random
from support.quantized import quantize

OPERATORS = ("Add", "Sub", "Mul", "Div")
SHAPES = {
    "scalar": ((1, 3, 4, 5), ()),
    "one": ((1, 3, 4, 5), (1,)),
    "channels": ((1, 3, 4, 5), (3, 1, 1)),
    "width": ((1, 3, 4, 5), (5,)),
    "plane": ((1, 3, 4, 5), (4, 5)),
    "same": ((1, 3, 4, 5), (1, 3, 4, 5)),
    "cube, channels": ((1, 4, 4, 4), (4, 1, 1)),
    "cube, height": ((1, 4, 4, 4), (4, 1)),
    "cube, width": ((1, 4, 4, 4), (4,)),
    "widened": ((1, 3, 1, 5), (3, 4, 1)),
    "vector": ((1, 6), (6,)),
    "sequence": ((1, 4, 6), (4, 1)),
    "square sequence": ((1, 5, 5), (5, 1)),
    "five axes": ((1, 2, 3, 2, 3), (3, 1, 1)),
}


def layout_forced(
    op: str, operands: list[str], x: tuple[int, ...], constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """The operator behind a convolution (channels last in memory) where the rank allows one."""
    if len(x) not in (3, 4):
        return make_hub([helper.make_node(op, operands, ["y"], "op")], {"x": x}, ["y"], constants)
    kernel = np.eye(x[1], dtype=np.float32).reshape(x[1], x[1], *[1] * (len(x) - 2))
    names = ["a" if name == "x" else name for name in operands]
    nodes = [
        helper.make_node("Conv", ["x", "eye"], ["a"], "conv"),
        helper.make_node(op, names, ["y"], "op"),
    ]
    return make_hub(nodes, {"x": x}, ["y"], {**constants, "eye": kernel})


def away_from_zero(*shape: int, seed: int = 0) -> np.ndarray:
    values = random(*shape, seed=seed) if shape else np.float32(0.7)
    return np.where(values < 0, values - 0.5, values + 0.5).astype(np.float32)


@pytest.mark.parametrize("first", [False, True], ids=["constant second", "constant first"])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("op", OPERATORS)
def test_with_a_constant(op: str, name: str, first: bool) -> None:
    x, c = SHAPES[name]
    operands = ["c", "x"] if first else ["x", "c"]
    model = layout_forced(op, operands, x, {"c": away_from_zero(*c, seed=3)})
    assert_same_float(model, {"x": away_from_zero(*x)})


PAIRS = {
    "same": ((1, 3, 4, 5), (1, 3, 4, 5)),
    "cube": ((1, 4, 4, 4), (1, 4, 4, 4)),
    "channels": ((1, 3, 4, 5), (1, 3, 1, 1)),
    "lower rank": ((1, 3, 4, 5), (4, 5)),
    "lower rank, cube": ((1, 4, 4, 4), (4, 4)),
    "channel vector": ((1, 4, 4, 4), (4, 1, 1)),
    "both widened": ((1, 3, 4, 1), (1, 1, 4, 5)),
}


@pytest.mark.parametrize("order", [("x", "z"), ("z", "x")])
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("op", OPERATORS)
def test_of_two_values(op: str, name: str, order: tuple[str, str]) -> None:
    x, z = PAIRS[name]
    model = make_hub([helper.make_node(op, list(order), ["y"], "op")], {"x": x, "z": z}, ["y"], {})
    assert_same_float(model, {"x": away_from_zero(*x), "z": away_from_zero(*z, seed=1)})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("name", PAIRS)
def test_int8_of_two_values(op: str, name: str, engine: str) -> None:
    x, z = PAIRS[name]
    model = make_hub([helper.make_node(op, ["x", "z"], ["y"], "op")], {"x": x, "z": z}, ["y"], {})
    samples = [{"x": random(*x, seed=s), "z": random(*z, seed=s + 50) * 3} for s in range(4)]
    hub = quantize(model, samples)
    assert lsb_difference(hub, samples[0], engine).max() <= 1
    assert any(op_.code == op.upper() for op_ in lower(hub).model.operators)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("name", ["scalar", "channels", "cube, width", "vector"])
def test_int8_with_a_constant(op: str, name: str, first: bool, engine: str) -> None:
    x, c = SHAPES[name]
    model = layout_forced(
        op, ["c", "x"] if first else ["x", "c"], x, {"c": away_from_zero(*c, seed=3)}
    )
    samples = [{"x": away_from_zero(*x, seed=s)} for s in range(4)]
    hub = quantize(model, samples, keep_float=("op",) if first and op == "Div" else ())
    steps = lsb_difference(hub, samples[0], engine)
    assert steps.max() <= 1
    used = {o.code for o in lower(hub).model.operators}
    if op == "Div":
        assert ("DIV" in used) == first and ("MUL" in used) != first


def test_int8_division_by_a_value_is_left_in_float() -> None:
    model = make_hub(
        [helper.make_node("Div", ["x", "z"], ["y"], "op")], {"x": (1, 6), "z": (1, 6)}, ["y"], {}
    )
    sample = {"x": random(1, 6), "z": away_from_zero(1, 6)}
    hub = quantize(model, [sample])
    assert [o.code for o in lower(hub).model.operators] == [
        "DEQUANTIZE",
        "DEQUANTIZE",
        "DIV",
        "QUANTIZE",
    ]
    for engine in ENGINES:
        assert lsb_difference(hub, sample, engine).max() <= 1


def test_a_value_with_itself() -> None:
    for op in OPERATORS:
        model = make_hub(
            [helper.make_node(op, ["x", "x"], ["y"], "op")], {"x": (1, 3, 4, 5)}, ["y"], {}
        )
        assert_same_float(model, {"x": away_from_zero(1, 3, 4, 5)})


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_activations_are_fused(op: str, activation: str) -> None:
    more = ["zero", "six"] if activation == "Clip" else []
    nodes = [
        helper.make_node(op, ["x", "z"], ["a"], "op"),
        helper.make_node(activation, ["a", *more], ["y"], "act"),
    ]
    constants = {"zero": np.float32(0), "six": np.float32(6)}
    model = make_hub(nodes, {"x": (1, 3, 4, 5), "z": (1, 3, 4, 5)}, ["y"], constants)
    feeds = {"x": away_from_zero(1, 3, 4, 5) * 3, "z": away_from_zero(1, 3, 4, 5, seed=1)}
    assert [o.code for o in assert_same_float(model, feeds, layouts=("nhwc",)).model.operators] == [
        op.upper()
    ]
    if op != "Div":
        for engine in ENGINES:
            assert lsb_difference(quantize(model, [feeds]), feeds, engine).max() <= 1


def test_two_values_in_different_orders_meet() -> None:
    """A value that lies channels last and one that lies as ONNX has it, H = W = C."""
    eye = np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)
    nodes = [
        helper.make_node("Conv", ["x", "eye"], ["a"], "conv"),
        helper.make_node("Reshape", ["z", "shape"], ["b"], "flat"),
        helper.make_node("Add", ["a", "b"], ["y"], "sum"),
    ]
    constants = {"eye": eye, "shape": np.int64([1, 4, 4, 4])}
    model = make_hub(nodes, {"x": (1, 4, 4, 4), "z": (1, 64)}, ["y"], constants)
    assert_same_float(model, {"x": random(1, 4, 4, 4), "z": random(1, 64, seed=1)})


def test_division_by_zero_is_refused_in_int8() -> None:
    nodes = [helper.make_node("Div", ["x", "c"], ["y"], "op")]
    model = make_hub(nodes, {"x": (1, 2)}, ["y"], {"c": np.float32([1, 0])})
    hub = quantize(model, [{"x": random(1, 2)}], params=None, keep_float=("op",))
    assert "DIV" in {o.code for o in lower(hub).model.operators}
    with pytest.raises(UnsupportedOperatorError, match="Nothing"):
        lower(
            make_hub([helper.make_node("Det", ["x"], ["y"], "Nothing")], {"x": (2, 2)}, ["y"], {})
        )
