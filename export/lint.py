"""Judges any TFLite file: int8 rules, operator versions, quantization parameters, float islands.

    for finding in lint(Path("model.tflite"), target_runtime="2.14"):
        print(finding)

A damaged file is refused by the parser (`InputError`); what is found here loads, but some engine computes it
wrongly, refuses it, or runs it slower than need be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..runtime.artifact import detect_format, read_model_bytes
from ..runtime.errors import InputError
from ..runtime.tflite_schema import TfliteModel, TfliteOperator, TfliteSubgraph, read_model
from .lint_operators import check_operator, is_int8_model
from .lint_tensors import check_tensor
from .tflite.op_versions import ENGINE_VERSIONS, ENGINES, Release, first_release, parse_release

ERROR, WARNING = "error", "warning"
_OTHER_FORMATS = {"onnx": "ONNX", "c": "a folder of C sources"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong ("error") or doubtful ("warning").

    `rule` is a short name to filter by, `where` the operator or tensor, `hint` what to do.
    """

    severity: str
    rule: str
    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.severity}: {self.rule}: {self.where}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


def lint(path: Path, target_runtime: str | None = None) -> tuple[Finding, ...]:
    """All findings of a TFLite file, in graph order, errors and warnings mixed.

    Args:
        path: the file, of any origin.
        target_runtime: TensorFlow release of the runtime that must run it ("2.14"); without one, only what
            no known engine can run is an error, what one of them cannot is a warning.

    Raises:
        InputError: not a TFLite file, or damaged.
        UsageError: `target_runtime` is no version.
    """
    data = read_model_bytes(path)
    if data[4:8] != b"TFL3" and (form := detect_format(data, str(path))) != "tflite":
        raise InputError(
            f"lint judges TFLite files, this is {_OTHER_FORMATS.get(form, form)}",
            where=str(path),
            hint="export the model to TFLite and lint that file",
        )
    return lint_model(read_model(data, str(path)), target_runtime)


def lint_model(model: TfliteModel, target_runtime: str | None = None) -> tuple[Finding, ...]:
    """`lint` of a parsed file."""
    target = parse_release(target_runtime) if target_runtime is not None else None
    found = list(_versions(model, target))
    for subgraph in model.subgraphs:
        int8_model = is_int8_model(subgraph)
        for tensor in subgraph.tensors:
            found += [Finding(*item) for item in check_tensor(tensor)]
        for operator in subgraph.operators:
            found += [Finding(*i) for i in check_operator(subgraph, operator, int8_model, target)]
    return tuple(found)


def _versions(model: TfliteModel, target: Release | None) -> Iterator[Finding]:
    """Operators newer than the target, than one engine, or than anything known; custom operators."""
    users: dict[tuple[str, int, str], TfliteOperator] = {}
    for operator in _operators(model):
        users.setdefault(
            (operator.code.name, operator.code.version, operator.code.custom_code), operator
        )
    for (name, version, custom), operator in users.items():
        where = f"operator {operator.index} ({operator.name})"
        if name == "CUSTOM":
            hint = "register its kernel with the runtime, or export with builtin operators only"
            yield Finding(WARNING, "custom-operator", where, f"needs the kernel {custom!r}", hint)
            continue
        released = first_release(name, version)
        text = f"version {version}"
        if target is not None and (released is None or released > target):
            since = "no known runtime" if released is None else _release(released)
            hint = "write the lowest version that does the work, or update the runtime"
            message = f"{text} is of {since}, the target is {_release(target)}"
            yield Finding(ERROR, "operator-version", where, message, hint)
        elif released is None:
            message = f"{text} is not known to any engine tried ({', '.join(ENGINES)})"
            yield Finding(ERROR, "operator-version", where, message, "update edgepress or the file")
        elif target is None:
            missing = _engines_without(name, version)
            if missing:
                yield Finding(WARNING, "operator-version", where, f"{text} is not in {missing}")


def _operators(model: TfliteModel) -> Iterator[TfliteOperator]:
    subgraphs: tuple[TfliteSubgraph, ...] = model.subgraphs
    for subgraph in subgraphs:
        yield from subgraph.operators


def _engines_without(name: str, version: int) -> str:
    highest = ENGINE_VERSIONS.get(name, (0,) * len(ENGINES))
    return ", ".join(e for e, known in zip(ENGINES, highest, strict=True) if version > known)


def _release(release: Release) -> str:
    return ".".join(str(part) for part in release)
