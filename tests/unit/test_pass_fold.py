"""Affine steps folded into layers, leftover batch normalisations, padding merged into convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.export.onnx import fold
from support.passes import floats, ints, operators, parse, random, rewrite

BN = "BatchNormalization<epsilon = 0.01>({}, g, b, m, v)"


def statistics(channels: int) -> dict[str, np.ndarray]:
    return {
        "g": random(channels, seed=1),
        "b": random(channels, seed=2),
        "m": random(channels, seed=3),
        "v": np.abs(random(channels, seed=4)) + np.float32(0.1),
    }


LAYERS = {
    "conv": ("Conv(x, w)", (4, 4, 3, 3), 4, ""),
    "biased conv": ("Conv(x, w, c)", (6, 4, 3, 3), 6, "c"),
    "padded conv": ("Conv<pads = [1, 1, 1, 1]>(x, w)", (4, 4, 3, 3), 4, ""),
    "grouped conv": ("Conv<group = 2>(x, w)", (6, 2, 3, 3), 6, ""),
    "depthwise conv": ("Conv<group = 4>(x, w, c)", (8, 1, 3, 3), 8, "c"),
    "transposed": ("ConvTranspose<strides = [2, 2]>(x, w)", (4, 5, 3, 3), 5, ""),
    "grouped transposed": ("ConvTranspose<group = 2>(x, w, c)", (4, 3, 3, 3), 6, "c"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_batch_normalisation_after_a_layer(name: str) -> None:
    layer, shape, channels, bias = LAYERS[name]
    constants = {"w": random(*shape), **statistics(channels)}
    if bias:
        constants["c"] = random(channels, seed=7)
    model = parse(f"(float[1,4,7,7] x) => (y) {{ a = {layer} y = {BN.format('a')} }}", **constants)
    graph = rewrite(model, fold.fold_affine, rtol=2e-5)
    assert len(operators(graph)) == 1


@pytest.mark.parametrize("name", LAYERS)
def test_batch_normalisation_before_a_layer(name: str) -> None:
    """Folded where zero padding or a transposed kernel does not stand against it, else left."""
    layer, shape, channels, bias = LAYERS[name]
    constants = {"w": random(*shape), **statistics(4)}
    if bias:
        constants["c"] = random(channels, seed=7)
    text = f"(float[1,4,7,7] x0) => (y) {{ x = {BN.format('x0')} y = {layer} }}"
    graph = rewrite(parse(text, **constants), fold.fold_affine, rtol=2e-5)
    kept = name == "padded conv" or "transposed" in name
    assert len(operators(graph)) == (2 if kept else 1)


def test_a_pure_factor_passes_zero_padding() -> None:
    model = parse(
        "(float[1,4,7,7] x) => (y) { a = Mul(x, k) y = Conv<pads = [1,1,1,1]>(a, w) }",
        k=random(1, 4, 1, 1),
        w=random(3, 4, 3, 3),
    )
    assert operators(rewrite(model, fold.fold_affine)) == ["Conv"]


STEPS = {
    "Mul(a, k)": True,
    "Mul(k, a)": True,
    "Add(a, k)": True,
    "Sub(a, k)": True,
    "Sub(k, a)": True,
    "Div(a, k)": True,
    "Div(k, a)": False,
    "Pow(a, k)": False,
}
SHAPES = {"scalar": (), "one": (1,), "channels": (4, 1, 1), "full": (1, 4, 1, 1)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("step", STEPS)
def test_arithmetic_with_constants_per_channel(step: str, shape: str) -> None:
    k = np.abs(random(*SHAPES[shape])) + np.float32(1)
    model = parse(
        f"(float[1,4,5,5] x) => (y) {{ p = Exp(x) a = Conv(p, w) y = {step} }}",
        k=k,
        w=np.abs(random(4, 4, 3, 3)),
    )
    graph = rewrite(model, fold.fold_affine, rtol=2e-5)
    assert (len(operators(graph)) == 2) == STEPS[step]


@pytest.mark.parametrize(
    "k", [random(1, 1, 3, 3), random(2, 4, 1, 1), random(3), random(1, 4, 3, 1)]
)
def test_constants_that_are_not_per_channel_stay(k: np.ndarray) -> None:
    model = parse(
        "(float[1,4,5,5] x) => (y) { a = Conv(x, w) y = Mul(a, k) }", k=k, w=random(4, 4, 3, 3)
    )
    assert operators(rewrite(model, fold.fold_affine)) == ["Conv", "Mul"]


def test_where_width_equals_channels_a_vector_is_along_the_width() -> None:
    model = parse(
        "(float[1,3,5,5] x) => (y) { a = Conv(x, w) y = Mul(a, k) }",
        k=random(3),
        w=random(3, 3, 3, 3),
    )
    assert operators(rewrite(model, fold.fold_affine)) == ["Conv", "Mul"]


def test_a_layer_somebody_else_reads_keeps_its_values() -> None:
    model = parse(
        "(float[1,2,5,5] x) => (y, z) { a = Conv(x, w) y = Mul(a, k) z = Exp(a) }",
        k=floats(2.0),
        w=random(2, 2, 3, 3),
    )
    assert operators(rewrite(model, fold.fold_affine)) == ["Conv", "Mul", "Exp"]


def test_weights_shared_by_two_layers_are_split() -> None:
    model = parse(
        "(float[1,2,9,9] x) => (y) { a = Conv(x, w, c) b = Mul(a, k) d = Conv(b, w, c) y = Relu(d) }",
        k=random(2, 1, 1),
        w=random(2, 2, 3, 3),
        c=random(2, seed=3),
    )
    graph = rewrite(model, fold.fold_affine)
    assert operators(graph) == ["Conv", "Conv", "Relu"]
    first, second, _ = graph.sorted_nodes()
    assert first.inputs[1:] != second.inputs[1:]


def test_gemm_takes_steps_on_both_sides() -> None:
    model = parse(
        """(float[1,6] x) => (y) { a = Sub(x, m) b = Gemm<transB = 1>(a, w, c) d = Mul(b, k) y = Add(d, t) }""",
        m=random(6),
        w=random(4, 6),
        c=random(4, seed=2),
        k=random(1, 4, seed=3),
        t=floats(0.25),
    )
    assert operators(rewrite(model, fold.fold_affine)) == ["Gemm"]


@pytest.mark.parametrize(
    ("shape", "expected"), [("1,4", ["Mul", "Add"]), ("1,4,6", ["Conv"]), ("1,4,5,6", ["Conv"])]
)
def test_a_batch_normalisation_alone(shape: str, expected: list[str]) -> None:
    model = parse(f"(float[{shape}] x) => (y) {{ y = {BN.format('x')} }}", **statistics(4))
    assert operators(rewrite(model, fold.lower_batch_norms)) == expected


def test_a_batch_normalisation_that_trains_is_left_alone() -> None:
    text = """(float[2,4,5] x) => (y) {
        y, m1, v1 = BatchNormalization<training_mode = 1>(x, g, b, m, v) }"""
    graph = rewrite(parse(text, **statistics(4)), fold.fold_affine, fold.lower_batch_norms)
    assert operators(graph) == ["BatchNormalization"]


@pytest.mark.parametrize(
    ("pads", "conv", "merged"),
    [
        ([0, 0, 1, 2, 0, 0, 3, 0], "", True),
        ([0, 0, 1, 1, 0, 0, 1, 1], "pads = [1, 0, 0, 1]", True),
        ([0, 0, 1, 1, 0, 0, 1, 1], 'auto_pad = "VALID"', True),
        ([0, 0, 1, 1, 0, 0, 1, 1], 'auto_pad = "SAME_UPPER"', False),
        ([0, 1, 0, 0, 0, 1, 0, 0], "", False),
        ([0, 0, -1, 0, 0, 0, 1, 0], "", False),
    ],
)
def test_zero_padding_joins_the_convolution(pads: list[int], conv: str, merged: bool) -> None:
    channels = 3 + pads[1] + pads[5]
    attributes = f"<{conv}>" if conv else ""
    model = parse(
        f"(float[1,3,6,6] x) => (y) {{ a = Pad(x, pads) y = Conv{attributes}(a, w) }}",
        pads=ints(*pads),
        w=random(2, channels, 3, 3),
    )
    graph = rewrite(model, fold.merge_pads)
    assert operators(graph) == (["Conv"] if merged else ["Pad", "Conv"])


@pytest.mark.parametrize("pad", ["Pad(x, p, one)", 'Pad<mode = "reflect">(x, p)'])
def test_padding_with_anything_but_zero_stays(pad: str) -> None:
    model = parse(
        f"(float[1,3,6,6] x) => (y) {{ a = {pad} y = Conv(a, w) }}",
        p=ints(0, 0, 1, 1, 0, 0, 1, 1),
        one=np.float32(1),
        w=random(2, 3, 3, 3),
    )
    assert operators(rewrite(model, fold.merge_pads)) == ["Pad", "Conv"]


def test_padding_named_by_axes() -> None:
    model = parse(
        "(float[1,3,6,6] x) => (y) { a = Pad(x, p, , axes) y = Conv(a, w) }",
        p=ints(1, 2, 0, 1),
        axes=ints(-1, 2),
        w=random(2, 3, 3, 3),
    )
    graph = rewrite(model, fold.merge_pads)
    assert graph.sorted_nodes()[0].get("pads") == [2, 1, 1, 0]
