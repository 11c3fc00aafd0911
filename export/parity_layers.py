"""Which layer of a file is the first that does not do what the model does.

Every value that the file and the ONNX model hold under one name is compared twice: as it came out, with all the
rounding of the layers before it, and on its own: the ONNX layer is fed with the file's values, so that only
this layer's own difference remains. The second decides, whatever the depth of the network.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .parity_distance import Array, Gauge
from .parity_onnx import OnnxSubject, Tap
from .parity_records import LayerRow, Outcome, ParityLimits, Rule, judge
from .parity_signs import judge_packed, packed_values


class Values(Protocol):
    """A candidate seen layer by layer."""

    def layers(self, reference: OnnxSubject) -> tuple[list[str], list[str]]:
        """(names that can be compared, remarks on those that cannot)."""

    def step(self, name: str) -> float | None:
        """Quantization step of a value."""

    def operator(self, name: str) -> str:
        """Operator that writes it."""

    def signs(self) -> Collection[str]:
        """Names whose values are kept as bits: they are 1 and -1 here, whatever they are in the model."""

    def inner(self, values: Sequence[Array], names: Sequence[str]) -> dict[str, Array]:
        """name -> real value in ONNX's axis order for one sample."""


@dataclass(frozen=True)
class Layers:
    """Rows of one candidate in topological order, and the first that departs ("" if none does)."""

    rows: tuple[LayerRow, ...]
    departs: str
    notes: tuple[str, ...]


def compare_layers(
    candidate: Values,
    reference: OnnxSubject,
    samples: Sequence[tuple[Array, ...]],
    rule: Rule,
    limits: ParityLimits,
    labels: tuple[str, str],
) -> Layers:
    """Compare all common inner values; `labels` are the candidate's name and engine.

    `rule` is FLOAT, FP16 or INT8 (judged), or REPORTED (noise told, nothing judged).
    """
    names, notes = candidate.layers(reference)
    if not names:
        return Layers(
            (), "", (*notes, f"{labels[0]}: no inner value has a name of {reference.label}")
        )
    steps = {name: candidate.step(name) for name in names}
    # What a layer kept float hands to an int8 one is rounded behind the value of this name, not in it.
    late = [n for n in names if steps[n] is None and rule is Rule.INT8 and reference.step(n)]
    steps.update({name: reference.step(name) for name in late})
    total = {name: Gauge(steps[name], limits.int8_steps) for name in names}
    own = {name: Gauge(steps[name], limits.int8_steps) for name in names}
    signs, packed = candidate.signs(), packed_values(reference, names)
    tap = reference.tap(names)
    cut = reference.cut(names) if rule is not Rule.REPORTED else None
    for values in samples:
        found = candidate.inner(values, names)
        found.update({name: reference.rounded(name, found[name]) for name in late})
        expected = tap.run(values)
        alone = cut.run(values, found) if cut else {}
        for name in signs:
            expected[name] = np.where(expected[name] < 0, -1.0, 1.0)
            if cut:
                alone[name] = np.where(alone[name] < 0, -1.0, 1.0)
        for name in names:
            total[name].add(expected[name], found[name])
            if cut:
                own[name].add(alone[name], found[name])
    rows = [
        _row(
            candidate,
            reference,
            name,
            rule,
            limits,
            labels,
            total[name],
            own[name] if cut else None,
            name in packed,
        )
        for name in names
    ]
    departs = next((row.layer for row in rows if row.outcome is Outcome.FAIL), "")
    return Layers(tuple(rows), departs, tuple(notes))


def _row(
    candidate: Values,
    reference: OnnxSubject,
    name: str,
    rule: Rule,
    limits: ParityLimits,
    labels: tuple[str, str],
    total: Gauge,
    own: Gauge | None,
    packed: bool,
) -> LayerRow:
    distance = total.distance()
    alone = own.distance() if own else None
    judged = alone if alone is not None else distance
    applied = Rule.FLOAT if rule is Rule.INT8 and judged.step is None else rule
    outcome, reason = judge(applied, judged, limits)
    if packed and alone is not None and outcome is Outcome.PASS:
        outcome, reason = judge_packed(alone)
    return LayerRow(
        candidate=labels[0],
        engine=labels[1],
        against=reference.label,
        layer=name,
        operator=candidate.operator(name),
        shape=reference.shapes.get(name, ()),
        rule=applied,
        distance=distance,
        own=alone,
        outcome=outcome,
        reason=reason,
    )


class OnnxValues:
    """Inner values of an ONNX candidate."""

    def __init__(self, subject: OnnxSubject):
        self.subject = subject
        self._tap: Tap | None = None

    def layers(self, reference: OnnxSubject) -> tuple[list[str], list[str]]:
        """Float values that both models write under the same name."""
        own = {name for node in self.subject.model.graph.node for name in node.output}
        return [name for name in layer_names(reference) if name in own], []

    def step(self, name: str) -> float | None:
        """Quantization step of a value."""
        return self.subject.step(name)

    def operator(self, name: str) -> str:
        """ONNX operator that writes it."""
        return str(self.subject.producers[name].op_type)

    def signs(self) -> Collection[str]:
        """None: packed layers read real values."""
        return ()

    def inner(self, values: Sequence[Array], names: Sequence[str]) -> dict[str, Array]:
        """One run of the model with these values as outputs."""
        if self._tap is None or self._tap.names != list(names):
            self._tap = self.subject.tap(names)
        return self._tap.run(values)


def layer_names(reference: OnnxSubject) -> list[str]:
    """Float values that computing nodes of the model write, in topological order."""
    passive = {"QuantizeLinear", "DequantizeLinear"}
    floats, ends = reference.float_values(), set(reference.outputs)
    return [
        node.output[0]
        for node in reference.model.graph.node
        if node.output[0] in floats and (node.op_type not in passive or node.output[0] in ends)
    ]
