"""What a parity proof compares, opened: the reference, and every candidate with its precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.artifact import Normalisation, detect_format, read_model_bytes
from ..runtime.errors import UsageError
from .onnx.intake import from_onnx, parse
from .onnx.metadata import read_metadata
from .onnx.qonnx import has_quantizers
from .parity_c import CSubject
from .parity_distance import Array
from .parity_onnx import OnnxSubject
from .parity_records import Candidate
from .parity_tflite import TfliteSubject, precision_of

Sample = tuple[Array, ...]
Reference = Callable[[Sample], Sequence[Array]]


@dataclass
class Subject:
    """A candidate, opened."""

    candidate: Candidate
    label: str
    engine: str
    precision: str
    opened: OnnxSubject | TfliteSubject | CSubject

    @property
    def is_onnx(self) -> bool:
        """Whether it is an ONNX file."""
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


@dataclass
class Base:
    """What is right: something that runs and, for an ONNX model, its inner values."""

    label: str
    run: Reference
    model: OnnxSubject | None = None
    file: TfliteSubject | CSubject | None = None


def open_reference(reference: Any, label: str) -> Base:
    """A callable, an ONNX or TFLite file (a path or a `Candidate`), or a ModelProto."""
    if callable(reference):
        return Base(label or "torch", reference)
    if isinstance(reference, (str, Path)):
        reference = Candidate(Path(reference))
    if not isinstance(reference, Candidate):
        subject = OnnxSubject(reference, label or "reference")
        return Base(subject.label, subject.run, subject)
    path = Path(reference.path)
    data, label = read_model_bytes(path), label or path.name
    if detect_format(data, str(path)) in ("tflite", "lce"):
        file = TfliteSubject(path, reference.engine, reference.orders, reference.layout)
        return Base(label, file.run, None, file)
    if detect_format(data, str(path)) == "c":
        folder = CSubject(path, reference.engine, reference.layout)
        return Base(label, folder.run, None, folder)
    subject = OnnxSubject(_onnx_model(data, str(path)), label)
    return Base(label, subject.run, subject)


def _onnx_model(data: bytes, where: str) -> Any:
    """The model of an ONNX file; of a QONNX file, which no engine runs, the model it stands for."""
    model = parse(data, where)
    return from_onnx(data, where) if has_quantizers(model) else model


def open_candidate(candidate: Candidate) -> Subject:
    """Open a file; what the candidate leaves open is read from it.

    Raises:
        InputError: it cannot be read.
        UsageError: the engine does not run its format.
    """
    data = read_model_bytes(Path(candidate.path))
    label = Path(candidate.path).name
    form = detect_format(data, str(candidate.path))
    if form == "c":
        folder = CSubject(Path(candidate.path), candidate.engine, candidate.layout)
        precision = candidate.precision or folder.session.artifact.metadata.precision
        return Subject(candidate, label, folder.session.engine, precision, folder)
    if form == "onnx":
        if candidate.engine not in ("", "onnxruntime"):
            raise UsageError(
                f"{candidate.engine} does not run ONNX files", where=str(candidate.path)
            )
        model = _onnx_model(data, str(candidate.path))
        precision = candidate.precision or read_metadata(model).precision or onnx_precision(model)
        return Subject(candidate, label, "onnxruntime", precision, OnnxSubject(model, label))
    subject = TfliteSubject(
        Path(candidate.path), candidate.engine, candidate.orders, candidate.layout
    )
    told = subject.session.artifact.metadata.precision
    precision = candidate.precision or told or precision_of(subject.model)
    return Subject(candidate, label, subject.session.engine, precision, subject)


def onnx_precision(model: Any) -> str:
    """Precision class of an ONNX model, from what it holds."""
    operators = {node.op_type for node in model.graph.node}
    if "QuantizeLinear" in operators:
        return "int8"
    if "DynamicQuantizeLinear" in operators:
        return "dynamic"
    if "DequantizeLinear" in operators:
        return "weight-only"
    return "fp16" if any(t.data_type == 10 for t in model.graph.initializer) else "float32"


def distinguish(subjects: list[Subject]) -> None:
    """Files of the same name get their folder's name, too."""
    labels = [(s.label, s.engine) for s in subjects]
    for subject in subjects:
        if labels.count((subject.label, subject.engine)) > 1:
            subject.label = f"{Path(subject.candidate.path).parent.name}/{subject.label}"
