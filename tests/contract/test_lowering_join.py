"""Concat, Split, Slice, Pad and Gather in every engine, in ONNX's axis order and channels last."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgepress.export.tflite.lower import lower
from edgepress.runtime.errors import UnsupportedOperatorError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.families import check, node, operators
from support.lowering import assert_same_float, make_hub

SLOW = settings(max_examples=20, deadline=None, derandomize=True)
SHAPES = [(1, 4, 4, 4), (1, 3, 5, 2), (2, 1, 3, 1), (1, 4, 4), (2, 3), (5,), (1, 2, 3, 2, 2)]


def ints(values: object) -> np.ndarray:
    return np.asarray(values, np.int64)


def weight(channels: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(channels, channels, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_concat_along_every_axis(shape: tuple[int, ...]) -> None:
    for axis in range(-len(shape), len(shape)):
        other = list(shape)
        other[axis] = 3
        check([node("Concat", ["a", "b", "a"], ["y"], axis=axis)], {"a": shape, "b": other})


def test_concat_of_a_turned_and_a_plain_tensor_and_a_constant() -> None:
    shape = (1, 4, 4, 4)
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Concat", ["k", "c", "x"], ["y"], axis=1)]
    constant = np.random.default_rng(5).normal(size=(1, 2, 4, 4)).astype(np.float32)
    made, _ = check(
        nodes, {"x": shape}, constants={"w": weight(4), "k": constant}, layouts=["nhwc"]
    )
    assert operators(made) == ["CONV_2D", "CONCATENATION"]


def test_int8_concat_brings_its_inputs_to_one_scale() -> None:
    nodes = [
        node("Mul", ["x", "big"], ["m"]),
        node("Concat", ["x", "m"], ["y"], axis=1),
    ]
    _, made = check(nodes, {"x": (1, 3, 4, 4)}, constants={"big": np.float32(8.0)})
    assert made is not None and len(made.extra_quantize) == 1
    assert all("Concat" in reason for _, reason in made.extra_quantize)


@given(st.sampled_from(SHAPES), st.data())
@SLOW
def test_split_in_any_sizes(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    length = shape[axis]
    cuts = sorted(data.draw(st.sets(st.integers(1, max(length - 1, 1)), max_size=3)))
    cuts = [cut for cut in cuts if cut < length]
    sizes = np.diff([0, *cuts, length])
    names = [f"p{i}" for i in range(len(sizes))]
    nodes = [node("Split", ["x", "sizes"], names, axis=axis)]
    check(nodes, {"x": shape}, names, {"sizes": ints(sizes)})


def test_split_of_which_one_part_is_read_is_a_slice() -> None:
    nodes = [node("Split", ["x", "sizes"], ["a", "b", "c"], axis=1), node("Relu", ["b"], ["y"])]
    made, _ = check(
        nodes, {"x": (1, 6, 3, 3)}, constants={"sizes": ints([1, 3, 2])}, layouts=["nhwc"]
    )
    assert operators(made)[0] == "SLICE"


@given(st.sampled_from(SHAPES), st.data())
@SLOW
def test_slice_with_any_bounds_and_steps(shape: tuple[int, ...], data: st.DataObject) -> None:
    axes, starts, ends, steps = [], [], [], []
    for axis, length in enumerate(shape):
        step = data.draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        start = data.draw(st.integers(-length - 2, length + 1))
        end = data.draw(st.sampled_from([-(2**31), -1, 0, 1, length - 1, 2**31 - 1]))
        if len(range(*slice(start, end, step).indices(length))) == 0:
            continue
        axes.append(axis - data.draw(st.sampled_from([0, len(shape)])))
        starts.append(start), ends.append(end), steps.append(step)
    if not axes:
        return
    constants = {"s": ints(starts), "e": ints(ends), "a": ints(axes), "st": ints(steps)}
    check([node("Slice", ["x", "s", "e", "a", "st"], ["y"])], {"x": shape}, constants=constants)


def test_a_slice_without_elements_is_refused() -> None:
    constants = {"s": ints([2]), "e": ints([2]), "a": ints([1])}
    model = make_hub([node("Slice", ["x", "s", "e", "a"], ["y"])], {"x": (1, 4)}, ["y"], constants)
    with pytest.raises(UnsupportedOperatorError, match="without elements"):
        lower(model)


@given(
    st.sampled_from([s for s in SHAPES if len(s) <= 4]),
    st.sampled_from(
        [("constant", 0.0), ("constant", 0.5), ("edge", 0.0), ("reflect", 0.0), ("wrap", 0.0)]
    ),
    st.data(),
)
@SLOW
def test_pad_in_every_mode(
    shape: tuple[int, ...], how: tuple[str, float], data: st.DataObject
) -> None:
    mode, value = how
    limit = {"reflect": lambda n: n - 1, "wrap": lambda n: n}.get(mode, lambda n: 3)
    pads = [data.draw(st.integers(0, min(3, limit(n)))) for n in (*shape, *shape)]
    inputs = ["x", "pads"] + (["value"] if value else [])
    constants = {"pads": ints(pads)} | ({"value": np.float32(value)} if value else {})
    check([node("Pad", inputs, ["y"], mode=mode)], {"x": shape}, constants=constants)


def test_pad_with_axes_after_a_convolution() -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Pad", ["c", "pads", "", "axes"], ["y"])]
    constants = {"w": weight(4), "pads": ints([1, 0, 2, 1]), "axes": ints([-1, 1])}
    made, _ = check(nodes, {"x": (1, 4, 4, 4)}, constants=constants, layouts=["nhwc"])
    assert operators(made) == ["CONV_2D", "PAD"]


def test_negative_pads_are_refused() -> None:
    constants = {"pads": ints([0, -1, 0, 0])}
    model = make_hub([node("Pad", ["x", "pads"], ["y"])], {"x": (2, 3)}, ["y"], constants)
    with pytest.raises(UnsupportedOperatorError, match="negative"):
        lower(model)


@pytest.mark.parametrize("indices", [2, -1, [0], [2, 0, -1], [[0, 1], [2, -3]]])
@pytest.mark.parametrize("shape", [(1, 3, 3, 3), (3, 4), (4, 3, 3)])
def test_gather_of_constant_indices(shape: tuple[int, ...], indices: object) -> None:
    for axis in [axis for axis, length in enumerate(shape) if length == 3]:
        nodes = [node("Gather", ["x", "i"], ["g"], axis=axis), node("Relu", ["g"], ["y"])]
        if np.ndim(indices) + len(shape) - 1 <= 5:
            check(nodes, {"x": shape}, constants={"i": ints(indices)})


@pytest.mark.parametrize("kind", [onnx.TensorProto.INT64, onnx.TensorProto.INT32])
def test_embedding_lookup(kind: int) -> None:
    table = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float32)
    nodes = [node("Gather", ["table", "ids"], ["e"]), node("Relu", ["e"], ["y"])]
    model = make_hub(nodes, {"ids": (1, 6)}, ["y"], {"table": table}, {"ids": kind})
    dtype = np.int64 if kind == onnx.TensorProto.INT64 else np.int32
    ids = np.asarray([[0, 9, 3, 3, 1, 5]], dtype)
    assert_same_float(model, {"ids": ids})


def test_int8_embedding_table_stays_int8() -> None:
    from support.quantized import quantize

    table = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float32)
    nodes = [node("Gather", ["table", "ids"], ["e"]), node("Relu", ["e"], ["y"])]
    model = make_hub(nodes, {"ids": (6,)}, ["y"], {"table": table}, {"ids": onnx.TensorProto.INT64})
    from edgepress.compress.quantization.qparams import affine

    params = {"e": affine(table.min(), table.max()), "y": affine(0, table.max())}
    lowered = lower(quantize(model, [], params=params))
    assert operators(lowered) == ["GATHER", "RELU"]
    assert lowered.model.tensors[lowered.model.operators[0].inputs[0]].dtype == "int8"


MOVES = {
    "Transpose": (node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]), {}),
    "Reshape": (node("Reshape", ["c", "k"], ["y"]), {"k": [1, 16, 4]}),
    "Slice": (node("Slice", ["c", "k", "e"], ["y"]), {"k": [0, 1], "e": [1, 3]}),
    "Split": (node("Split", ["c"], ["y", "z"], axis=1, num_outputs=2), {}),
    "Split of one": (node("Split", ["c"], ["y", "idle"], axis=1, num_outputs=2), {}),
    "Concat": (node("Concat", ["c", "c"], ["y"], axis=1), {}),
    "Pad": (node("Pad", ["c", "k"], ["y"]), {"k": [0, 0, 1, 1, 0, 0, 0, 2]}),
    "Gather": (node("Gather", ["c", "k"], ["y"], axis=1), {"k": [3, 0]}),
    "ReduceMax": (node("ReduceMax", ["c", "k"], ["y"]), {"k": [2, 3]}),
    "Expand": (node("Expand", ["c", "k"], ["y"]), {"k": [3, 4, 4, 4]}),
    "DepthToSpace": (node("DepthToSpace", ["c"], ["y"], blocksize=2), {}),
    "Resize": (node("Resize", ["c", "", "", "k"], ["y"]), {"k": [1, 4, 8, 8]}),
}


@pytest.mark.parametrize("name", MOVES)
def test_int8_moves_under_other_parameters_cost_one_recorded_quantize(name: str) -> None:
    from edgepress.compress.quantization.qparams import affine
    from support.families import values
    from support.lowering import ENGINES, lsb_difference
    from support.quantized import quantize, ranges

    operator, constants = MOVES[name]
    nodes = [node("Conv", ["x", "w"], ["c"]), operator]
    outputs = [out for out in operator.output if out != "idle"]
    shapes = {"x": (1, 4, 4, 4)}
    held = {"w": weight(4), **{k: ints(v) for k, v in constants.items()}}
    model = make_hub(nodes, shapes, outputs, held)
    samples = values(shapes, count=2)
    params = {**ranges(model, samples), "y": affine(-3.0, 5.0)}  # narrower: it saturates
    quantized = quantize(model, samples, params=params)
    lowered = lower(quantized)
    assert operators(lowered).count("QUANTIZE") == len(lowered.extra_quantize) == 1
    assert "DEQUANTIZE" not in operators(lowered)
    for engine in ENGINES:
        # the convolution's step, in the finer steps of the output, and one more for the QUANTIZE
        assert lsb_difference(quantized, samples[0], engine).max() <= 4
