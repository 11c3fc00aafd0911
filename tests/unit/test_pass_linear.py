"""Gemm in one form, constant factors with fewer nodes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from edgepress.export.onnx import linear, scales
from edgepress.export.onnx.fold import fold_affine
from support.passes import floats, operators, parse, random, rewrite

BIAS = {
    "none": None,
    "vector": (4,),
    "row": (1, 4),
    "scalar": (),
    "one": (1,),
    "matrix": (3, 4),
    "column": (3, 1),
}


@pytest.mark.parametrize("bias", BIAS)
@pytest.mark.parametrize("trans", itertools.product((0, 1), (0, 1)))
@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.5, 2.0)])
def test_gemm_attributes_are_worked_in(
    trans: tuple[int, int], factors: tuple[float, float], bias: str
) -> None:
    a, b = trans
    x = "5,3" if a else "3,5"
    w = random(4, 5) if b else random(5, 4)
    extra = {} if BIAS[bias] is None else {"c": np.asarray(random(*BIAS[bias], seed=3))}
    operands = "x, w" + (", c" if extra else "")
    attributes = f"transA = {a}, transB = {b}, alpha = {factors[0]}, beta = {factors[1]}"
    model = parse(f"(float[{x}] x) => (y) {{ y = Gemm<{attributes}>({operands}) }}", w=w, **extra)
    graph = rewrite(model, linear.normalise_gemm, times=2)
    (gemm,) = [n for n in graph.nodes if n.op == "Gemm"]
    assert gemm.get("transB") == 1 and gemm.get("transA", 0) == 0
    assert gemm.get("alpha", 1.0) == gemm.get("beta", 1.0) == 1.0
    if bias in ("vector", "row", "scalar", "one"):
        assert operators(graph) == (["Transpose"] if a else []) + ["Gemm"]
        assert graph.constants[gemm.inputs[2]].shape == (4,)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_gemm_of_two_values_is_matmul(transposed: int, factor: float) -> None:
    shape = "4,5" if transposed else "5,4"
    text = f"""(float[3,5] x, float[{shape}] z, float[4] c) => (y) {{
        y = Gemm<transB = {transposed}, alpha = {factor}, beta = 3.0>(x, z, c) }}"""
    graph = rewrite(parse(text), linear.normalise_gemm)
    assert "MatMul" in operators(graph) and "Gemm" not in operators(graph)


def test_matmul_takes_a_bias_along() -> None:
    model = parse(
        "(float[1,5] x) => (y) { a = MatMul(x, w) y = Add(c, a) }", w=random(5, 4), c=random(4)
    )
    graph = rewrite(model, linear.matmul_to_gemm)
    assert operators(graph) == ["Gemm"]


@pytest.mark.parametrize("c", [random(3, 4), random(2, 1, 4)])
def test_a_sum_that_is_no_bias_stays(c: np.ndarray) -> None:
    model = parse("(float[3,5] x) => (y) { a = MatMul(x, w) y = Add(a, c) }", w=random(5, 4), c=c)
    assert operators(rewrite(model, linear.matmul_to_gemm)) == ["Gemm", "Add"]


def test_a_weight_two_layers_share_is_transposed_for_each() -> None:
    model = parse(
        "(float[3,4] x) => (y, z) { a = MatMul(x, w) y = MatMul(a, w) z = Mul(w, w) }",
        w=random(4, 4),
    )
    graph = rewrite(model, linear.matmul_to_gemm)
    assert operators(graph).count("Gemm") == 2


@pytest.mark.parametrize("axis", [0, 1, None])
def test_a_dequantized_weight_is_transposed_as_integers(axis: int | None) -> None:
    sizes = {0: 5, 1: 4}
    scale = np.float32(0.5) if axis is None else np.abs(random(sizes[axis])) + np.float32(0.1)
    attributes = "" if axis is None else f"<axis = {axis}>"
    text = f"(float[3,5] x) => (y) {{ w = DequantizeLinear{attributes}(q, s, z) y = MatMul(x, w) }}"
    q = np.random.default_rng(0).integers(-9, 9, (5, 4)).astype(np.int8)
    model = parse(text, q=q, s=scale, z=np.zeros(np.shape(scale), np.int8))
    graph = rewrite(model, linear.matmul_to_gemm)
    dequantize, gemm = graph.sorted_nodes()
    assert gemm.op == "Gemm" and graph.constants[dequantize.inputs[0]].shape == (4, 5)


def test_matmul_of_higher_rank_or_of_a_constant_left_side_stays() -> None:
    for text in ("MatMul(x, w)", "MatMul(u, x)"):
        model = parse(f"(float[2,5,5] x) => (y) {{ y = {text} }}", w=random(5, 4), u=random(4, 5))
        assert operators(rewrite(model, linear.matmul_to_gemm)) == ["MatMul"]


# ----------------------------------------------------------------------------- scales


def test_division_and_subtraction_by_constants_are_turned() -> None:
    model = parse(
        "(float[1,3] x) => (y) { a = Div(x, k) y = Sub(a, t) }", k=floats(2, 4, 8), t=floats(1)
    )
    assert operators(rewrite(model, scales.no_division)) == ["Mul", "Add"]


@pytest.mark.parametrize("text", ["Div(k, x)", "Sub(k, x)", "Div(x, zero)"])
def test_other_divisions_stay(text: str) -> None:
    model = parse(f"(float[1,3] x) => (y) {{ y = {text} }}", k=floats(2), zero=floats(1, 0, 1))
    assert operators(rewrite(model, scales.no_division)) == [text[:3]]


def test_integer_division_stays() -> None:
    model = parse("(int64[4] x) => (int64[4] y) { y = Div(x, k) }", k=np.int64(2))
    assert operators(rewrite(model, scales.no_division)) == ["Div"]


@pytest.mark.parametrize(("op", "count"), [("Mul", 1), ("Add", 1)])
def test_chains_of_constants_are_merged(op: str, count: int) -> None:
    text = f"(float[1,3,2,2] x) => (y) {{ a = {op}(x, p) b = {op}(q, a) y = {op}(b, r) }}"
    model = parse(text, p=random(3, 1, 1), q=floats(2.0), r=random(2, 2))
    assert len(operators(rewrite(model, scales.merge_chains))) == count


def test_a_chain_that_widens_or_is_read_in_the_middle_stays() -> None:
    model = parse("(float[1,3] x) => (y, a) { a = Mul(x, p) y = Mul(a, p) }", p=floats(3))
    assert operators(rewrite(model, scales.merge_chains)) == ["Mul", "Mul"]
    model = parse("(float[1,3] x) => (y) { a = Mul(x, p) y = Mul(a, p) }", p=random(2, 3))
    assert operators(rewrite(model, scales.merge_chains)) == ["Mul", "Mul"]


@pytest.mark.parametrize("order", [("Mul", "Add"), ("Add", "Mul")])
@pytest.mark.parametrize("shape", ["1,3,4", "1,3,4,3"])
def test_a_factor_and_an_offset_per_channel_are_one_convolution(
    order: tuple[str, str], shape: str
) -> None:
    tail = (1,) * (shape.count(",") - 1)
    text = f"(float[{shape}] x) => (y) {{ a = {order[0]}(x, k) y = {order[1]}(a, t) }}"
    model = parse(text, k=random(1, 3, *tail), t=random(3, *tail, seed=2))
    graph = rewrite(model, scales.channel_affine_to_conv)
    assert operators(graph) == ["Conv"]


def test_a_factor_along_the_width_is_no_convolution() -> None:
    text = "(float[1,3,3,3] x) => (y) { a = Mul(x, k) y = Add(a, t) }"
    model = parse(text, k=random(3), t=random(3, 1, 1))
    assert operators(rewrite(model, scales.channel_affine_to_conv)) == ["Mul", "Add"]


def test_attention_scales_queries_only() -> None:
    text = """(float[1,2,3,4] q, float[1,2,4,3] k) => (y) {
        a = Mul(q, s) b = Mul(t, k) y = MatMul(a, b) }"""
    graph = rewrite(parse(text, s=np.float32(0.5), t=np.float32(3)), scales.one_attention_scale)
    assert operators(graph) == ["Mul", "MatMul"]


def test_the_square_of_one_scaled_value_keeps_its_factor() -> None:
    text = "(float[1,3,3] q) => (y) { a = Mul(q, s) y = MatMul(a, a) }"
    assert operators(rewrite(parse(text, s=np.float32(0.5)), scales.one_attention_scale)) == [
        "Mul",
        "MatMul",
    ]


LAYER = {
    "matmul": "h = MatMul(x, w)",
    "matmul and bias": "g = MatMul(x, w) h = Add(c, g)",
    "gemm": "h = Gemm<transB = 1>(x, v, c)",
}


@pytest.mark.parametrize("name", LAYER)
def test_a_scalar_behind_moves_joins_the_layer(name: str) -> None:
    x = "3,4" if name == "gemm" else "1,3,4"
    back = "m = Reshape(h, shape)" if name == "gemm" else "m = Transpose<perm = [0, 2, 1]>(h)"
    constants = {"w": random(4, 6), "v": random(6, 4), "c": random(6), "k": np.float32(0.25)}
    text = f"(float[{x}] x) => (y) {{ {LAYER[name]} {back} y = Mul(m, k) }}"
    graph = rewrite(parse(text, shape=np.int64([2, 9]), **constants), scales.scale_into_layer)
    assert "Mul" not in operators(graph)


def test_a_scalar_does_not_reach_a_layer_somebody_else_reads() -> None:
    text = "(float[1,3,4] x) => (y, z) { h = MatMul(x, w) z = Exp(h) y = Mul(h, k) }"
    graph = rewrite(parse(text, w=random(4, 6), k=np.float32(0.5)), scales.scale_into_layer)
    assert "Mul" in operators(graph)


def test_a_shared_weight_is_copied_before_it_is_scaled() -> None:
    text = "(float[1,4,4] x) => (y) { h = MatMul(x, w) a = Mul(h, k) y = MatMul(a, w) }"
    graph = rewrite(
        parse(text, w=random(4, 4), k=np.float32(0.5)), scales.scale_into_layer, fold_affine
    )
    assert operators(graph) == ["MatMul", "Identity", "MatMul"]


SHARED = {"plain": "", "dequantized": "w = DequantizeLinear(q, s, z)"}


@pytest.mark.parametrize("layer", ["MatMul(x, w)", "Gemm(x, w)"])
@pytest.mark.parametrize("weight", SHARED)
def test_another_reader_of_a_weight_still_finds_it_as_it_was(weight: str, layer: str) -> None:
    q = np.random.default_rng(0).integers(-9, 9, (4, 4)).astype(np.int8)
    integers = {"q": q, "s": np.float32(0.5), "z": np.int8(0)}
    constants = {"w": random(4, 4)} if weight == "plain" else integers
    first = SHARED[weight]
    text = f"(float[3,4] x) => (y, v) {{ {first} y = {layer} r = Transpose(w) v = MatMul(x, r) }}"
    rewrite(parse(text, **constants), linear.normalise_gemm, linear.matmul_to_gemm)
