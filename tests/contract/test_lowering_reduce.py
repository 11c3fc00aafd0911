"""Reductions and ArgMax / ArgMin over any axes, in every engine."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from edgepress.export.tflite.lower import lower
from edgepress.runtime.errors import UnsupportedOperatorError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.families import check, node, operators, values
from support.lowering import assert_same_float, make_hub

SLOW = settings(max_examples=30, deadline=None, derandomize=True)
SHAPES = [(1, 4, 4, 4), (1, 3, 5, 2), (2, 1, 3, 1), (1, 4, 6), (2, 3), (5,), (1, 2, 3, 2, 2)]


def ints(numbers: object) -> np.ndarray:
    return np.asarray(numbers, np.int64)


def weight(channels: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(channels, channels, 1, 1)).astype(np.float32)


@given(
    st.sampled_from(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"]),
    st.sampled_from(SHAPES),
    st.data(),
)
@SLOW
def test_reduction_over_any_axes(op: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    axes = [a - data.draw(st.sampled_from([0, len(shape)])) for a in axes]
    keep = data.draw(st.integers(0, 1))
    nodes = [node(op, ["x", "axes"], ["y"], keepdims=keep)]
    check(nodes, {"x": shape}, constants={"axes": ints(axes)})


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("keep", [0, 1])
def test_every_subset_of_axes_after_a_convolution_without_a_transpose(op: str, keep: int) -> None:
    subsets = [c for n in (1, 2, 3, 4) for c in itertools.combinations(range(4), n)]
    for axes in subsets:
        nodes = [node("Conv", ["x", "w"], ["c"]), node(op, ["c", "axes"], ["y"], keepdims=keep)]
        constants = {"w": weight(4), "axes": ints(axes)}
        made, _ = check(nodes, {"x": (1, 4, 4, 4)}, constants=constants, lsb=2)  # two roundings
        assert operators(made).count("TRANSPOSE") <= 2  # at the borders of io_layout nchw only


def test_global_mean_is_one_operator() -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("ReduceMean", ["c", "axes"], ["y"], keepdims=0)]
    constants = {"w": weight(4), "axes": ints([2, 3])}
    made, _ = check(nodes, {"x": (1, 4, 4, 4)}, constants=constants, layouts=["nhwc"], lsb=2)
    assert operators(made) == ["CONV_2D", "MEAN"]


def test_all_axes_without_naming_them() -> None:
    check([node("ReduceSum", ["x"], ["y"], keepdims=0)], {"x": (2, 3, 4)})
    check(
        [node("ReduceMean", ["x"], ["m"], keepdims=0), node("Add", ["m", "x"], ["y"])],
        {"x": (2, 3)},
    )


@given(st.sampled_from(["ArgMax", "ArgMin"]), st.sampled_from(SHAPES), st.booleans(), st.data())
@SLOW
def test_position_of_the_extremum(
    op: str, shape: tuple[int, ...], keep: bool, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    nodes = [node(op, ["x"], ["y"], axis=axis, keepdims=int(keep))]
    model = make_hub(nodes, {"x": shape}, ["y"], {}, {"y": onnx.TensorProto.INT64})
    assert_same_float(model, values({"x": shape})[0])


def test_int8_argmax_reads_integers_and_takes_the_first_of_equal_values() -> None:
    from support.lowering import ENGINES, run_onnx, run_tflite
    from support.quantized import quantize, ranges

    nodes = [node("Conv", ["x", "w"], ["c"]), node("ArgMax", ["c"], ["y"], axis=1, keepdims=0)]
    kinds = {"y": onnx.TensorProto.INT64}
    model = make_hub(nodes, {"x": (1, 4, 5, 5)}, ["y"], {"w": weight(4)}, kinds)
    samples = values({"x": (1, 4, 5, 5)}, count=2)
    params = {k: v for k, v in ranges(model, samples).items() if k != "y"}
    quantized = quantize(model, samples, params=params)
    lowered = lower(quantized)
    assert operators(lowered) == ["CONV_2D", "ARG_MAX"]
    from edgepress.export.tflite.write import write

    for engine in ENGINES:
        fed = [np.moveaxis(samples[0]["x"], 1, -1)]
        found = run_tflite(write(lowered.model), fed, engine)[0]
        # two classes within a rounding of the convolution may change places
        assert (found == run_onnx(quantized, samples[0])[0]).mean() >= 0.9


def test_refusals_name_the_attribute() -> None:
    kinds = {"y": onnx.TensorProto.INT64}
    nodes = [node("ArgMax", ["x"], ["y"], axis=1, select_last_index=1)]
    with pytest.raises(UnsupportedOperatorError, match="select_last_index"):
        lower(make_hub(nodes, {"x": (1, 4)}, ["y"], {}, kinds))
    with pytest.raises(UnsupportedOperatorError, match="ReduceProd"):
        lower(make_hub([node("ReduceProd", ["x"], ["y"])], {"x": (1, 4)}, ["y"], {}))
