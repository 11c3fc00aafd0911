"""The folded normalisation computes the same, at the border too, and is left alone where it cannot be folded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.compress.quantization.qparams import QParams
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx.check import run
from edgepress.export.onnx.qdq import apply
from edgepress.export.onnx.raw_input import PLANE_NAME, absorb_normalisation
from edgepress.export.tflite import to_tflite
from edgepress.runtime.artifact import Normalisation
from edgepress.runtime.tflite_schema import read_model
from onnx import helper
from support.lowering import make_hub
from support.passes import random

PIXELS = (0.0, 255.0)
NORMAL = Normalisation((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))


def hub_of(conv: dict[str, Any], spatial: tuple[int, ...] = (8, 9), bias: bool = True) -> Any:
    groups = conv.get("group", 1)
    kernel = (3,) * len(spatial)
    constants = {"w": random(6, 3 // groups, *kernel, seed=1), "b": random(6, seed=2)}
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    nodes = [
        helper.make_node("Conv", inputs, ["c"], "conv", **conv),
        helper.make_node("Relu", ["c"], ["y"], "relu"),
    ]
    return hubs.with_normalisation(
        make_hub(nodes, {"x": (1, 3, *spatial)}, ["y"], constants), NORMAL
    )


def pixels(hub: Any, seed: int = 0) -> dict[str, np.ndarray]:
    value = hub.graph.input[0]
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
    return {value.name: np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("conv", "spatial", "plane"),
    [
        ({"pads": [1, 1, 1, 1]}, (8, 9), True),
        ({"pads": [0, 2, 1, 0], "strides": [2, 1], "dilations": [1, 2]}, (8, 9), True),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (8, 9), True),
        ({"pads": [1, 1]}, (12,), True),
        ({}, (8, 9), False),
        ({"pads": [0, 0]}, (12,), False),
    ],
)
def test_computes_the_same(
    conv: dict[str, Any], spatial: tuple[int, ...], plane: bool, bias: bool
) -> None:
    hub = hub_of(conv, spatial, bias)
    before = hub.SerializeToString()
    folded = absorb_normalisation(hub, PIXELS)
    assert hub.SerializeToString() == before
    names = [n.op_type for n in folded.graph.node]
    assert names == (["Concat"] if plane else []) + ["Conv", "Relu"]
    for seed in range(3):
        (want,), (have,) = run(hub, pixels(hub, seed)), run(folded, pixels(hub, seed))
        np.testing.assert_allclose(have, want, atol=2e-5 * np.abs(want).max())
    assert hubs.read_metadata(folded).normalisation == hubs.read_metadata(hub).normalisation


def test_left_alone_where_it_cannot_fold() -> None:
    padded = hub_of({"pads": [1, 1, 1, 1]})
    assert absorb_normalisation(padded) is padded  # no value for the plane is known
    grouped = hub_of({"pads": [1, 1, 1, 1], "group": 3})
    assert absorb_normalisation(grouped, PIXELS) is grouped
    bare = make_hub(
        [helper.make_node("Relu", ["x"], ["y"], "relu")], {"x": (1, 3, 4, 4)}, ["y"], {}
    )
    assert absorb_normalisation(bare, PIXELS) is bare


def photo(seed: int) -> np.ndarray:
    """Patches of one colour with some noise, as photographs have them."""
    rng = np.random.default_rng(seed)
    patches = np.kron(rng.uniform(0, 255, (1, 3, 4, 4)), np.ones((8, 8)))
    noisy = patches + rng.normal(size=(1, 3, 32, 32)) * 10
    return np.clip(np.rint(noisy), 0, 255).astype(np.float32)


def test_int8_reads_pixels_exactly_and_errs_less() -> None:
    hub = hub_of({"pads": [1, 1, 1, 1]}, (32, 32))
    samples = [(photo(seed),) for seed in range(24)]
    config = PtqConfig(observer="minmax", input_range=PIXELS, bias_correction=True)
    errors = []
    for model in (hub, absorb_normalisation(hub, PIXELS)):
        made = plan(model, samples, config)
        assert made.activations["x"] == QParams((1.0,), (-128,))
        quantized = apply(model, made)
        feeds = [{"x": photo(seed)} for seed in (90, 91, 92)]
        found = np.asarray([run(quantized, f)[0] - run(hub, f)[0] for f in feeds])
        errors.append(float(np.square(found[..., 1:-1, 1:-1]).mean()))
    assert errors[1] < 0.75 * errors[0]
    (plane,) = [c for n, c in made.constants.items() if n.startswith(PLANE_NAME)]
    assert (plane.values == 127).all()
    operators = {o.name for o in read_model(to_tflite(quantized), "").subgraphs[0].operators}
    assert operators == {"CONCATENATION", "CONV_2D"}
