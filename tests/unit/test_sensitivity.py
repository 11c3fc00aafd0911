"""The table of layers: who has a row, in which order, and that a row is about its layer alone."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.compress.quantization.calibrate import Runner
from edgepress.compress.quantization.output_error import OutputError
from edgepress.compress.quantization.plan import Draft, PtqConfig
from edgepress.compress.quantization.sensitivity import layers_of, sensitivity
from edgepress.compress.quantization.simulate import simulated
from edgepress.export.onnx.qdq import apply
from onnx import helper
from support import ptq
from support.lowering import make_hub

MINMAX = PtqConfig(observer="minmax")


class Count:
    def __init__(self) -> None:
        self.stages: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.name = ""

    def stage(self, name: str, total: int) -> None:
        self.name, self.stages[name] = name, total

    def advance(self, count: int = 1, **facts: object) -> None:
        self.done[self.name] = self.done.get(self.name, 0) + count


def fragile_hub() -> object:
    """Three dense layers; channels of the middle one differ by 1000, so one range for all of them hurts."""
    rng = np.random.default_rng(0)
    gains = np.geomspace(1, 1000, 8).astype(np.float32)
    constants = {
        "w1": rng.normal(size=(8, 8)).astype(np.float32),
        "w2": rng.normal(size=(8, 8)).astype(np.float32) * gains[:, None],
        "w3": rng.normal(size=(8, 8)).astype(np.float32) / gains,
    }
    nodes = [
        helper.make_node("Gemm", [a, w], [b], f"layer{i}", transB=1)
        for i, (a, w, b) in enumerate([("x", "w1", "a"), ("a", "w2", "b"), ("b", "w3", "y")], 1)
    ]
    return make_hub(nodes, {"x": (1, 8)}, ["y"], constants)


def fragile_samples() -> list[tuple[np.ndarray, ...]]:
    return [(v,) for v in np.random.default_rng(1).normal(size=(16, 1, 8)).astype(np.float32)]


def test_the_fragile_layers_come_first() -> None:
    rows = sensitivity(fragile_hub(), fragile_samples(), MINMAX)
    assert {row.name for row in rows[:2]} == {
        "layer2",
        "layer3",
    }  # who write and read the uneven tensor
    assert rows[0].values["sqnr_db"] < rows[-1].values["sqnr_db"] - 6
    ratios = [row.values["sqnr_db"] for row in rows]
    assert ratios == sorted(ratios)
    assert rows[0].operator == "Gemm"


def test_all_but_one_ranks_by_what_keeping_float_gives() -> None:
    rows = sensitivity(
        ptq.float_hub("residual"), ptq.samples("residual", 8, 1), MINMAX, all_but_one=True
    )
    ratios = [row.values["sqnr_db"] for row in rows]
    assert ratios == sorted(ratios, reverse=True)
    assert rows[0].values["sqnr_db"] > rows[-1].values["sqnr_db"]


def test_rows_are_the_layers_with_an_error_of_their_own() -> None:
    rows = sensitivity(ptq.float_hub("residual"), ptq.samples("residual", 4, 1), MINMAX)
    names = {row.name for row in rows}
    assert {"conv1", "layer1.0.add", "linear"} <= names
    assert not any("relu" in name or "pad" in name for name in names)
    kept = PtqConfig(observer="minmax", keep_float=("linear",))
    rest = sensitivity(ptq.float_hub("residual"), ptq.samples("residual", 4, 1), kept)
    assert {row.name for row in rest} == names - {"linear"}


def test_one_layer_alone_equals_keeping_all_others_float() -> None:
    hub, data = ptq.float_hub("depthwise"), ptq.samples("depthwise", 8, 1)
    draft = Draft.of(hub, data, MINMAX)
    parameters = draft.observe(draft.samples, ("minmax",)).parameters("minmax")
    whole = draft.plan(parameters, "minmax")
    alone = simulated(hub, draft.view, whole, {"classifier"})
    others = tuple(n.name for n in hub.graph.node if n.name != "classifier")
    config = PtqConfig(observer="minmax", keep_float=others)
    kept = Draft.of(hub, data, config)
    lonely = kept.plan(kept.observe(kept.samples, ("minmax",)).parameters("minmax"), "minmax")
    written = apply(hub, lonely)
    for sample in data:
        a, b = (Runner(m, ["output"]).run(sample)["output"] for m in (alone, written))
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_simulating_everything_equals_the_written_hub() -> None:
    for name in ptq.NETS:
        hub, made = ptq.float_hub(name), ptq.planned(name)
        draft = Draft.of(hub, ptq.samples(name, 2, 1), MINMAX)
        output = hub.graph.output[0].name
        step = made.activations[output].scale[0]
        for sample in ptq.samples(name, 4, 3):
            a, b = (
                Runner(m, [output]).run(sample)[output]
                for m in (simulated(hub, draft.view, made), ptq.quantized_hub(name))
            )
            assert np.abs(a - b).max() <= 1.001 * step, name  # a tie may fall to either side


def test_nothing_chosen_is_the_float_model() -> None:
    hub = ptq.float_hub("shuffle")
    draft = Draft.of(hub, ptq.samples("shuffle", 2, 1), MINMAX)
    model = simulated(hub, draft.view, ptq.planned("shuffle"), ())
    for sample in ptq.samples("shuffle", 2, 3):
        a, b = (Runner(m, ["output"]).run(sample)["output"] for m in (hub, model))
        assert np.array_equal(a, b)


def test_progress_is_told_of_every_run() -> None:
    count = Count()
    hub, data = ptq.float_hub("series"), ptq.samples("series", 5, 1)
    sensitivity(hub, data, MINMAX, count)
    layers = len(layers_of(Draft.of(hub, data, MINMAX)))
    assert count.stages == {"calibrate": 5, "sensitivity": 5 * layers}
    assert count.done == count.stages


# ------------------------------------------------------------------- figures


def test_output_error_figures() -> None:
    error = OutputError()
    right = np.asarray([[1.0, 2.0, 4.0]])
    error.add([right], [right + 0.1])
    error.add([right], [np.asarray([[5.0, 2.0, 4.0]])])
    values = error.values()
    assert values["agreement"] == 0.5
    assert values["max_error"] == pytest.approx(4.0)
    assert values["sqnr_db"] == pytest.approx(10 * np.log10(2 * 21 / (3 * 0.01 + 16)))
    assert values["kl"] > 0.5


def test_a_shift_of_all_logits_costs_no_divergence() -> None:
    error = OutputError()
    right = np.asarray([[1.0, 2.0, 4.0]])
    error.add([right], [right + 3.0])
    assert error.values()["kl"] == pytest.approx(0.0, abs=1e-12)


def test_the_worst_output_counts_and_regression_has_no_classes() -> None:
    error = OutputError(classifier=False)
    error.add([np.ones((1, 4)), np.ones((1, 2))], [np.ones((1, 4)), np.full((1, 2), 1.1)])
    assert set(error.values()) == {"sqnr_db", "max_error"}
    assert error.values()["sqnr_db"] == pytest.approx(20.0)
