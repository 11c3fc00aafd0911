"""Comparisons, Where, Max, Min, logic and Cast, in every engine; int8 comparisons decide as the real numbers do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.qparams import QParams
from edgepress.export.tflite.lower import lower
from edgepress.export.tflite.write import write
from edgepress.runtime.errors import UnsupportedOperatorError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from support.families import check, node, operators, values
from support.lowering import ENGINES, assert_same_float, make_hub, run_onnx, run_tflite
from support.quantized import quantize

COMPARISONS = ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"]
PAIRS = [
    ((1, 4, 4, 4), (1, 4, 4, 4)),
    ((1, 4, 4, 4), (4, 1, 1)),
    ((2, 3), (3,)),
    ((1, 3, 5), (1, 1, 1)),
    ((5,), (1,)),
]
SLOW = settings(max_examples=25, deadline=None, derandomize=True)


def coarse(shapes: dict[str, Any]) -> dict[str, np.ndarray]:
    """Small integers as floats, so that equal values occur."""
    rng = np.random.default_rng(2)
    return {n: rng.integers(-2, 3, s).astype(np.float32) for n, s in shapes.items()}


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_comparison_in_float(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    model = make_hub(
        [node(op, ["a", "b"], ["y"])], {"a": a, "b": b}, ["y"], {}, {"y": TensorProto.BOOL}
    )
    assert_same_float(model, coarse({"a": a, "b": b}))
    flipped = make_hub(
        [node(op, ["k", "a"], ["y"])],
        {"a": a},
        ["y"],
        {"k": np.float32(1.0)},
        {"y": TensorProto.BOOL},
    )
    assert_same_float(flipped, coarse({"a": a}))


def all_pairs(params: dict[str, QParams]) -> dict[str, np.ndarray]:
    """Every pair of int8 values of two tensors, as real numbers."""
    grid = np.arange(-128, 128)
    q = np.meshgrid(grid, grid, indexing="ij")
    return {n: params[n].dequantize(part).reshape(1, -1) for n, part in zip("ab", q, strict=True)}


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize(
    ("a", "b", "integers"),
    [
        ((0.05, 3), (0.05, 3), True),
        ((0.05, 3), (0.03, -7), False),
        ((0.001, 0), (0.001, 0), False),
        ((1.5, 0), (1.5, 0), False),
    ],
)
def test_int8_comparison_of_all_pairs(
    op: str, a: tuple[float, int], b: tuple[float, int], integers: bool
) -> None:
    params = {n: QParams((float(np.float32(s)),), (z,)) for n, (s, z) in (("a", a), ("b", b))}
    feeds = all_pairs(params)
    shapes = {n: v.shape for n, v in feeds.items()}
    model = make_hub([node(op, ["a", "b"], ["y"])], shapes, ["y"], {}, {"y": TensorProto.BOOL})
    quantized = quantize(model, [], params=params)
    lowered = lower(quantized)
    assert ("DEQUANTIZE" not in operators(lowered)) == integers
    wanted = run_onnx(quantized, feeds)[0]
    for engine in ENGINES:
        np.testing.assert_array_equal(
            run_tflite(write(lowered.model), list(feeds.values()), engine)[0], wanted
        )


@given(
    st.sampled_from(COMPARISONS),
    st.floats(-8, 8, width=32),
    st.booleans(),
    st.sampled_from([0.05, 0.004]),
)
@SLOW
def test_int8_comparison_with_any_constant(
    op: str, number: float, left: bool, scale: float
) -> None:
    params = {"a": QParams((float(np.float32(scale)),), (-5,))}
    feeds = {"a": params["a"].dequantize(np.arange(-128, 128)).reshape(1, -1)}
    names = ["k", "a"] if left else ["a", "k"]
    model = make_hub(
        [node(op, names, ["y"])],
        {"a": (1, 256)},
        ["y"],
        {"k": np.float32(number)},
        {"y": TensorProto.BOOL},
    )
    quantized = quantize(model, [], params=params)
    wanted = run_onnx(quantized, feeds)[0]
    for engine in ENGINES:
        found = run_tflite(write(lower(quantized).model), list(feeds.values()), engine)[0]
        np.testing.assert_array_equal(found, wanted)


def test_a_threshold_stays_int8() -> None:
    params = {"a": QParams((float(np.float32(0.05)),), (0,))}
    model = make_hub(
        [node("Greater", ["a", "k"], ["y"])],
        {"a": (1, 8)},
        ["y"],
        {"k": np.float32(1.02)},
        {"y": TensorProto.BOOL},
    )
    assert operators(lower(quantize(model, [], params=params))) == ["GREATER"]


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("op", ["Max", "Min"])
def test_extrema_of_two_three_and_constants(op: str, a: Any, b: Any) -> None:
    check([node(op, ["a", "b"], ["y"])], {"a": a, "b": b})
    check([node(op, ["b", "a", "b"], ["y"])], {"a": a, "b": b})
    check([node(op, ["k", "a"], ["y"])], {"a": a}, constants={"k": np.float32(0.25)})
    check([node(op, ["a"], ["t"]), node("Relu", ["t"], ["y"])], {"a": a})


@pytest.mark.parametrize(("a", "b"), PAIRS[:4])  # the samples of one value have a tiny scale
def test_where(a: Any, b: Any) -> None:
    nodes = [node("Greater", ["a", "k"], ["c"]), node("Where", ["c", "a", "b"], ["y"])]
    # 0.013 lies on no value of the samples' int8 grid, so both sides decide alike
    check(nodes, {"a": a, "b": b}, constants={"k": np.float32(0.013)})
    nodes = [node("Less", ["b", "k"], ["c"]), node("Where", ["c", "zero", "a"], ["y"])]
    check(nodes, {"a": a, "b": b}, constants={"k": np.float32(0.013), "zero": np.float32(0.5)})


def test_where_with_a_constant_mask_after_a_convolution() -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (1, 1, 4, 4)).astype(bool)
    w = rng.normal(size=(4, 4, 1, 1)).astype(np.float32)
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Where", ["mask", "c", "low"], ["y"])]
    constants = {"w": w, "mask": mask, "low": np.float32(-1.0)}
    made, _ = check(
        nodes, {"x": (1, 4, 4, 4)}, constants=constants, layouts=["nhwc"], lsb=2
    )  # conv
    assert operators(made) == ["CONV_2D", "SELECT_V2"]


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_logic(op: str) -> None:
    nodes = [
        node("Greater", ["a", "b"], ["p"]),
        node("Less", ["a", "k"], ["q"]),
        node("Not", ["q"], ["n"]),
        node(op, ["p", "n"], ["y"]),
    ]
    shapes = {"a": (1, 3, 4, 4), "b": (3, 1, 1)}
    model = make_hub(nodes, shapes, ["y"], {"k": np.float32(0.5)}, {"y": TensorProto.BOOL})
    assert_same_float(model, coarse(shapes))


KINDS = {
    TensorProto.FLOAT: np.float32,
    TensorProto.INT32: np.int32,
    TensorProto.INT64: np.int64,
    TensorProto.BOOL: np.bool_,
}


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_cast(source: int, target: int) -> None:
    model = make_hub(
        [node("Cast", ["x"], ["y"], to=target)],
        {"x": (1, 3, 4)},
        ["y"],
        {},
        {"x": source, "y": target},
    )
    feeds = values({"x": (1, 3, 4)})[0]["x"] * 3
    assert_same_float(model, {"x": feeds.astype(KINDS[source])})


def test_cast_to_another_type_is_refused() -> None:
    kinds = {"y": TensorProto.UINT8}
    model = make_hub(
        [node("Cast", ["x"], ["y"], to=onnx.TensorProto.UINT8)], {"x": (1, 3)}, ["y"], {}, kinds
    )
    with pytest.raises(UnsupportedOperatorError, match="uint8"):
        lower(model)
