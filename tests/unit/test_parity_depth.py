"""When the added-up rounding of layers that each pass is accepted at an output, and when not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgepress.export.parity_depth import accept_added_rounding
from edgepress.export.parity_records import (
    Distance,
    LayerRow,
    Outcome,
    OutputRow,
    ParityLimits,
    ParityReport,
    Rule,
)

LIMITS = ParityLimits()


def distance(mean: float) -> Distance:
    return Distance(10, 3 * mean, mean, 0.1, step=0.5, close=0.99, mean_steps=mean / 0.5)


def output(candidate: str, against: str, rule: Rule, outcome: Outcome, mean: float) -> OutputRow:
    engine = "onnxruntime" if candidate.endswith("onnx") else "tflite"
    return OutputRow(
        candidate, engine, against, "y", rule, 8, distance(mean), 1.0, outcome, "strict"
    )


def report(mean: float = 0.4, cost: float = 0.6, last: Outcome = Outcome.PASS) -> ParityReport:
    rows = (
        output("m.onnx", "torch", Rule.REPORTED, Outcome.REPORTED, cost),
        output("m.tflite", "m.onnx", Rule.INT8, Outcome.FAIL, mean),
    )
    layers = tuple(
        LayerRow(
            "m.tflite",
            "tflite",
            "m.onnx",
            name,
            "ADD",
            (1, 4),
            Rule.INT8,
            distance(mean),
            distance(0.0),
            outcome,
            "",
        )
        for name, outcome in (("a", Outcome.PASS), ("y", last))
    )
    return ParityReport("torch", 8, 4, rows, layers)


def verdict(given: ParityReport) -> Outcome:
    return accept_added_rounding(given, LIMITS).outputs[1].outcome


def test_rounding_below_the_cost_of_quantization_is_accepted_and_said() -> None:
    accepted = accept_added_rounding(report(), LIMITS).outputs[1]
    assert accepted.outcome is Outcome.PASS
    assert "mean 0.800 steps: the rounding of layers" in accepted.reason
    assert "(mean 1.200 steps)" in accepted.reason


@pytest.mark.parametrize(("agreement", "passes"), [(0.96, True), (0.94, False)])
def test_networks_of_signs_flip_the_top_1_more_often(agreement: float, passes: bool) -> None:
    given = report()
    twin, row = given.outputs
    flipped = replace(row, rule=Rule.SIGNS, agreement=agreement)
    assert (verdict(replace(given, outputs=(twin, flipped))) is Outcome.PASS) is passes
    assert verdict(replace(given, outputs=(twin, replace(row, agreement=0.96)))) is Outcome.FAIL


def test_nothing_is_accepted_beyond_that_cost() -> None:
    assert verdict(report(mean=0.61)) is Outcome.FAIL


def test_a_layer_that_departs_excuses_nothing() -> None:
    assert verdict(report(last=Outcome.FAIL)) is Outcome.FAIL


@pytest.mark.parametrize("kept", [0, 1])
def test_without_layers_up_to_the_output_the_strict_rule_stands(kept: int) -> None:
    given = report()
    assert verdict(replace(given, layers=given.layers[:kept])) is Outcome.FAIL


def test_another_top_1_is_never_accepted() -> None:
    given = report()
    rows = (given.outputs[0], replace(given.outputs[1], agreement=0.9))
    assert verdict(replace(given, outputs=rows)) is Outcome.FAIL


def test_an_output_behind_int8_layers_that_stayed_float_is_judged_so_too() -> None:
    accepted = accept_added_rounding(float_end(report()), LIMITS).outputs[1]
    assert accepted.outcome is Outcome.PASS
    assert accepted.reason.startswith("mean 0.4: the rounding") and "(mean 0.6)" in accepted.reason
    assert verdict(float_end(report(mean=0.61))) is Outcome.FAIL
    assert verdict(float_end(report(last=Outcome.FAIL))) is Outcome.FAIL


def test_float_files_are_not_excused() -> None:
    given = float_end(report())
    layers = tuple(replace(layer, rule=Rule.FLOAT) for layer in given.layers)
    assert verdict(replace(given, layers=layers)) is Outcome.FAIL


def float_end(given: ParityReport) -> ParityReport:
    """The report of a file whose last layer stayed float."""
    far = replace(given.outputs[1].distance, step=None, close=None, mean_steps=None)
    last = replace(given.outputs[1], rule=Rule.FLOAT, distance=far)
    layers = (given.layers[0], replace(given.layers[1], rule=Rule.FLOAT))
    return replace(given, outputs=(given.outputs[0], last), layers=layers)
