"""What a parity proof says: rows per output and per layer, the rule each was judged by, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Rule(StrEnum):
    """How a difference is judged.

    FLOAT and FP16: largest difference relative to the reference's largest value. INT8: steps (LSB) of the
    output's scale, since kernels round differently. SIGNS: FLOAT for all but a few samples (`parity_signs`).
    EXACT: equal. REPORTED: told, not judged (what quantization itself costs is a matter of accuracy, not of
    parity).
    """

    FLOAT = "float"
    FP16 = "fp16"
    INT8 = "int8"
    SIGNS = "signs"
    EXACT = "exact"
    REPORTED = "reported"


class Outcome(StrEnum):
    """Verdict of one row."""

    PASS = "pass"
    FAIL = "fail"
    REPORTED = "reported"


@dataclass(frozen=True)
class ParityLimits:
    """Limits of the rules.

    Attributes:
        float_rtol, fp16_rtol: largest difference over the reference's largest value.
        int8_steps: a value is close if it is off by at most this many steps.
        int8_close: share of values that must be close.
        int8_mean_steps: largest mean difference in steps.
        agreement: smallest share of samples with the same top-1.
        signs_close: in networks of signs, least share of samples within float_rtol, or of values within int8_steps.
    """

    float_rtol: float = 1e-4
    fp16_rtol: float = 1e-2
    int8_steps: float = 2.0
    int8_close: float = 0.995
    int8_mean_steps: float = 0.6
    agreement: float = 0.99
    signs_close: float = 0.95


@dataclass(frozen=True)
class Candidate:
    """A file to prove, and how.

    Attributes:
        path: ONNX or TFLite file.
        engine: "onnxruntime", "tflite" or "litert"; empty for the format's first engine at hand.
        precision: "float32", "fp16", "int8", "dynamic" or "weight-only"; empty to read it from the file.
        orders: TFLite tensor name -> axis order (`Lowered.orders`), where the lowering is at hand.
        rule: how to judge it against the reference; None for the rule of its precision.
        layout: "nhwc" or "nchw" for borders of a TFLite file that states none and whose shapes fit both.
    """

    path: Path
    engine: str = ""
    precision: str = ""
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    rule: Rule | None = None
    layout: str = ""


@dataclass(frozen=True)
class Distance:
    """How far two sets of values are apart.

    `relative` is max_abs over the reference's largest magnitude. `steps` counts differences by size in steps of
    `step` ("0", "1", "2", "3+"), `close` is the share within two. `sqnr_db` is the signal-to-noise ratio; None where
    the values are equal (no noise) or hold no signal.
    """

    values: int
    max_abs: float
    mean_abs: float
    relative: float
    sqnr_db: float | None = None
    step: float | None = None
    steps: dict[str, int] = field(default_factory=dict)
    close: float | None = None
    mean_steps: float | None = None


@dataclass(frozen=True)
class OutputRow:
    """One output of one candidate against the reference, or a TFLite file against the ONNX file of its precision."""

    candidate: str
    engine: str
    against: str
    output: str
    rule: Rule
    samples: int
    distance: Distance
    agreement: float | None
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class LayerRow:
    """One value inside a candidate against the same value of an ONNX model.

    `distance` adds up what all layers before did; `own` is what this layer alone does, the reference's layer
    being fed with the candidate's values.
    """

    candidate: str
    engine: str
    against: str
    layer: str
    operator: str
    shape: tuple[int, ...]
    rule: Rule
    distance: Distance
    own: Distance | None
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class ParityReport:
    """The whole proof. `departs` names, per candidate, the first layer that does not do what it should."""

    reference: str
    samples: int
    layer_samples: int
    outputs: tuple[OutputRow, ...]
    layers: tuple[LayerRow, ...] = ()
    departs: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    passed: bool = False


def judge(
    rule: Rule, distance: Distance, limits: ParityLimits, agreement: float | None = None
) -> tuple[Outcome, str]:
    """Verdict on a distance, and the numbers it rests on in words. `agreement` counts where it is given."""
    if rule is Rule.REPORTED:
        return Outcome.REPORTED, "not judged: the cost of quantization is a matter of accuracy"
    if rule is Rule.INT8:
        return _judge_steps(distance, limits, agreement)
    limit = {Rule.FLOAT: limits.float_rtol, Rule.FP16: limits.fp16_rtol, Rule.EXACT: 0.0}[rule]
    outcome = Outcome.PASS if distance.relative <= limit else Outcome.FAIL
    return (
        outcome,
        f"largest difference {distance.relative:.2g} of the largest value (allowed {limit:g})",
    )


def _judge_steps(
    distance: Distance, limits: ParityLimits, agreement: float | None
) -> tuple[Outcome, str]:
    close, mean = (
        distance.close or 0.0,
        distance.mean_steps if distance.mean_steps is not None else 1e9,
    )
    text = (
        f"{close:.2%} of the values within {limits.int8_steps:g} steps (needed {limits.int8_close:.1%}), "
        f"mean {mean:.3f} steps (allowed {limits.int8_mean_steps:g})"
    )
    good = close >= limits.int8_close and mean <= limits.int8_mean_steps
    if agreement is not None:
        good = good and agreement >= limits.agreement
        text += f", top-1 agreement {agreement:.2%} (needed {limits.agreement:.0%})"
    return (Outcome.PASS if good else Outcome.FAIL), text
