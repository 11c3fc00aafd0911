"""Outputs of networks of signs, where one value next to its threshold may fall to the other side.

A network that takes signs is not continuous: real arithmetic in front of a sign rounds differently from engine to
engine, and once in thousands of values that decides a bit, which then changes the sample's outputs visibly (measured:
2 of 300 CIFAR-10 images of a ResNet-20). But a wrong file may change few samples, too: a threshold that is off by
one in one neuron of 64 shows on 3 % of them. So tolerance at the output is not enough:

- float outputs: nearly all samples agree as those of any float file do, and every other one has a value next to its
  threshold, in the ONNX model, where rounding can explain the difference;
- int8 outputs: every layer is compared on every sample, fed with the file's own values. What a packed layer gives
  is a sum of signs, an exact integer: `judge_packed` asks for equal bits and equal integers, whatever came before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .onnx.judge import OWN_DOMAIN
from .parity_distance import Array
from .parity_onnx import OnnxSubject
from .parity_records import Distance, Outcome, ParityLimits, ParityReport, Rule

NEXT = 1e-5
"""Of a layer's largest value: what engines may disagree by in front of a sign."""

_PACKED_RTOL = 1e-5
"""Real results of packed layers: an exact sum, then a few roundings; one wrong bit is 2 / K of the largest sum."""

_PACKED_OFF = 10_000
"""int8 results of packed layers: one value in so many may round to the neighbouring step."""

_EXACT = frozenset(
    {
        *("Relu", "Clip", "MaxPool", "Pad", "Identity", "QuantizeLinear", "DequantizeLinear"),
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
    }
)
"""Operators that do not round, beside what the pair behind them does."""


def takes_signs(models: Sequence[Any]) -> bool:
    """True if one of the ONNX models holds packed layers, which take the signs of their inputs."""
    return any(is_packed(node) for model in models for node in model.graph.node)


def is_packed(node: Any) -> bool:
    """True for an ONNX node that takes the signs of its input."""
    return bool(node.domain == OWN_DOMAIN and node.op_type.startswith("Binary"))


def next_to_threshold(model: OnnxSubject, sample: Sequence[Array]) -> bool:
    """Whether on this sample a packed layer reads a value so close to 0 that rounding may give it either sign.

    Thresholds that were folded lie half a sum away from every value: they never count.
    """
    packed = [n for n in model.model.graph.node if is_packed(n)]
    read = list(dict.fromkeys(n.input[0] for n in packed if n.input[0] not in model.inputs))
    for value in model.tap(read).run(sample).values() if read else ():
        size = np.abs(np.asarray(value, np.float64))
        if size.min(initial=np.inf) <= NEXT * size.max(initial=0.0):
            return True
    return False


def judge_signs(
    relatives: Sequence[float],
    may_flip: Callable[[int], bool],
    agreement: float | None,
    limits: ParityLimits,
) -> tuple[Outcome, str]:
    """Verdict on a float output of such a network.

    Args:
        relatives: per sample, the largest difference over the sample's largest value.
        may_flip: whether the sample of this number has a value next to its threshold (`next_to_threshold`).
        agreement: share of samples with the same top-1, None where there is none.
    """
    far = [index for index, value in enumerate(relatives) if not value <= limits.float_rtol]
    close = 1 - len(far) / max(len(relatives), 1)
    good = close >= limits.signs_close
    text = (
        f"{close:.1%} of the samples within {limits.float_rtol:g} of their largest value (needed "
        f"{limits.signs_close:.0%}: a bit next to its threshold may flip)"
    )
    if good:
        unexplained = [index for index in far if not may_flip(index)]
        good = not unexplained
        if unexplained:
            text += f"; no value is next to its threshold on sample {unexplained[0]}, which differs"
        elif far:
            text += f"; each of the other {len(far)} has such a value"
    if agreement is not None:
        good = good and agreement >= limits.signs_close
        text += f", top-1 agreement {agreement:.2%}"
    return (Outcome.PASS if good else Outcome.FAIL), text


def judge_sign_steps(
    distance: Distance, agreement: float | None, limits: ParityLimits
) -> tuple[Outcome, str]:
    """Verdict on an int8 output of such a network, in steps of its scale.

    Engines round the layer in front of the signs to steps that differ by one now and then; where that crosses a
    threshold, the sums behind move by two products. Measured on the watch network, seeds 0 to 2: at worst 97.1 % of
    the values within 2 steps, 0.33 steps on average, one top-1 in 64. So the share of close values is that of `signs`,
    while the mean, which a wrong conversion moves at once, stays as for any int8 file.
    """
    close = distance.close or 0.0
    mean = distance.mean_steps if distance.mean_steps is not None else 1e9
    good = close >= limits.signs_close and mean <= limits.int8_mean_steps
    text = (
        f"{close:.2%} of the values within {limits.int8_steps:g} steps (needed {limits.signs_close:.0%}: a bit next "
        f"to its threshold may flip), mean {mean:.3f} steps (allowed {limits.int8_mean_steps:g})"
    )
    if agreement is not None:
        good = good and agreement >= limits.signs_close
        text += f", top-1 agreement {agreement:.2%} (needed {limits.signs_close:.0%})"
    return (Outcome.PASS if good else Outcome.FAIL), text


def packed_values(reference: OnnxSubject, names: Collection[str]) -> frozenset[str]:
    """Those of the compared values `names` that packed layers make, with nothing behind them that rounds."""
    known, behind = set(names), set[str]()
    for node in reference.model.graph.node:
        kept = not node.domain and node.op_type in _EXACT
        if is_packed(node) or (kept and node.input[0] in behind - known):
            behind.update(node.output)
    return frozenset(behind & known)


def judge_packed(distance: Distance) -> tuple[Outcome, str]:
    """Verdict on what a packed layer gives, being fed with the file's own values; signs are values of 1 and -1."""
    if distance.step is None:
        good = distance.relative <= _PACKED_RTOL
        return (
            Outcome.PASS if good else Outcome.FAIL,
            f"sums of signs are exact: largest difference {distance.relative:.2g} of the largest value "
            f"(allowed {_PACKED_RTOL:g})",
        )
    off = distance.values - distance.steps["0"]
    allowed = max(1, distance.values // _PACKED_OFF)
    far = distance.steps["2"] + distance.steps["3+"]
    return (
        Outcome.PASS if off <= allowed and not far else Outcome.FAIL,
        f"sums of signs are exact: {off} of {distance.values} values differ (allowed {allowed}, by one step)",
    )


def need_layers(report: ParityReport) -> ParityReport:
    """The report with int8 outputs failed that only tolerance passed: no layer of theirs was compared.

    C folders show no layers: of them tolerance is all there is.
    """
    compared = {(r.candidate, r.engine, r.against) for r in report.layers if r.own is not None}
    rows = [
        replace(
            row,
            outcome=Outcome.FAIL,
            reason=f"{row.reason}; whether bits flip or the file is wrong is told by its layers alone, "
            "which were not compared",
        )
        if row.rule is Rule.SIGNS
        and row.outcome is Outcome.PASS
        and row.distance.step is not None
        and row.engine != "native"
        and (row.candidate, row.engine, row.against) not in compared
        else row
        for row in report.outputs
    ]
    return replace(report, outputs=tuple(rows))
