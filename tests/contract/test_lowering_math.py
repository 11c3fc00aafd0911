"""Functions of one tensor, and normalisations over the data, in every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgepress.export.tflite.lower import lower
from edgepress.runtime.errors import UnsupportedOperatorError
from support.families import check, node, operators, values
from support.lowering import assert_same_float, make_hub

SHAPES = [(1, 4, 4, 4), (1, 3, 5), (2, 3), (5,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("op", "lsb"), [("Abs", 1), ("Neg", 1), ("Exp", 1), ("Sign", 1)])
def test_float_and_int8(op: str, lsb: float, shape: tuple[int, ...]) -> None:
    check([node(op, ["x"], ["y"])], {"x": shape}, lsb=lsb)


@pytest.mark.parametrize("op", ["Floor", "Ceil", "Round", "Sin", "Cos"])
def test_float_only(op: str) -> None:
    for shape in SHAPES:
        check([node(op, ["x"], ["y"])], {"x": shape}, lsb=None)


def test_round_takes_halves_to_even() -> None:
    model = make_hub([node("Round", ["x"], ["y"])], {"x": (1, 8)}, ["y"], {})
    feeds = np.asarray([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 0.49999997]], np.float32)
    assert_same_float(model, {"x": feeds})


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Reciprocal"])
def test_of_positive_numbers(op: str) -> None:
    nodes = [node("Abs", ["x"], ["a"]), node("Add", ["a", "k"], ["p"]), node(op, ["p"], ["y"])]
    for shape in SHAPES:
        check(nodes, {"x": shape}, constants={"k": np.float32(0.5)}, lsb=None)


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Floor"])
def test_without_an_int8_kernel_runs_in_float_between_borders(op: str) -> None:
    from support.families import check_int8

    nodes = [node("Abs", ["x"], ["a"]), node("Add", ["a", "k"], ["p"]), node(op, ["p"], ["y"])]
    model = make_hub(nodes, {"x": (1, 6)}, ["y"], {"k": np.float32(0.5)})
    codes = ["ABS", "ADD", "DEQUANTIZE", op.upper(), "QUANTIZE"]
    # Floor: one step of its input moves its output by a whole unit
    check_int8(model, {"x": (1, 6)}, lsb=1.0 if op != "Floor" else 256.0, computes_int8=codes)


@pytest.mark.parametrize("power", [2.0, 3.0, 1.0, 0.5, -0.5, -1.0, 1.7, 0.0])
def test_pow_with_a_constant_exponent(power: float) -> None:
    nodes = [
        node("Abs", ["x"], ["a"]),
        node("Add", ["a", "k"], ["p"]),
        node("Pow", ["p", "e"], ["y"]),
    ]
    constants = {"k": np.float32(0.5), "e": np.float32(power)}
    check(nodes, {"x": (1, 4, 3, 3)}, constants=constants, lsb=None)


def test_pow_of_negative_numbers_and_with_two_tensors() -> None:
    check([node("Pow", ["x", "e"], ["y"])], {"x": (1, 4)}, constants={"e": np.float32(2)}, lsb=None)
    nodes = [node("Abs", ["x"], ["a"]), node("Pow", ["a", "b"], ["y"])]
    check(nodes, {"x": (1, 4, 3), "b": (1, 1, 3)}, lsb=None)


def test_erf_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperatorError, match="Erf outside a Gelu"):
        lower(make_hub([node("Erf", ["x"], ["y"])], {"x": (1, 4)}, ["y"], {}))


@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 5, 8), -1), ((1, 4, 4, 4), 1), ((1, 4, 4, 4), 3), ((2, 6), 1)]
)
@pytest.mark.parametrize("after_conv", [False, True])
def test_layer_normalization(shape: tuple[int, ...], axis: int, after_conv: bool) -> None:
    if after_conv and len(shape) != 4:
        return
    rng = np.random.default_rng(0)
    inner = shape[axis:] if axis >= 0 else shape[-1:]
    constants: dict[str, Any] = {
        "scale": rng.normal(size=inner).astype(np.float32),
        "bias": rng.normal(size=inner).astype(np.float32),
    }
    nodes = []
    if after_conv:
        constants["w"] = rng.normal(size=(4, 4, 1, 1)).astype(np.float32)
        nodes = [node("Conv", ["x", "w"], ["c"])]
    nodes.append(
        node("LayerNormalization", ["c" if after_conv else "x", "scale", "bias"], ["y"], axis=axis)
    )
    made, _ = check(nodes, {"x": shape}, constants=constants, lsb=None, layouts=["nhwc"])
    assert "TRANSPOSE" not in operators(made) or len(shape) == 3


@pytest.mark.parametrize("op", ["InstanceNormalization", "Softplus", "Mish"])
def test_rarer_operators_are_written_out(op: str) -> None:
    ones = np.linspace(0.5, 1.5, 4, dtype=np.float32)
    inputs = ["x", "s", "s"] if "Norm" in op else ["x"]
    constants = {"s": ones} if "Norm" in op else {}
    model = make_hub([node(op, inputs, ["y"])], {"x": (1, 4, 3, 3)}, ["y"], constants)
    assert_same_float(model, values({"x": (1, 4, 3, 3)})[0])
