"""Which form of the input an int8 model takes: decided on calibration samples, and only where folding is sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgepress.compress.quantization.plan import PtqConfig
from edgepress.export.onnx import hub as hubs
from edgepress.runtime.artifact import Normalisation
from edgepress.tools.input_form import FOLDED, LAYER, better_form
from onnx import helper
from support.lowering import make_hub

MINMAX = PtqConfig(observer="minmax")


def network(normalised: bool = True) -> Any:
    """A padded convolution on pixels and a mean."""
    weight = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="mean"),
    ]
    hub = make_hub(nodes, {"x": (1, 3, 8, 8)}, ["y"], {"w": weight})
    scaled = Normalisation((120.0, 110.0, 100.0), (60.0, 61.0, 62.0))
    return hubs.with_normalisation(hub, scaled) if normalised else hub


def pixels(dtype: Any = np.uint8) -> list[Any]:
    random = np.random.default_rng(0)
    return [(random.integers(0, 256, (1, 3, 8, 8)).astype(dtype),) for _ in range(8)]


def test_the_form_with_less_error_is_taken() -> None:
    hub = network()
    form, rows = better_form(hub, pixels(), MINMAX)
    errors = {row.name: row.values["sqnr_db"] for row in rows}
    assert set(errors) == {LAYER, FOLDED}
    assert (form is hub) == (errors[LAYER] >= errors[FOLDED])
    assert (form is hub) == any(node.name == "input_normalisation" for node in form.graph.node)


@pytest.mark.parametrize(
    ("normalised", "samples", "config"),
    [
        (False, pixels(), MINMAX),
        (True, pixels(np.float32), MINMAX),
        (True, pixels(), PtqConfig(observer="minmax", bias_correction=False)),
        (True, pixels()[:1], MINMAX),
    ],
    ids=["nothing to fold", "range unknown", "biases not corrected", "nobody to judge"],
)
def test_otherwise_the_hub_stays(normalised: bool, samples: list[Any], config: PtqConfig) -> None:
    hub = network(normalised)
    assert better_form(hub, samples, config) == (hub, ())
