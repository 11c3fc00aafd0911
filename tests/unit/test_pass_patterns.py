"""Activations and normalisations recognised, and operators written out for engines that lack them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgepress.export.onnx import patterns
from edgepress.export.onnx.check import assert_same, random_feeds
from edgepress.export.onnx.cleanup import remove_dead
from edgepress.export.onnx.decompose import decompose
from support.lowering import run_onnx
from support.passes import floats, ints, operators, parse, random, rewrite

NUMBERS = {
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "root": 1 / np.sqrt(2),
    "tanhroot": np.sqrt(2 / np.pi),
    "cubic": 0.044715,
    "zero": 0.0,
    "six": 6.0,
    "sixth": 1 / 6,
    "other": 0.7,
}
SCALARS = {name: np.float32(value) for name, value in NUMBERS.items()}

GELU = "b = Mul(a, {r}) c = Erf(b) d = Add(c, one) "
TANH = """a2 = Pow(a, three) a3 = Mul(a2, cubic) a4 = Add(a, a3) a5 = Mul(a4, tanhroot)
    c = Tanh(a5) d = Add(one, c) """
ACTIVATIONS = {
    "gelu": (GELU.format(r="root") + "e = Mul(a, d) y = Mul(e, half)", "Gelu"),
    "gelu, half first": (GELU.format(r="root") + "e = Mul(half, a) y = Mul(e, d)", "Gelu"),
    "tanh gelu": (TANH + "e = Mul(d, half) y = Mul(a, e)", "Gelu"),
    "hard swish": ("h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(a) y = Mul(a, h)", "HardSwish"),
    "hard swish by clip": (
        "b = Add(a, three) c = Clip(b, zero, six) d = Mul(a, c) y = Mul(d, sixth)",
        "HardSwish",
    ),
    "wrong slope": ("h = HardSigmoid(a) y = Mul(a, h)", ""),
    "wrong root": (GELU.format(r="other") + "e = Mul(a, d) y = Mul(e, half)", ""),
    "wrong half": (GELU.format(r="root") + "e = Mul(a, d) y = Mul(e, other)", ""),
    "wrong gate": (
        "b = Add(a, three) c = Clip(b, zero, three) d = Mul(a, c) y = Mul(d, sixth)",
        "",
    ),
    "other value": (GELU.format(r="root") + "f = Neg(a) e = Mul(f, d) y = Mul(e, half)", ""),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_recognised(name: str) -> None:
    body, found = ACTIVATIONS[name]
    model = parse(f"(float[2,5] x) => (y) {{ a = Tanh(x) {body} }}", **SCALARS)
    graph = rewrite(model, patterns.fuse_activations, remove_dead)
    if found:
        assert operators(graph) == ["Tanh", found]
        kind = "tanh" if "tanh" in name else None
        assert graph.sorted_nodes()[1].get("approximate") == kind
    else:
        assert not {"Gelu", "HardSwish"} & set(operators(graph))


NORM = """m = ReduceMean(a, axes) c = Sub(a, m) {square} v = ReduceMean(s, axes)
    p = Add(v, eps) r = Sqrt(p) n = Div(c, r) """
NORMS = {
    "plain": (NORM.format(square="s = Mul(c, c)") + "y = Exp(n)", True),
    "power": (NORM.format(square="s = Pow(c, two)") + "y = Exp(n)", True),
    "affine": (NORM.format(square="s = Mul(c, c)") + "f = Mul(n, g) y = Add(f, b)", True),
    "bias only": (NORM.format(square="s = Mul(c, c)") + "y = Add(b, n)", True),
    "no square": (NORM.format(square="s = Mul(c, a)") + "y = Exp(n)", False),
    "cube": (NORM.format(square="s = Pow(c, three)") + "y = Exp(n)", False),
}


@pytest.mark.parametrize("axes", [ints(2), ints(-1), ints(1, 2)])
@pytest.mark.parametrize("name", NORMS)
def test_layer_normalisations_are_recognised(name: str, axes: np.ndarray) -> None:
    body, found = NORMS[name]
    shape = (3, 4) if axes.size == 2 else (4,)
    constants = {
        "g": random(*shape),
        "b": random(*shape, seed=1),
        "eps": floats(1e-3),
        "axes": axes,
    }
    text = f"(float[2,3,4] x) => (y) {{ a = Tanh(x) {body} }}"
    model = parse(text, **constants, **SCALARS)
    if name == "cube":  # the root of a cube may be NaN: structure only
        graph = patterns_only(model)
    else:
        graph = rewrite(model, patterns.fuse_layer_norms, remove_dead, rtol=2e-5)
    assert ("LayerNormalization" in operators(graph)) == found
    if name == "affine":
        assert operators(graph) == ["Tanh", "LayerNormalization"]


def patterns_only(model: onnx.ModelProto):
    from support.passes import read

    graph = read(model)
    patterns.fuse_layer_norms(graph)
    return graph


def test_a_mean_over_the_first_axis_is_no_layer_normalisation() -> None:
    body = NORM.format(square="s = Mul(c, c)")
    model = parse(
        f"(float[2,3,4] x) => (y) {{ a = Tanh(x) {body} y = Exp(n) }}",
        eps=floats(1e-3),
        axes=ints(1),
    )
    assert "LayerNormalization" not in operators(rewrite(model, patterns.fuse_layer_norms))


def test_a_centred_value_somebody_else_reads_is_kept() -> None:
    body = NORM.format(square="s = Mul(c, c)")
    text = f"(float[2,3,4] x) => (y, z) {{ a = Tanh(x) {body} y = Exp(n) z = Exp(c) }}"
    graph = rewrite(
        parse(text, eps=floats(1e-3), axes=ints(2)), patterns.fuse_layer_norms, remove_dead
    )
    assert {"Sub", "LayerNormalization"} <= set(operators(graph))


# ------------------------------------------------------------------------- written out

FLOAT_ONLY = {
    "LayerNormalization(x, g, b)": "4",
    "LayerNormalization<axis = 1>(x, gg)": "3,4",
    "InstanceNormalization<epsilon = 0.01>(x, c, d)": "",
    "GroupNormalization<num_groups = 3>(x, c, d)": "",
    "Softplus(x)": "",
    "Mish(x)": "",
    "Reciprocal(x)": "",
    "Pow(x, two)": "",
    "ReduceL2<keepdims = 0>(x, axes)": "",
    "ReduceSumSquare(x, axes)": "",
    "Sum(x, x, k)": "",
    "Mean(x, x, k)": "",
    "Max(x, k, two)": "",
    "Min(x, k, two)": "",
}
WRITTEN_OUT = {op.split("(")[0].split("<")[0] for op in FLOAT_ONLY} - {"Max", "Min"}


def same(model: onnx.ModelProto, after: onnx.ModelProto, rtol: float = 2e-5) -> None:
    for seed in range(2):
        feeds = random_feeds(model, seed)
        names = [o.name for o in model.graph.output]
        assert_same(run_onnx(model, feeds), run_onnx(after, feeds), names, "written out", rtol)


@pytest.mark.parametrize("op", FLOAT_ONLY)
def test_what_tflite_lacks_is_written_out(op: str) -> None:
    constants = {"g": random(4), "b": random(4, seed=1), "gg": random(3, 4), "axes": ints(1)}
    constants |= {"c": random(6, seed=2), "d": random(6, seed=3), "k": random(4, seed=5)}
    shape = "2,6,4" if "c, d" in op else "2,3,4"
    model = parse(f"(float[{shape}] x) => (y) {{ y = {op} }}", two=np.float32(2), **constants)
    before = model.SerializeToString(deterministic=True)
    after = decompose(model, for_int8=False)
    assert not WRITTEN_OUT & {node.op_type for node in after.graph.node}
    assert all(len(n.input) <= 2 for n in after.graph.node if n.op_type in ("Max", "Min"))
    same(model, after)
    assert model.SerializeToString(deterministic=True) == before
    assert decompose(model, for_int8=True) is model  # a variance has no 8-bit range


def test_softplus_does_not_overflow() -> None:
    model = parse("(float[4] x) => (y) { y = Softplus(x) }")
    x = floats(-200, -1, 1, 200)
    (found,) = run_onnx(decompose(model, for_int8=False), {"x": x})
    np.testing.assert_allclose(found, np.logaddexp(0, x.astype(np.float64)), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("attributes", ["", "<alpha = 0.16666667, beta = 0.5>", "<alpha = 0.5>"])
def test_hard_sigmoid_by_a_fused_relu6(attributes: str) -> None:
    model = parse(
        f"(float[2,30] x) => (y) {{ a = Mul(x, k) y = HardSigmoid{attributes}(a) }}", k=floats(3)
    )
    after = decompose(model, for_int8=True)
    assert "HardSigmoid" not in {n.op_type for n in after.graph.node}
    same(model, after)


def test_a_power_that_is_no_square_or_root_stays() -> None:
    model = parse("(float[4] x) => (y) { a = Exp(x) y = Pow(a, k) }", k=np.float32(1.7))
    assert "Pow" in {n.op_type for n in decompose(model, for_int8=False).graph.node}
