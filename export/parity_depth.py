"""Outputs of deep int8 files, where the rounding of many correct layers adds up.

Kernels may round each layer half a step or a step differently from the ONNX twin. Through tens of layers, and
through normalisations that enlarge small deviations, an output can end farther off than one layer may. Where every
layer was fed with the file's own values and each did what it should, the whole file is proven on those samples:
the layers' pieces cover the graph from the inputs to the outputs. What is left to ask of the output is that the sum
of all rounding is no larger than what quantization itself costs, and that the top-1 is the same. An output behind a
last layer that stayed float is such an output, too: it inherits the rounding of the int8 layers in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .parity_records import LayerRow, Outcome, OutputRow, ParityLimits, ParityReport, Rule


def accept_added_rounding(report: ParityReport, limits: ParityLimits) -> ParityReport:
    """The report with such outputs passed, the reason telling why; all else as it is."""
    outputs = [
        _accepted(row, report, limits) if row.outcome is Outcome.FAIL else row
        for row in report.outputs
    ]
    return replace(report, outputs=tuple(outputs))


def _accepted(row: OutputRow, report: ParityReport, limits: ParityLimits) -> OutputRow:
    cost, layers = _quantization_cost(row, report), _layers_of(row, report.layers)
    rounds = row.distance.step is not None or any(layer.rule is Rule.INT8 for layer in layers)
    judged = row.rule in (Rule.INT8, Rule.FLOAT, Rule.SIGNS)
    if not (judged and rounds) or cost is None or not _pass(row, layers):
        return row
    needed = limits.signs_close if row.rule is Rule.SIGNS else limits.agreement
    same = row.agreement is None or row.agreement >= needed
    if not same or not row.distance.mean_abs <= cost:
        return row
    text = (
        f"{_figures(row, limits)}: the rounding of layers that each pass adds up to no more than what "
        f"quantization costs (mean {_in_steps(cost, row)})"
    )
    if row.agreement is not None:
        text += f", top-1 agreement {row.agreement:.2%}"
    return replace(row, outcome=Outcome.PASS, reason=text)


def _quantization_cost(row: OutputRow, report: ParityReport) -> float | None:
    """Mean distance of the twin's output from the reference's; None where `row` is not against a twin."""
    for other in report.outputs:
        if (
            other.candidate == row.against
            and other.against == report.reference
            and other.output == row.output
        ):
            return other.distance.mean_abs
    return None


def _layers_of(row: OutputRow, layers: Sequence[LayerRow]) -> list[LayerRow]:
    """The comparisons of this file's layers with the model that the row compares it with."""
    asked = (row.candidate, row.engine, row.against)
    return [layer for layer in layers if (layer.candidate, layer.engine, layer.against) == asked]


def _pass(row: OutputRow, layers: Sequence[LayerRow]) -> bool:
    """Whether the file was compared layer by layer up to this output, and no layer departs."""
    reached = any(layer.layer == row.output for layer in layers)
    return reached and all(
        layer.outcome is Outcome.PASS and layer.own is not None for layer in layers
    )


def _figures(row: OutputRow, limits: ParityLimits) -> str:
    mean = f"mean {_in_steps(row.distance.mean_abs, row)}"
    if row.distance.step is None:
        return mean
    return (
        f"{row.distance.close or 0.0:.2%} of the values within {limits.int8_steps:g} steps, {mean}"
    )


def _in_steps(value: float, row: OutputRow) -> str:
    """In steps of the output; as it is where the output has none."""
    return f"{value / row.distance.step:.3f} steps" if row.distance.step else f"{value:.3g}"
