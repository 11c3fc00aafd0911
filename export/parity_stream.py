"""Proof of exported C that keeps a state from step to step: it and its model are run as one stream over the samples.

The model takes the state as inputs and gives it as outputs, and names the pairs ("edgepress.states"); its C keeps them.
So the samples, in their order, are the steps of a stream: the state is zero at first, from then on what the model gave.
Where they hold the state as well, that part is left out. Other files are proven step by step as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.artifact import detect_format, open_artifact, read_model_bytes
from ..runtime.c_folder import folder_bytes, is_folder, of_bytes
from ..runtime.errors import InputError
from .c.states import states_of
from .onnx.intake import parse
from .parity import verify
from .parity_onnx import OnnxSubject
from .parity_open import Sample, onnx_precision
from .parity_records import Candidate, ParityReport, Rule

_RULES = {"float32": Rule.FLOAT, "int8": Rule.INT8}


def keeps_state(path: Path) -> bool:
    """True for a folder of exported C with a state."""
    return is_folder(path) and of_bytes(folder_bytes(path), str(path)).state_bytes > 0


def verify_all(
    reference: Any, candidates: Sequence[Candidate], inputs: Sequence[Sample], **options: Any
) -> ParityReport:
    """As `parity.verify`; folders that keep a state are run as streams.

    An int8 folder is judged against the integers of the int8 ONNX file, where that is the reference or a candidate.

    Raises:
        InputError: the model does not say which of its inputs are the state, or the samples fit neither form.
    """
    kept = [c for c in candidates if keeps_state(Path(c.path))]
    plain = [c for c in candidates if c not in kept]
    reports = [verify(reference, plain, inputs, **options)] if plain else []
    onnx = [Path(c.path) for c in plain if _is_onnx(Path(c.path))]
    for candidate in kept:
        reports += _streams(reference, onnx, candidate, inputs, options)
    return _merged(reports) if len(reports) > 1 else reports[0]


def _streams(
    reference: Any,
    onnx: Sequence[Path],
    candidate: Candidate,
    inputs: Sequence[Sample],
    options: Mapping[str, Any],
) -> list[ParityReport]:
    """One folder against the reference, and against the ONNX files of its precision."""
    where = Path(candidate.path)
    if not isinstance(reference, Path) or not _is_onnx(reference):
        raise InputError(
            "it keeps a state from step to step, which its ONNX file proves",
            where=str(where),
            hint="give the ONNX file of one step as reference",
        )
    precision = candidate.precision or open_artifact(where).metadata.precision
    found = []
    for path in dict.fromkeys((reference, *onnx)):
        stream = Stream(path)
        same = stream.precision == precision
        if path != reference and not same:
            continue
        rule = candidate.rule or (_RULES.get(precision, Rule.REPORTED) if same else Rule.REPORTED)
        steps = [stream.step_inputs(sample) for sample in inputs]
        label = options.get("reference_label", "") if path == reference else path.name
        told = {**options, "reference_label": label or path.name, "layers": False}
        report = verify(stream.run, [replace(candidate, rule=rule)], steps, **told)
        note = f"{where.name}: {len(steps)} steps of one stream, its state zero at first"
        found.append(replace(report, notes=(*report.notes, note)))
    return found


class Stream:
    """An ONNX model of one step, run as a stream."""

    def __init__(self, path: Path):
        hub = parse(read_model_bytes(path), str(path))
        self._model = OnnxSubject(hub, path.name)
        self._pairs = states_of(hub)
        if not self._pairs:
            hint = 'name the pairs in its metadata_props: edgepress.states = {"input": "output"}'
            raise InputError(
                "the C keeps a state, and this model does not say which inputs it is",
                where=str(path),
                hint=hint,
            )
        self.precision = onnx_precision(hub)
        self._run = _integers(hub) if self.precision == "int8" else self._model.run
        self._inputs = [name for name in self._model.inputs if name not in self._pairs]
        self._state = {name: np.zeros(self._model.shapes[name], np.float32) for name in self._pairs}

    def step_inputs(self, sample: Sample) -> Sample:
        """The sample without its state.

        Raises:
            InputError: it has neither all inputs of the model nor those that are no state.
        """
        if len(sample) == len(self._inputs):
            return sample
        if len(sample) != len(self._model.inputs):
            raise InputError(
                f"{len(sample)} inputs given, a step takes {len(self._inputs)}",
                where=self._model.label,
                hint=f"give one array for each of {', '.join(self._inputs)}",
            )
        named = dict(zip(self._model.inputs, sample, strict=True))
        return tuple(named[name] for name in self._inputs)

    def run(self, sample: Sample) -> list[Any]:
        """Outputs of the next step, the state left out."""
        given = {**self._state, **dict(zip(self._inputs, sample, strict=True))}
        values = self._run([given[name] for name in self._model.inputs])
        outputs = dict(zip(self._model.outputs, values, strict=True))
        self._state = {name: outputs[source] for name, source in self._pairs.items()}
        kept = set(self._pairs.values())
        return [value for name, value in outputs.items() if name not in kept]


def _integers(hub: Any) -> Callable[[Sequence[Any]], list[Any]]:
    """A quantized model in integer arithmetic: onnxruntime's rounding would add up from step to step."""
    from ..compress.quantization.integer import IntegerModel

    return IntegerModel(hub).run


def _is_onnx(path: Path) -> bool:
    return detect_format(read_model_bytes(path), str(path)) == "onnx"


def _merged(reports: Sequence[ParityReport]) -> ParityReport:
    """One report of several: the first's reference and layers, everyone's rows."""
    first = reports[0]
    return replace(
        first,
        passed=all(report.passed for report in reports),
        outputs=tuple(row for report in reports for row in report.outputs),
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )
