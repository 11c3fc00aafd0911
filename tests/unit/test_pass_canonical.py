"""One form for means, clips, casts, axes and resizes; data movement in its shortest form."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgepress.export.onnx import canonical, cleanup, layout_ops
from support.passes import floats, ints, operators, parse, rewrite


def test_cast_like_names_its_type() -> None:
    model = parse("(float[1,3] x) => (y) { a = CastLike(x, k) y = Cast<to = 1>(a) }", k=ints(1))
    graph = rewrite(model, canonical.casts_like)
    assert graph.sorted_nodes()[0].get("to") == onnx.TensorProto.INT64


POOLS = {
    "GlobalAveragePool(x)": True,
    "AveragePool<kernel_shape = [4, 5]>(x)": True,
    "AveragePool<kernel_shape = [4, 5], strides = [2, 2]>(x)": True,
    "AveragePool<kernel_shape = [4, 4]>(x)": False,
    "AveragePool<kernel_shape = [3, 4], strides = [2, 2]>(x)": False,
    "AveragePool<kernel_shape = [4, 5], pads = [1, 1, 1, 1], strides = [9, 9]>(x)": False,
    "AveragePool<kernel_shape = [2, 3], dilations = [3, 2]>(x)": False,
    "GlobalMaxPool(x)": False,
}


@pytest.mark.parametrize("pool", POOLS)
def test_an_average_over_everything_is_a_mean(pool: str) -> None:
    graph = rewrite(parse(f"(float[1,3,4,5] x) => (y) {{ y = {pool} }}"), canonical.pools_to_means)
    assert (operators(graph) == ["ReduceMean"]) == POOLS[pool]


@pytest.mark.parametrize("op", canonical.REDUCTIONS)
@pytest.mark.parametrize("axes", [None, ints(-1), ints(2, 1), ints(-2, 0), ints()])
@pytest.mark.parametrize("noop", [0, 1])
def test_reductions_name_their_axes(op: str, axes: np.ndarray | None, noop: int) -> None:
    operands = "x" if axes is None else "x, axes"
    text = f"(float[2,3,4] x) => (y) {{ y = {op}<noop_with_empty_axes = {noop}>({operands}) }}"
    graph = rewrite(
        parse(text, **({} if axes is None else {"axes": axes})), canonical.explicit_reductions
    )
    (node,) = graph.sorted_nodes()
    if noop and (axes is None or not axes.size):
        assert node.op == ("Abs" if op in ("ReduceL1", "ReduceL2") else "Identity")
        return
    named = graph.constants[node.inputs[1]].tolist()
    assert named == sorted(named) and min(named) >= 0


@pytest.mark.parametrize("op", ["Reshape(m, shape)", "Flatten(m)", "Squeeze(m, tail)"])
def test_a_reshape_behind_a_mean_is_part_of_it(op: str) -> None:
    text = f"(float[1,3,4,5] x) => (y) {{ m = ReduceMean(x, tail) y = {op} }}"
    model = parse(text, tail=ints(2, 3), shape=ints(1, 3))
    graph = rewrite(model, canonical.explicit_reductions, canonical.squeeze_into_mean)
    assert operators(graph) == ["ReduceMean"]


@pytest.mark.parametrize("op", ["Reshape(m, wide)", "Flatten<axis = 3>(m)", "Transpose(m)"])
def test_another_reshape_behind_a_mean_stays(op: str) -> None:
    text = f"(float[1,3,4,5] x) => (y) {{ m = ReduceMean(x, tail) y = {op} }}"
    graph = rewrite(parse(text, tail=ints(2, 3), wide=ints(3, 1)), canonical.squeeze_into_mean)
    assert len(operators(graph)) == 2


def test_unsqueeze_in_front_of_a_mean_is_taken_back() -> None:
    text = "(float[1,3,4] x) => (y) { u = Unsqueeze(x, two) y = ReduceMean<keepdims = 0>(u, axes) }"
    model = parse(text, two=ints(2), axes=ints(2, 3))
    graph = rewrite(model, canonical.squeeze_into_mean, cleanup.remove_dead)
    assert operators(graph) == ["ReduceMean"]
    only = "(float[1,3,4] x) => (y) { u = Unsqueeze(x, two) y = ReduceMean<keepdims = 0>(u, two) }"
    assert operators(rewrite(parse(only, two=ints(2)), canonical.squeeze_into_mean)) == [
        "Unsqueeze",
        "ReduceMean",
    ]


CLIPS = {
    "Clip(x, zero)": ["Relu"],
    "Clip(x, zero, huge)": ["Relu"],
    "Clip(x)": ["Identity"],
    "Clip(x, tiny, huge)": ["Identity"],
    "Clip(x, zero, six)": ["Clip"],
    "Clip(x, tiny, six)": ["Clip"],
    "Clip(x, , six)": ["Clip"],
    "Max(x, zero)": ["Relu"],
    "Max(zero, x)": ["Relu"],
    "Max(x, six)": ["Max"],
    "Max(x, zeros)": ["Max"],
    "Max(x, zero, six)": ["Max"],
}


@pytest.mark.parametrize("text", CLIPS)
def test_clips_and_maxima(text: str) -> None:
    numbers = {"zero": np.float32(0), "six": np.float32(6), "huge": np.float32(3.4e38)}
    model = parse(
        f"(float[1,3] x) => (y) {{ y = {text} }}",
        tiny=np.float32(-3.4e38),
        zeros=np.zeros((2, 3), np.float32),
        **numbers,
    )
    graph = rewrite(model, canonical.simplify_clips, times=2)
    assert operators(graph) == CLIPS[text]
    if text == "Clip(x, tiny, six)":
        assert graph.sorted_nodes()[0].inputs == ["x", "", "six"]


def test_integer_clips_stay() -> None:
    model = parse("(int64[3] x) => (int64[3] y) { y = Clip(x, zero) }", zero=np.int64(0))
    assert operators(rewrite(model, canonical.simplify_clips)) == ["Clip"]


@pytest.mark.parametrize(
    "op",
    [
        "Concat<axis = -1>(x, x)",
        "Softmax(x)",
        "Softmax<axis = -2>(x)",
        "LogSoftmax(x)",
        "Gather<axis = -2>(x, index)",
        "Flatten<axis = -1>(x)",
        "ArgMax<axis = -1>(x)",
    ],
)
def test_axes_count_from_the_front(op: str) -> None:
    model = parse(f"(float[2,3,4] x) => (y) {{ y = {op} }}", index=ints(1))
    if op.startswith("ArgMax"):
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    (node,) = rewrite(model, canonical.positive_axes).sorted_nodes()
    assert node.get("axis") >= 0


def test_split_along_a_negative_axis() -> None:
    model = parse("(float[2,3,4] x) => (y, z) { y, z = Split<axis = -1, num_outputs = 2>(x) }")
    assert rewrite(model, canonical.positive_axes).sorted_nodes()[0].get("axis") == 2


def test_resize_without_a_region() -> None:
    text = '(float[1,2,4,4] x) => (y) { y = Resize<mode = "nearest">(x, roi, scales) }'
    model = parse(text, roi=floats(0, 0, 0, 0, 1, 1, 1, 1), scales=floats(1, 1, 2, 2))
    assert rewrite(model, canonical.tidy_resizes).sorted_nodes()[0].inputs == ["x", "", "scales"]


# ----------------------------------------------------------------------------- moves

MOVES = {
    "two reshapes": ("a = Reshape(x, s1) b = Reshape(a, s2)", ["Reshape"]),
    "flatten, unsqueeze": ("a = Flatten(x) b = Unsqueeze(a, one)", ["Reshape"]),
    "two transposes": (
        "a = Transpose<perm = [0, 2, 1]>(x) b = Transpose<perm = [1, 0, 2]>(a)",
        ["Transpose"],
    ),
    "reversed twice": ("a = Transpose(x) b = Transpose(a)", ["Transpose"]),
    "transpose of ones": ("a = Transpose<perm = [1, 0, 2]>(x) b = Reshape(a, s2)", ["Reshape"]),
    "real transpose": (
        "a = Transpose<perm = [0, 2, 1]>(x) b = Reshape(a, s2)",
        ["Transpose", "Reshape"],
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_are_merged(name: str) -> None:
    body, expected = MOVES[name]
    text = f"(float[1,4,6] x0) => (y) {{ x = Tanh(x0) {body} y = Exp(b) }}"
    model = parse(text, s1=ints(4, 6), s2=ints(8, 3), one=ints(1))
    graph = rewrite(
        model,
        layout_ops.simplify_transposes,
        layout_ops.merge_reshapes,
        cleanup.remove_dead,
        times=2,
    )
    assert operators(graph)[1:-1] == expected


def test_a_reshape_somebody_else_reads_stays() -> None:
    text = "(float[2,3] x) => (y, z) { a = Reshape(x, s1) y = Reshape(a, s2) z = Exp(a) }"
    graph = rewrite(parse(text, s1=ints(6), s2=ints(3, 2)), layout_ops.merge_reshapes)
    assert operators(graph).count("Reshape") == 2


@pytest.mark.parametrize("target", [ints(0, -1), ints(0, 0, -1), ints(-1), ints(1, 3, 4)])
def test_reshapes_say_their_shape(target: np.ndarray) -> None:
    graph = rewrite(
        parse("(float[1,3,4] x) => (y) { y = Reshape(x, s) }", s=target),
        layout_ops.explicit_reshapes,
    )
    (node,) = graph.sorted_nodes()
    assert tuple(graph.constants[node.inputs[1]]) == graph.shape("y")


SLICES = {
    "two axes": ("a = Slice(x, zero, three, one) b = Slice(a, one, four, two)", 1),
    "one axis twice": ("a = Slice(x, one, four, one) b = Slice(a, one, three, one)", 2),
    "negative bounds": ("b = Slice(x, minus3, minus1, one)", 1),
    "beyond the end": ("b = Slice(x, one, many, two)", 1),
    "with steps": ("a = Slice(x, zero, many, one, two) b = Slice(a, zero, many, two, one)", 1),
    "backwards": ("b = Slice(x, minus1, minus9, one, minus1)", 1),
    "without axes": ("b = Slice(x, starts, ends)", 1),
}


@pytest.mark.parametrize("name", SLICES)
def test_slices_are_merged_and_explicit(name: str) -> None:
    body, count = SLICES[name]
    numbers = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "many": 2**40}
    numbers |= {"minus1": -1, "minus3": -3, "minus9": -9}
    constants = {key: ints(value) for key, value in numbers.items()}
    text = f"(float[1,5,6] x) => (y) {{ {body} y = Exp(b) }}"
    model = parse(text, starts=ints(0, 1), ends=ints(1, -1), **constants)
    graph = rewrite(model, layout_ops.merge_slices, cleanup.remove_dead)
    slices = [node for node in graph.sorted_nodes() if node.op == "Slice"]
    assert len(slices) == count
    if name != "backwards":
        for node in slices:
            bounds = np.concatenate([graph.constants[n] for n in node.inputs[1:4]])
            assert bounds.min() >= 0 and bounds.max() <= 6


SELECTIONS = {
    "gather": ("b = Gather<axis = 1>(c, one)", True),
    "scalar gather": ("b = Gather<axis = 1>(c, minus)", True),
    "slice": ("b = Slice(c, begin, end, axes)", True),
    "behind a reshape": ("r = Reshape(c, shape) b = Gather(r, one)", True),
    "two parts": ("b = Slice(c, begin, endless, axes)", False),
    "other axis": ("b = Gather<axis = 2>(c, one)", False),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_taking_a_part_of_a_concat_reads_the_part(name: str) -> None:
    body, found = SELECTIONS[name]
    text = f"""(float[1,1,4] p, float[1,1,4] q, float[1,1,4] r0) => (y) {{
        c = Concat<axis = 1>(p, q, r0) {body} y = Exp(b) }}"""
    constants = {
        "begin": ints(1),
        "end": ints(2),
        "endless": ints(9),
        "axes": ints(1),
        "shape": ints(3, 4),
    }
    model = parse(text, one=ints(1), minus=np.int64(-1), **constants)
    graph = rewrite(model, layout_ops.select_from_concat, cleanup.remove_dead)
    assert ("Concat" not in operators(graph)) == found


def test_gather_nd_by_rows_is_gather() -> None:
    model = parse("(float[4,3] x) => (y) { y = GatherND(x, i) }", i=np.int64([[1], [3]]))
    assert operators(rewrite(model, layout_ops.gather_nd_to_gather)) == ["Gather"]
    model = parse("(float[4,3] x) => (y) { y = GatherND(x, i) }", i=np.int64([[1, 2]]))
    assert operators(rewrite(model, layout_ops.gather_nd_to_gather)) == ["GatherND"]


@pytest.mark.parametrize("split", [None, np.int64(2), ints(1, 3)])
def test_sequences_with_known_positions_are_tensors(split: np.ndarray | None) -> None:
    operands = "x" if split is None else "x, s"
    text = f"""(float[4,3] x) => (float[m,n] y) {{
        q = SplitToSequence<axis = 0>({operands}) a = SequenceAt(q, zero) b = SequenceAt(q, one)
        r = SequenceConstruct(b, a) y = ConcatFromSequence<axis = 0>(r) }}"""
    constants = {"zero": np.int64(0), "one": np.int64(1)} | ({} if split is None else {"s": split})
    graph = rewrite(
        parse(text, **constants),
        layout_ops.static_sequences,
        cleanup.remove_identities,
        cleanup.remove_dead,
    )
    assert operators(graph) == ["Split", "Concat"]
