"""Names of exported files: NAME.PRECISION.SUFFIX, and what each kind of file is called in a recipe and a report."""

from __future__ import annotations

from .recipe_records import ExportOptions, Recipe

SUFFIXES = {
    "onnx": "onnx",
    "qonnx": "qonnx.onnx",
    "tflite": "tflite",
    "lce": "lce.tflite",
    "c": "c",
}
"""Kind of file -> how its name ends. "lce" is TFLite with the operators of Larq Compute Engine."""


def kinds(export: ExportOptions) -> tuple[str, ...]:
    """Kinds of files that a recipe asks for, ONNX first: a TFLite file once for every form of one-bit layers."""
    found: list[str] = []
    for fmt in sorted(export.formats):
        if fmt == "tflite":
            found += ["lce" if form == "lce" else "tflite" for form in export.binary]
        else:
            found.append(fmt)
    return tuple(sorted(found, key=list(SUFFIXES).index))


def artifact_name(name: str, precision: str, kind: str) -> str:
    """NAME.PRECISION.SUFFIX."""
    return f"{name}.{precision}.{SUFFIXES[kind]}"


def artifact_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of all files that a recipe makes, ONNX before TFLite of the same precision."""
    return tuple(
        artifact_name(recipe.name, precision, kind)
        for precision in recipe.export.precisions
        for kind in kinds(recipe.export)
    )


def read_name(file: str) -> tuple[str, str]:
    """(precision, kind) of a file's name; empty where it says neither."""
    for kind, suffix in sorted(SUFFIXES.items(), key=lambda item: -len(item[1])):
        if file.endswith(f".{suffix}"):
            return file[: -len(suffix) - 1].rpartition(".")[2] if "." in file else "", kind
    return "", ""
