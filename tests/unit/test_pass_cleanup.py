"""Cleanup, constants and control flow: what computes nothing goes, what does stays, outputs stay equal."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgepress.export.onnx import cleanup, constants, control
from edgepress.export.onnx.defaults import drop_defaults
from edgepress.export.onnx.graph import Graph
from edgepress.runtime.errors import InputError, UnsupportedOperatorError
from support.passes import floats, ints, operators, parse, random, read, rewrite

IDLE = {
    "identity": "Identity(a)",
    "dropout": "Dropout(a)",
    "cast": "Cast<to = 1>(a)",
    "cast like": "CastLike(a, k)",
    "transpose": "Transpose<perm = [0, 1, 2]>(a)",
    "reshape": "Reshape(a, shape)",
    "expand": "Expand(a, shape)",
    "tile": "Tile(a, ones)",
    "slice": "Slice(a, zeros, shape)",
    "pad": "Pad(a, pads)",
    "concat": "Concat<axis = 1>(a)",
    "sum": "Sum(a)",
    "times one": "Mul(a, k)",
    "by one": "Div(a, k)",
    "power one": "Pow(a, k)",
    "plus zero": "Add(a, z)",
    "minus zero": "Sub(a, z)",
}
CONSTANTS = {
    "k": floats(1.0),
    "z": floats(0.0),
    "shape": ints(1, 3, 4),
    "zeros": ints(0, 0, 0),
    "ones": ints(1, 1, 1),
    "pads": ints(0, 0, 0, 0, 0, 0),
}
BUSY = {
    "cast": "Cast<to = 11>(a)",
    "transpose": "Transpose<perm = [0, 2, 1]>(a)",
    "slice": "Slice(a, ones, shape)",
    "pad": "Pad(a, morepads)",
    "concat": "Concat<axis = 1>(a, a)",
    "widening product": "Mul(a, wide)",
    "widening sum": "Add(a, nothing)",
    "one over": "Div(k, a)",
    "zero minus": "Sub(z, a)",
}


@pytest.mark.parametrize("name", IDLE)
def test_what_computes_nothing_is_removed(name: str) -> None:
    model = parse(
        f"(float[1,3,4] x) => (y) {{ a = Tanh(x) b = {IDLE[name]} y = Exp(b) }}", **CONSTANTS
    )
    graph = rewrite(model, cleanup.remove_identities, cleanup.remove_dead)
    assert operators(graph) == ["Tanh", "Exp"]
    assert not graph.constants


@pytest.mark.parametrize("name", BUSY)
def test_what_looks_idle_and_is_not_stays(name: str) -> None:
    more = {
        **CONSTANTS,
        "morepads": ints(0, 0, 0, 0, 0, 1),
        "wide": np.ones((2, 1, 3, 4), np.float32),
        "nothing": np.zeros((2, 3, 4), np.float32),
    }
    model = parse(f"(float[1,3,4] x) => (y) {{ a = Tanh(x) b = {BUSY[name]} y = Exp(b) }}", **more)
    graph = rewrite(model, cleanup.remove_identities, cleanup.remove_dead)
    assert len(operators(graph)) > 2


def test_an_identity_that_writes_a_graph_output_hands_its_name_on() -> None:
    model = parse(
        "(float[1,3] x) => (float[1,3] y, float[1,3] z) { a = Tanh(x) y = Identity(a) z = Exp(a) }"
    )
    graph = rewrite(model, cleanup.remove_identities)
    assert operators(graph) == ["Tanh", "Exp"] and graph.outputs == ["y", "z"]


@pytest.mark.parametrize("body", ["y = Identity(x)", "a = Tanh(x) b = Identity(a) y = Identity(a)"])
def test_inputs_given_back_keep_a_writer(body: str) -> None:
    outputs = "y" if "b =" not in body else "a, y"
    graph = rewrite(parse(f"(float[1,3] x) => ({outputs}) {{ {body} }}"), cleanup.remove_identities)
    assert all(graph.producer(name) is not None for name in graph.outputs)


def test_dead_nodes_constants_and_outputs_disappear() -> None:
    text = """(float[1,4] x) => (y) {
        dead = Exp(x) deader = Add(dead, k)  a, index = TopK(x, two)  y = Tanh(a) }"""
    graph = rewrite(parse(text, k=floats(2.0), two=ints(2)), cleanup.remove_dead)
    assert operators(graph) == ["TopK", "Tanh"]
    assert set(graph.constants) == {"two"}
    assert graph.sorted_nodes()[0].outputs == ["a", "index"]  # TopK must have both


def test_an_output_that_may_be_left_out_is() -> None:
    text = "(float[1,2,4,4] x) => (y) { a, i = MaxPool<kernel_shape = [2, 2]>(x) y = Tanh(a) }"
    assert rewrite(parse(text), cleanup.remove_dead).sorted_nodes()[0].outputs == ["a"]


def test_equal_matrices_are_stored_once_equal_vectors_apart() -> None:
    same = random(3, 3)
    text = """(float[1,3] x) => (y) {
        a = MatMul(x, w1) b = MatMul(a, w2) c = Add(b, v1) y = Add(c, v2) }"""
    model = parse(text, w1=same, w2=same.copy(), v1=floats(1, 2, 3), v2=floats(1, 2, 3))
    graph = rewrite(model, cleanup.share_constants)
    assert sorted(graph.constants) == ["v1", "v2", "w1"]


def test_a_constant_matrix_and_its_bytes_in_another_shape_stay_apart() -> None:
    same = random(2, 3)
    model = parse(
        "(float[1,2] x) => (y) { a = MatMul(x, w1) y = MatMul(a, w2) }",
        w1=same,
        w2=same.reshape(3, 2),
    )
    assert len(rewrite(model, cleanup.share_constants).constants) == 2


def test_everything_that_depends_on_constants_is_folded() -> None:
    text = """(float[1,6] x) => (y) {
        s = Shape(x) n = Gather(s, one) c = Constant<value_float = 2.5>()
        d = Mul(w, c) e = Transpose(d) h = Sqrt(e) a = MatMul(x, h)
        t = Concat<axis = 0>(n1, n) y = Reshape(a, t) }"""
    model = parse(text, one=ints(1), w=np.abs(random(6, 6)), n1=ints(1))
    graph = rewrite(
        model,
        constants.constant_nodes_to_initializers,
        constants.fold_shapes,
        constants.fold_constants,
    )
    assert operators(graph) == ["MatMul", "Reshape"]


def test_quantized_weights_and_random_numbers_are_not_folded() -> None:
    text = """(float[1,2] x) => (y) {
        w = DequantizeLinear(q, s, z) r = RandomUniform<shape = [1, 2], seed = 1.0>()
        a = MatMul(x, w) b = Add(a, r) y = Sub(b, r) }"""
    model = parse(text, q=np.int8([[1, 2], [3, 4]]), s=np.float32(0.5), z=np.int8(0))
    graph = read(model)
    constants.fold_constants(graph)
    assert {"DequantizeLinear", "RandomUniform"} <= set(operators(graph))


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("Shape(x)", [1, 3, 4]),
        ("Shape<start = 1>(x)", [3, 4]),
        ("Shape<start = -2, end = -1>(x)", [3]),
        ("Size(x)", 12),
    ],
)
def test_shape_and_size(op: str, expected: object) -> None:
    model = parse(f"(float[1,3,4] x) => (y) {{ y = {op} }}")
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    graph = rewrite(model, constants.fold_shapes, constants.resolve_constant_outputs)
    (node,) = graph.sorted_nodes()
    assert node.op == "Identity" and node.outputs == ["y"]
    np.testing.assert_array_equal(graph.constants[node.inputs[0]], expected)


def test_constants_of_every_kind_are_read() -> None:
    kinds = {
        "value_float": "= 2.0",
        "value_floats": "= [2.0]",
        "value_int": "= 2",
        "value_ints": "= [2]",
    }
    for kind, value in kinds.items():
        graph = read(
            parse(
                f"(float[1] x) => (y) {{ c = Constant<{kind} {value}>() d = Cast<to = 1>(c) y = Add(x, d) }}"
            )
        )
        constants.constant_nodes_to_initializers(graph)
        assert graph.constants["c"].tolist() in (2, [2])
    text = onnx.helper.make_node("Constant", [], ["c"], value_string="words")
    model = parse("(float[1] x) => (y) { y = Tanh(x) }")
    model.graph.node.insert(0, text)
    with pytest.raises(InputError, match="no dense numeric value"):
        constants.constant_nodes_to_initializers(Graph.read(model))


def conditional(condition: str, **extra: object) -> onnx.ModelProto:
    text = f"""(float[1,3] x) => (float[1,3] y) {{
        a = Tanh(x)
        {condition}
        y = If (c) <
            then_branch = t () => (float[1,3] p) {{ i = Exp(a) p = Mul(i, k) }},
            else_branch = e () => (float[1,3] q) {{ q = Identity(a) }}
        > }}"""
    return parse(text, k=floats(1, 2, 3), **extra)


@pytest.mark.parametrize(
    ("taken", "expected"), [(True, ["Tanh", "Exp", "Mul"]), (False, ["Tanh", "Identity"])]
)
def test_a_known_branch_is_inlined(taken: bool, expected: list[str]) -> None:
    model = conditional("c = Identity(known)", known=np.asarray(taken))
    graph = rewrite(
        model,
        cleanup.remove_identities,
        constants.fold_constants,
        control.inline_constant_ifs,
        cleanup.remove_dead,
    )
    assert operators(graph) == expected


def test_a_branch_on_the_data_is_refused_by_name() -> None:
    graph = read(
        conditional("s = ReduceSum<keepdims = 0>(x) c = Greater(s, zero)", zero=np.float32(0))
    )
    control.inline_constant_ifs(graph)
    with pytest.raises(UnsupportedOperatorError, match="If 'if3'"):
        control.refuse_control_flow(graph, "model.onnx")


def test_renaming_reaches_into_bodies() -> None:
    graph = read(
        conditional("s = ReduceSum<keepdims = 0>(x) c = Greater(s, zero)", zero=np.float32(0))
    )
    graph.rename_output(graph.producer("a"), 0, "renamed")
    (node,) = [n for n in graph.nodes if n.op == "If"]
    assert {"renamed", "k"} <= set(node.reads()) and "a" not in set(node.reads())


def test_default_attributes_are_dropped_and_others_kept() -> None:
    model = parse(
        "(float[1,3] x) => (y) { a = LeakyRelu<alpha = 0.01>(x) y = LeakyRelu<alpha = 0.2>(a) }"
    )
    graph = rewrite(model, drop_defaults)
    first, second = graph.sorted_nodes()
    assert not first.attributes and second.get("alpha") == pytest.approx(0.2)


def test_a_cycle_is_named() -> None:
    graph = read(parse("(float[1,3] x) => (y) { a = Add(x, k) y = Tanh(a) }", k=floats(1)))
    graph.set_input(graph.producer("a"), 1, "y")
    with pytest.raises(InputError, match="cycle"):
        graph.sorted_nodes()
