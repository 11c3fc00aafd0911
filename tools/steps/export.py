"""All that the recipe asks for: artifacts/NAME.PRECISION.{onnx,tflite,c/}, the same bytes for the same inputs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.receipt import Receipt
from ...runtime.artifact import FileMetadata, read_model_bytes
from ...runtime.errors import InputError
from ...runtime.files import sha256_bytes, sha256_file, write_bytes
from ..artifact_names import artifact_name, artifact_names, kinds, read_name
from ..recipe import recipe_values
from ..recipe_records import Recipe
from ..run_folder import write_json
from .base import Step, Workplace
from .hub import is_quantized

if TYPE_CHECKING:
    from ..inputs import Inputs


@dataclass(frozen=True)
class Exported:
    """One file of artifacts.json."""

    file: str
    precision: str
    format: str
    sha256: str
    file_bytes: int


class ExportStep(Step):
    """Hubs -> files that run on raw values, with labels, normalisation and origin inside."""

    name: ClassVar[str] = "export"
    takes: ClassVar[tuple[str, ...]] = ("float_hub", "int8_hub", "binary_hub")
    gives: ClassVar[Mapping[str, str]] = {"artifacts": "artifacts.json"}

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """Names, options, and what is written into the files."""
        recipe, task = inputs.recipe, inputs.task
        return {
            "name": recipe.name,
            "options": recipe_values(recipe.export),
            "labels": list(task.labels) if task else [],
            "task": task.name if task else "",
            "granularity": fc_granularity(recipe),
        }

    def title(self) -> str:
        """One line for plans."""
        return "write the exported files"

    def work(self, place: Workplace) -> Receipt:
        """Write every file."""
        from ...export.onnx import hub as hubs

        start = time.perf_counter()
        recipe = place.recipe
        names = artifact_names(recipe)
        place.progress.stage("export", len(names))
        loaded = {role: hubs.load(path) for role, path in place.taken.items()}
        source = source_sha256(place)
        rows, notes = [], list[str]()
        for precision in recipe.export.precisions:
            model = model_for(precision, loaded, recipe)
            notes += [f"{precision}: {line}" for line in advice_on(precision, model, recipe)]
            notes += unrolled(loaded["float_hub"]) if precision == "int8" else []
            for fmt in kinds(recipe.export):
                path = place.run / "artifacts" / artifact_name(recipe.name, precision, fmt)
                metadata = metadata_for(model, place, precision, source)
                remarks = write_artifact(place, path.name, model, metadata)
                notes += [f"{path.name}: {remark}" for remark in remarks]
                data = read_model_bytes(path)
                rows.append(Exported(path.name, precision, fmt, sha256_bytes(data), len(data)))
                place.progress.advance()
        write_json(place.own("artifacts.json"), {"schema": "edgepress-artifacts/1", "files": rows})
        return Receipt(
            step=self.name,
            options=recipe_values(recipe.export),
            seed=recipe.seed,
            seconds=time.perf_counter() - start,
            notes=(*size_notes(rows), *notes),
        )


def read_exported(path: Path) -> tuple[Exported, ...]:
    """The rows of an artifacts.json."""
    import json

    from ...runtime.codec import from_json

    data = json.loads(path.read_text("utf-8"))
    return tuple(from_json(Exported, row) for row in data["files"])


def size_notes(rows: list[Exported]) -> list[str]:
    """What became of the file sizes: real files, compared with the float32 file of the same format."""
    notes = []
    for row in rows:
        floats = [r for r in rows if r.format == row.format and r.precision == "float32"]
        if row.format == "c":
            continue  # sources are text: their bytes say nothing about the device
        if floats and row.precision != "float32":
            ratio = floats[0].file_bytes / row.file_bytes
            said = f"{ratio:.2f}x smaller" if ratio >= 1 else f"{1 / ratio:.2f}x larger"
            notes.append(f"{row.file}: {row.file_bytes} bytes, {said} than {floats[0].file}")
    return notes


def model_for(precision: str, loaded: Mapping[str, Any], recipe: Recipe) -> Any:
    """The ONNX model that the files of a precision are made of.

    Raises:
        InputError: the model handed in is quantized (or not), and the recipe asks for what it cannot give.
    """
    hub = loaded.get("binary_hub", loaded["float_hub"])
    if precision == "int8":
        quantized = loaded.get("int8_hub", hub)
        if not is_quantized(quantized):
            raise InputError(
                "the model is float, and no pass makes it int8",
                where=recipe.model,
                hint="add `quantize` to the passes, or remove int8 from export.precisions",
            )
        return quantized
    if is_quantized(hub):
        raise InputError(
            f"the model is quantized already, it cannot be exported as {precision}",
            where=recipe.model,
            hint="set export.precisions to [int8]",
        )
    return hub


def write_artifact(
    place: Workplace, name: str, model: Any, metadata: FileMetadata
) -> tuple[str, ...]:
    """Write one file of artifacts/, or the files of one C folder; gives remarks on what was made."""
    precision, fmt = read_name(name)
    if fmt != "c":
        data, remarks = file_bytes(model, precision, fmt, place.recipe, metadata)
        write_bytes(place.shared(f"artifacts/{name}"), data)
        return remarks
    from ...runtime.c_folder import MANIFEST, parse
    from .c_folder import c_files

    files = c_files(place.inputs, model, precision, fc_granularity(place.recipe), metadata)
    for file, data in files.items():
        write_bytes(place.shared(f"artifacts/{name}/{file}"), data)
    made = parse(files[MANIFEST])
    arena = f"arena {made.arena_bytes} bytes (no plan below {made.arena_lower_bound_bytes})"
    return (f"{made.weights_bytes} bytes of constants in flash, {arena}",)


def file_bytes(
    model: Any, precision: str, fmt: str, recipe: Recipe, metadata: FileMetadata
) -> tuple[bytes, tuple[str, ...]]:
    """Content of one file, and why it holds a QUANTIZE that the model does not ask for.

    The TFLite writer stores weights by itself, ONNX takes another graph for it.
    """
    if fmt == "onnx":
        from ...export.onnx.compact import compact
        from ...export.onnx.judge import OWN_DOMAIN
        from ...export.onnx.metadata import write_metadata

        stored = write_metadata(stored_as(precision, model), metadata)
        if any(node.domain == OWN_DOMAIN for node in stored.graph.node):
            stored = compact(stored)
        written: bytes = stored.SerializeToString(deterministic=True)
        return written, ()
    if fmt == "qonnx":
        from ...export.onnx.qonnx_proof import exchanged

        return exchanged(stored_as(precision, model), metadata)
    if fmt == "lce":
        need_one_bit_layers(model)
    from ...export.tflite import convert

    made = convert(
        model,
        precision=precision,
        io=recipe.export.io,
        io_layout=recipe.export.io_layout,
        metadata=metadata,
        fc_granularity=fc_granularity(recipe),
        binary="lce" if fmt == "lce" else "int8",
    )
    remarks = [f"QUANTIZE at {name}: {why}" for name, why in made.extra_quantize]
    if fmt == "lce":
        remarks += [f"{name}: {remark}" for name, remark in made.notes]
    return made.data, tuple(remarks)


def need_one_bit_layers(model: Any) -> None:
    """Refuse a model without packed layers: nothing in it becomes an operator of Larq Compute Engine.

    Raises:
        InputError: there are none.
    """
    from ...export.onnx.binary_links import BINARY
    from ...export.onnx.judge import OWN_DOMAIN

    if not any(n.domain == OWN_DOMAIN and n.op_type in BINARY for n in model.graph.node):
        raise InputError(
            "the model has no one-bit layers for Larq Compute Engine",
            hint="binarize it first (docs/binary_files.md), or leave out --binary lce",
        )


def stored_as(precision: str, model: Any) -> Any:
    """The ONNX graph with its weights in fp16 or int8; float32 and int8 graphs stay."""
    if precision in ("float32", "int8"):
        return model
    from ...export.onnx import storage

    makers = {
        "fp16": storage.to_fp16,
        "dynamic": storage.to_dynamic,
        "weight-only": storage.to_weight_only,
    }
    return makers[precision](model)


def advice_on(precision: str, model: Any, recipe: Recipe) -> tuple[str, ...]:
    """What to know about an ONNX file of this precision."""
    if precision in ("float32", "int8") or "onnx" not in recipe.export.formats:
        return ()
    from ...export.onnx import storage

    return storage.advice(model, precision)


def unrolled(hub: Any) -> list[str]:
    """A remark if the float model has recurrent layers, which int8 files hold step by step."""
    found = sorted({n.op_type for n in hub.graph.node} & {"LSTM", "GRU", "RNN"})
    if not found:
        return []
    return [
        f"int8: {' and '.join(found)} unrolled step by step: files grow with the series' length"
    ]


def fc_granularity(recipe: Recipe) -> str:
    """Scales of dense layers as the quantizing pass has them."""
    found = [getattr(step.options, "fc_granularity", None) for step in recipe.passes]
    return next((value for value in found if value), "channel")


def metadata_for(model: Any, place: Workplace, precision: str, source: str) -> FileMetadata:
    """What a file says about itself: labels, task, normalisation, origin. No times, no paths."""
    from ...export.onnx.metadata import read_metadata

    own, task = read_metadata(model), place.inputs.task
    return replace(
        own,
        source_sha256=source,
        labels=task.labels if task is not None else own.labels,
        task=task.name if task is not None else own.task,
        precision=precision,
    )


def source_sha256(place: Workplace) -> str:
    """Hash of the weights that the files were made of: the content of the hub they come from."""
    return sha256_file(place.taken.get("binary_hub", place.taken["float_hub"]))
