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

from ..runtime.artifact import Normalisation, detect_format, read_model_bytes
from ..runtime.errors import InputError, UsageError
from .onnx.intake import parse
from .onnx.metadata import read_metadata
from .parity_depth import accept_added_rounding
from .parity_distance import Agreement, Array, Gauge
from .parity_layers import OnnxValues, compare_layers
from .parity_onnx import OnnxSubject
from .parity_records import (
    Candidate,
    Outcome,
    OutputRow,
    ParityLimits,
    ParityReport,
    Rule,
    judge,
)
from .parity_tflite import TfliteSubject, TfliteValues, precision_of

if TYPE_CHECKING:
    from ..compress.progress import Progress

Sample = tuple[Array, ...]
Reference = Callable[[Sample], Sequence[Array]]

_REFERENCE_RULES = {"float32": Rule.FLOAT, "fp16": Rule.FP16}
_PEER_RULES = {
    "float32": Rule.FLOAT,
    "fp16": Rule.FP16,
    "weight-only": Rule.FLOAT,
    "int8": Rule.INT8,
}


@dataclass
class _Subject:
    """A candidate, opened."""

    candidate: Candidate
    label: str
    engine: str
    precision: str
    opened: OnnxSubject | TfliteSubject

    @property
    def is_onnx(self) -> bool:
        return isinstance(self.opened, OnnxSubject)

    def output_step(self, index: int) -> float | None:
        """Quantization step of an output."""
        if isinstance(self.opened, OnnxSubject):
            return self.opened.step(self.opened.outputs[index])
        return self.opened.output_step(index)


def torch_reference(model: Any, normalisation: Normalisation | None = None) -> Reference:
    """A torch module as reference: raw inputs, the first normalised as in the file, eval mode."""
    from .onnx.torch_export import run_torch

    def run(values: Sample) -> Sequence[Array]:
        import torch

        tensors = [torch.from_numpy(np.ascontiguousarray(v, np.float32)) for v in values]
        if normalisation is not None:
            shape = [1] * tensors[0].ndim
            shape[normalisation.axis] = -1
            mean, std = (
                torch.tensor(v).reshape(shape) for v in (normalisation.mean, normalisation.std)
            )
            tensors[0] = (tensors[0] - mean) / std
        return run_torch(model, tensors)

    return run


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
        reference: callable from a sample to outputs (`torch_reference`), or an ONNX file or ModelProto.
        candidates: files; ONNX files first, where a TFLite file is to be compared with its ONNX twin.
        inputs: samples of batch 1, raw float values, axes as in ONNX (NCHW).
        layers: compare inner values as well, on the first `layer_samples` samples.
        layer_reference: ONNX model whose inner values are right; by default the candidates' twin, else the reference.

    Raises:
        InputError: no inputs, wrong shapes, a file that cannot be read or run.
    """
    limits = limits or ParityLimits()
    samples = [tuple(np.asarray(v) for v in sample) for sample in inputs]
    if not samples:
        raise InputError("no inputs to compare on", hint="give at least one sample")
    base = _open_reference(reference, reference_label)
    subjects = [_open(c if isinstance(c, Candidate) else Candidate(Path(c))) for c in candidates]
    _distinguish(subjects)
    rows = _compare_outputs(base, subjects, samples, limits, progress)
    report = ParityReport(
        reference=base.label, samples=len(samples), layer_samples=0, outputs=tuple(rows)
    )
    if layers:
        few = samples[: max(layer_samples, 1)]
        report = _with_layers(report, base, subjects, few, layer_reference, limits, progress)
        report = accept_added_rounding(report, limits)
    outcomes = [row.outcome for row in report.outputs] + [row.outcome for row in report.layers]
    failed = Outcome.FAIL in outcomes
    return replace(report, passed=not failed)


# ------------------------------------------------------------------- opening


@dataclass
class _Base:
    label: str
    run: Reference
    model: OnnxSubject | None = None


def _open_reference(reference: Any, label: str) -> _Base:
    if callable(reference):
        return _Base(label or "torch", reference)
    if isinstance(reference, (str, Path)):
        model = parse(read_model_bytes(Path(reference)), str(reference))
        subject = OnnxSubject(model, label or Path(reference).name)
    else:
        subject = OnnxSubject(reference, label or "reference")
    return _Base(subject.label, subject.run, subject)


def _open(candidate: Candidate) -> _Subject:
    data = read_model_bytes(Path(candidate.path))
    label = Path(candidate.path).name
    if detect_format(data, str(candidate.path)) == "onnx":
        if candidate.engine not in ("", "onnxruntime"):
            raise UsageError(
                f"{candidate.engine} does not run ONNX files", where=str(candidate.path)
            )
        model = parse(data, str(candidate.path))
        precision = candidate.precision or read_metadata(model).precision or _onnx_precision(model)
        return _Subject(candidate, label, "onnxruntime", precision, OnnxSubject(model, label))
    subject = TfliteSubject(Path(candidate.path), candidate.engine, candidate.orders)
    told = subject.session.artifact.metadata.precision
    precision = candidate.precision or told or precision_of(subject.model)
    return _Subject(candidate, label, subject.session.engine, precision, subject)


def _onnx_precision(model: Any) -> str:
    operators = {node.op_type for node in model.graph.node}
    if "QuantizeLinear" in operators:
        return "int8"
    if "DynamicQuantizeLinear" in operators:
        return "dynamic"
    if "DequantizeLinear" in operators:
        return "weight-only"
    return "fp16" if any(t.data_type == 10 for t in model.graph.initializer) else "float32"


def _distinguish(subjects: list[_Subject]) -> None:
    """Files of the same name get their folder's name, too."""
    labels = [(s.label, s.engine) for s in subjects]
    for subject in subjects:
        if labels.count((subject.label, subject.engine)) > 1:
            subject.label = f"{Path(subject.candidate.path).parent.name}/{subject.label}"


# ------------------------------------------------------------------- outputs


@dataclass
class _Pair:
    """Candidate against something, gathered over the samples, one entry per output."""

    subject: _Subject
    against: str
    rule: Rule
    gauges: list[Gauge]
    agreements: list[Agreement]


def _compare_outputs(
    base: _Base,
    subjects: list[_Subject],
    samples: list[Sample],
    limits: ParityLimits,
    progress: Progress | None,
) -> list[OutputRow]:
    pairs: list[tuple[_Pair, int | None]] = []
    if progress:
        progress.stage("compare outputs", len(samples))
    names: list[str] = []
    for number, sample in enumerate(samples):
        expected = [np.asarray(v) for v in base.run(sample)]
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
    return [row for pair, _ in pairs for row in _rows(pair, names, len(samples), limits)]


def _check_counts(
    base: _Base,
    subjects: list[_Subject],
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


def _output_names(base: _Base, subjects: list[_Subject], count: int) -> list[str]:
    models = [base.model, *(s.opened for s in subjects if isinstance(s.opened, OnnxSubject))]
    for model in models:
        if isinstance(model, OnnxSubject) and len(model.outputs) == count:
            return model.outputs
    return ["output"] if count == 1 else [f"output_{index}" for index in range(count)]


def _pairs(
    base: _Base, subjects: list[_Subject], outputs: int, limits: ParityLimits
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


def _pair(subject: _Subject, against: str, rule: Rule, outputs: int, limits: ParityLimits) -> _Pair:
    gauges, agreements = [], []
    for index in range(outputs):
        step = subject.output_step(index)
        gauges.append(Gauge(step, limits.int8_steps))
        # Against float nothing bounds the values, so every disagreement counts.
        tolerance = limits.int8_steps * step * 1.001 if step and rule is Rule.INT8 else 0.0
        agreements.append(Agreement(tolerance))
    return _Pair(subject, against, rule, gauges, agreements)


def _twin(subject: _Subject, subjects: list[_Subject]) -> int | None:
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


def _rows(pair: _Pair, names: list[str], samples: int, limits: ParityLimits) -> list[OutputRow]:
    rows = []
    for name, gauge, agreement in zip(names, pair.gauges, pair.agreements, strict=True):
        distance, share = gauge.distance(), agreement.share()
        rule = pair.rule
        if rule is Rule.INT8 and distance.step is None:
            rule = Rule.FLOAT  # this output stayed float
        outcome, reason = judge(rule, distance, limits, share if rule is Rule.INT8 else None)
        rows.append(
            OutputRow(
                candidate=pair.subject.label,
                engine=pair.subject.engine,
                against=pair.against,
                output=name,
                rule=rule,
                samples=samples,
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
    base: _Base,
    subjects: list[_Subject],
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
        notes=tuple(notes),
        departs=departs,
        layer_samples=len(samples),
    )


def _layer_reference(
    subject: _Subject, subjects: list[_Subject], base: _Base, given: Any
) -> tuple[OnnxSubject | None, Rule]:
    """The ONNX model whose layers are right for this candidate, and the rule they are held to."""
    if given is not None:
        right = _open_reference(given, "").model
        same = right is not None and _onnx_precision(right.model) == subject.precision
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
    same = _onnx_precision(right.model) == subject.precision
    if same:
        return right, _PEER_RULES.get(subject.precision, Rule.REPORTED)
    return right, _REFERENCE_RULES.get(subject.precision, Rule.REPORTED)
