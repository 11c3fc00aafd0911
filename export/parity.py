"""The parity proof: every exported file computes what the model computed, on real inputs, per output and per layer.

Float files must agree within a relative tolerance. An int8 TFLite file must agree with the int8 ONNX file of the
same numbers within a few steps (kernels round differently: single or double rounding, float requantisation). What
quantization itself costs against the float model is reported, not judged: that is a matter of accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.errors import InputError
from .parity_c import CSubject
from .parity_depth import accept_added_rounding
from .parity_distance import Agreement, Array, Gauge
from .parity_layers import OnnxValues, compare_layers
from .parity_onnx import OnnxSubject
from .parity_open import (
    Base,
    Reference,
    Sample,
    Subject,
    distinguish,
    onnx_precision,
    open_candidate,
    open_reference,
    torch_reference,
)
from .parity_records import (
    Candidate,
    Outcome,
    OutputRow,
    ParityLimits,
    ParityReport,
    Rule,
    judge,
)
from .parity_signs import judge_sign_steps, judge_signs, need_layers, next_to_threshold, takes_signs
from .parity_tflite import TfliteValues

if TYPE_CHECKING:
    from ..compress.progress import Progress

__all__ = ["torch_reference", "verify"]

_REFERENCE_RULES = {"float32": Rule.FLOAT, "fp16": Rule.FP16}
_PEER_RULES = {
    "float32": Rule.FLOAT,
    "fp16": Rule.FP16,
    "weight-only": Rule.FLOAT,
    "int8": Rule.INT8,
}


def verify(
    reference: Reference | Path | Any,
    candidates: Sequence[Candidate | Path],
    inputs: Sequence[Sample],
    *,
    layers: bool = True,
    layer_samples: int = 4,
    layer_reference: Any = None,
    limits: ParityLimits | None = None,
    progress: Progress | None = None,
    reference_label: str = "",
) -> ParityReport:
    """Compare files with what they were made from, and with each other.

    Args:
        reference: callable from a sample to outputs (`torch_reference`), an ONNX or TFLite file, or a ModelProto.
        candidates: files; ONNX files first, where a TFLite file is to be compared with its ONNX twin.
        inputs: samples of batch 1, raw float values, axes as in ONNX (NCHW).
        layers: compare inner values as well, on the first `layer_samples` samples (networks of signs: on all).
        layer_reference: ONNX model whose inner values are right; by default the candidates' twin, else the reference.

    Raises:
        InputError: no inputs, wrong shapes, a file that cannot be read or run.
    """
    limits = limits or ParityLimits()
    samples = [tuple(np.asarray(v) for v in sample) for sample in inputs]
    if not samples:
        raise InputError("no inputs to compare on", hint="give at least one sample")
    base = open_reference(reference, reference_label)
    subjects = [
        open_candidate(c if isinstance(c, Candidate) else Candidate(Path(c))) for c in candidates
    ]
    distinguish(subjects)
    rows = _compare_outputs(base, subjects, samples, limits, progress)
    report = ParityReport(
        reference=base.label, samples=len(samples), layer_samples=0, outputs=tuple(rows)
    )
    if layers:
        models = [s.opened.model for s in subjects if isinstance(s.opened, OnnxSubject)]
        few = samples if takes_signs(models) else samples[: max(layer_samples, 1)]
        report = _with_layers(report, base, subjects, few, layer_reference, limits, progress)
        report = accept_added_rounding(report, limits)
    report = need_layers(report)
    outcomes = [row.outcome for row in report.outputs] + [row.outcome for row in report.layers]
    failed = Outcome.FAIL in outcomes
    return replace(report, passed=not failed)


# ------------------------------------------------------------------- outputs


@dataclass
class _Pair:
    """Candidate against something, gathered over the samples, one entry per output."""

    subject: Subject
    against: str
    rule: Rule
    gauges: list[Gauge]
    agreements: list[Agreement]


def _compare_outputs(
    base: Base,
    subjects: list[Subject],
    samples: list[Sample],
    limits: ParityLimits,
    progress: Progress | None,
) -> list[OutputRow]:
    pairs: list[tuple[_Pair, int | None]] = []
    if progress:
        progress.stage("compare outputs", len(samples))
    names: list[str] = []
    for number, sample in enumerate(samples):
        if number == 0 and base.file is not None:
            base.file.settle(sample, ())
        expected = [np.asarray(v) for v in base.run(sample)]
        if number == 0:
            _settle(subjects, sample, expected)
        found = [subject.opened.run(sample) for subject in subjects]
        if number == 0:
            _check_counts(base, subjects, expected, found)
            names = _output_names(base, subjects, len(expected))
            pairs = _pairs(base, subjects, len(expected), limits)
        for pair, peer in pairs:
            right = expected if peer is None else found[peer]
            _add(pair, right, found[subjects.index(pair.subject)])
        if progress:
            progress.advance()
    return [
        row
        for pair, peer in pairs
        for row in _rows(pair, names, limits, _flips(base, subjects, pair, peer, samples))
    ]


def _flips(
    base: Base, subjects: list[Subject], pair: _Pair, peer: int | None, samples: list[Sample]
) -> Callable[[int], bool] | None:
    """Whether a bit may flip on the sample of a number, by the ONNX model that is nearest; None: it takes no signs."""
    peers = [] if peer is None else [subjects[peer].opened]
    near = [pair.subject.opened, *peers, base.model, *(s.opened for s in subjects)]
    models = [m for m in near if isinstance(m, OnnxSubject) and takes_signs([m.model])]
    return (lambda n: next_to_threshold(models[0], samples[n])) if models else None


def _settle(subjects: list[Subject], sample: Sample, expected: Sequence[Array]) -> None:
    for subject in subjects:
        if not isinstance(subject.opened, OnnxSubject):
            subject.opened.settle(sample, expected)


def _check_counts(
    base: Base,
    subjects: list[Subject],
    expected: Sequence[Array],
    found: Sequence[Sequence[Array]],
) -> None:
    for subject, outputs in zip(subjects, found, strict=True):
        if len(outputs) != len(expected):
            raise InputError(
                f"{len(outputs)} outputs, {base.label} has {len(expected)}",
                where=subject.label,
                hint="compare a file with the model it was exported from",
            )


def _output_names(base: Base, subjects: list[Subject], count: int) -> list[str]:
    models = [base.model, *(s.opened for s in subjects if isinstance(s.opened, OnnxSubject))]
    for model in models:
        if isinstance(model, OnnxSubject) and len(model.outputs) == count:
            return model.outputs
    return ["output"] if count == 1 else [f"output_{index}" for index in range(count)]


def _pairs(
    base: Base, subjects: list[Subject], outputs: int, limits: ParityLimits
) -> list[tuple[_Pair, int | None]]:
    """Every candidate against the reference, and every TFLite file against its ONNX twin."""
    pairs: list[tuple[_Pair, int | None]] = []
    for subject in subjects:
        rule = subject.candidate.rule or _REFERENCE_RULES.get(subject.precision, Rule.REPORTED)
        pairs.append((_pair(subject, base.label, rule, outputs, limits), None))
        twin = _twin(subject, subjects)
        if twin is not None:
            rule = _PEER_RULES.get(subject.precision, Rule.REPORTED)
            pairs.append((_pair(subject, subjects[twin].label, rule, outputs, limits), twin))
    return pairs


def _pair(subject: Subject, against: str, rule: Rule, outputs: int, limits: ParityLimits) -> _Pair:
    gauges, agreements = [], []
    for index in range(outputs):
        step = subject.output_step(index)
        gauges.append(Gauge(step, limits.int8_steps))
        # Against float nothing bounds the values, so every disagreement counts.
        tolerance = limits.int8_steps * step * 1.001 if step and rule is Rule.INT8 else 0.0
        agreements.append(Agreement(tolerance))
    return _Pair(subject, against, rule, gauges, agreements)


def _twin(subject: Subject, subjects: list[Subject]) -> int | None:
    """The ONNX candidate of the same precision, for a TFLite candidate."""
    if subject.is_onnx:
        return None
    for index, other in enumerate(subjects):
        if other.is_onnx and other.precision == subject.precision:
            return index
    return None


def _add(pair: _Pair, expected: Sequence[Array], found: Sequence[Array]) -> None:
    for gauge, agreement, a, b in zip(pair.gauges, pair.agreements, expected, found, strict=True):
        gauge.add(a, b)
        agreement.add(a, b)


def _rows(
    pair: _Pair, names: list[str], limits: ParityLimits, may_flip: Callable[[int], bool] | None
) -> list[OutputRow]:
    """One row per output; `may_flip`: where the network takes signs, whether some may flip on a sample."""
    rows = []
    for name, gauge, agreement in zip(names, pair.gauges, pair.agreements, strict=True):
        distance, share = gauge.distance(), agreement.share()
        rule = pair.rule
        if rule is Rule.INT8 and distance.step is None:
            rule = Rule.FLOAT  # this output stayed float
        outcome, reason = judge(rule, distance, limits, share if rule is Rule.INT8 else None)
        if may_flip and outcome is Outcome.FAIL and rule in (Rule.FLOAT, Rule.INT8):
            outcome, reason = (
                judge_signs(gauge.relatives, may_flip, share, limits)
                if rule is Rule.FLOAT
                else judge_sign_steps(distance, share, limits)
            )
            rule = Rule.SIGNS
        rows.append(
            OutputRow(
                candidate=pair.subject.label,
                engine=pair.subject.engine,
                against=pair.against,
                output=name,
                rule=rule,
                samples=len(gauge.relatives),
                distance=distance,
                agreement=share,
                outcome=outcome,
                reason=reason,
            )
        )
    return rows


# ------------------------------------------------------------------- layers


def _with_layers(
    report: ParityReport,
    base: Base,
    subjects: list[Subject],
    samples: list[Sample],
    given: Any,
    limits: ParityLimits,
    progress: Progress | None,
) -> ParityReport:
    if progress:
        progress.stage("compare layers", len(subjects))
    layers, notes, departs = list(report.layers), list(report.notes), dict(report.departs)
    opened = [base.model, *(subject.opened for subject in subjects)]
    graphs = [one.model for one in opened if isinstance(one, OnnxSubject)]
    for subject in subjects:
        if isinstance(subject.opened, CSubject):
            if progress:
                progress.advance()
            notes.append(f"{subject.label}: C shows no inner values; its outputs are compared")
            continue
        right, rule = _layer_reference(subject, subjects, base, given)
        if progress:
            progress.advance()
        if right is None:
            continue
        values = (
            OnnxValues(subject.opened)
            if isinstance(subject.opened, OnnxSubject)
            else TfliteValues(subject.opened, graphs, subject.precision)
        )
        found = compare_layers(
            values, right, samples, rule, limits, (subject.label, subject.engine)
        )
        layers.extend(found.rows)
        notes.extend(found.notes)
        if found.departs:
            departs[f"{subject.label} ({subject.engine})"] = found.departs
    return replace(
        report,
        layers=tuple(layers),
        notes=tuple(dict.fromkeys(notes)),  # engines that run one file say the same
        departs=departs,
        layer_samples=len(samples),
    )


def _layer_reference(
    subject: Subject, subjects: list[Subject], base: Base, given: Any
) -> tuple[OnnxSubject | None, Rule]:
    """The ONNX model whose layers are right for this candidate, and the rule they are held to."""
    if given is not None:
        right = open_reference(given, "").model
        same = right is not None and onnx_precision(right.model) == subject.precision
        return right, _PEER_RULES.get(subject.precision, Rule.REPORTED) if same else Rule.REPORTED
    twin = _twin(subject, subjects)
    if twin is not None:
        opened = subjects[twin].opened
        return (
            opened if isinstance(opened, OnnxSubject) else None,
            _PEER_RULES.get(subject.precision, Rule.REPORTED),
        )
    floats = [s.opened for s in subjects if s.precision == "float32" and s is not subject]
    onnx_floats = [model for model in floats if isinstance(model, OnnxSubject)]
    right = base.model or (onnx_floats[0] if onnx_floats else None)
    if right is None:
        return None, Rule.REPORTED
    same = onnx_precision(right.model) == subject.precision
    if same:
        return right, _PEER_RULES.get(subject.precision, Rule.REPORTED)
    return right, _REFERENCE_RULES.get(subject.precision, Rule.REPORTED)
