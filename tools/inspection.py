"""What `edgepress inspect` shows of a file: format, tensors, layers, totals, metadata. Nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.artifact import FileMetadata, TensorSpec, detect_format, read_model_bytes
from ..runtime.codec import to_json
from ..runtime.files import sha256_bytes
from .render import kib, number, plural, shape, shapes, table

if TYPE_CHECKING:
    from ..devices.layers import LayerTable

SCHEMA = "edgepress-inspect/1"
TOTALS = ("parameters", "macs", "binary_macs", "bit_operations", "weight_bytes")


def inspect_file(path: Path) -> dict[str, Any]:
    """Everything about an .onnx, .tflite or .npz file or a C folder, judged by content.

    Raises:
        InputError: it cannot be read, is damaged, or is none of these.
    """
    data = read_model_bytes(path)
    facts: dict[str, Any] = {"schema": SCHEMA, "file": str(path), "file_bytes": len(data)}
    facts["sha256"] = sha256_bytes(data)
    if data[:4] == b"PK\x03\x04":
        return {**facts, "format": "npz", **_npz(path)}
    form = detect_format(data, str(path))
    facts["format"] = form
    readers = {"tflite": _tflite, "lce": _tflite, "onnx": _onnx, "c": _c_folder}
    return {**facts, **readers[form](data, str(path))}


def _layers(source: Any, where: str) -> dict[str, Any]:
    from ..devices.layers import layer_table

    return _rows(layer_table(source, where))


def _rows(found: LayerTable) -> dict[str, Any]:
    return {
        "layers": [to_json(layer) for layer in found.layers],
        "totals": {key: getattr(found, key) for key in TOTALS},
        "notes": list(found.notes),
    }


def _tflite(data: bytes, where: str) -> dict[str, Any]:
    from ..runtime.specs import tflite_specs
    from ..runtime.tflite_schema import read_model

    model = read_model(data, where)
    specs = tflite_specs(model)
    facts = {"description": model.description, "subgraphs": len(model.subgraphs)}
    return {"about": facts, **_border(specs), **_layers(data, where)}


def _onnx(data: bytes, where: str) -> dict[str, Any]:
    from ..export.onnx.intake import parse
    from ..export.onnx.metadata import read_metadata
    from ..runtime.onnx_wire import border_quantization

    model = parse(data, where)
    quantized = border_quantization(data)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    specs = {
        "inputs": [_onnx_spec(value, quantized) for value in inputs],
        "outputs": [_onnx_spec(value, quantized) for value in model.graph.output],
        "metadata": read_metadata(model),
    }
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    facts = {"ir_version": model.ir_version, "opsets": opsets, "producer": model.producer_name}
    return {"about": facts, **_border(specs), **_layers(model, where)}


def _c_folder(data: bytes, where: str) -> dict[str, Any]:
    from ..devices.layers_c import c_layers
    from ..runtime.c_folder import of_bytes

    folder = of_bytes(data, where)
    keys = ("name", "device", "layout", "precision", "operators")
    sizes = ("arena_bytes", "arena_lower_bound_bytes", "weights_bytes")
    specs = {"inputs": folder.inputs, "outputs": folder.outputs, "metadata": folder.metadata}
    about = {key: getattr(folder, key) for key in (*keys, *sizes)}
    return {"about": about, **_border(specs), **_rows(c_layers(folder, where))}


def _onnx_spec(value: Any, quantized: Mapping[str, tuple[float, int]]) -> TensorSpec:
    import onnx

    tensor = value.type.tensor_type
    dimensions = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    scale, zero_point = quantized.get(value.name, (None, None))
    return TensorSpec(
        value.name, dimensions, {"float": "float32"}.get(kind, kind), scale, zero_point
    )


def _border(specs: Mapping[str, Any]) -> dict[str, Any]:
    metadata: FileMetadata = specs.get("metadata") or FileMetadata()
    return {
        "inputs": [to_json(spec) for spec in specs["inputs"]],
        "outputs": [to_json(spec) for spec in specs["outputs"]],
        "metadata": None if metadata == FileMetadata() else to_json(metadata),
    }


def _npz(path: Path) -> dict[str, Any]:
    import numpy as np

    from ..compress.archives import read_npz_file

    arrays: list[dict[str, Any]] = []
    for name, values in read_npz_file(path).items():
        finite = values.dtype.kind not in "fc" or bool(np.isfinite(values).all())
        arrays.append(
            {
                "name": name,
                "shape": list(values.shape),
                "dtype": str(values.dtype),
                "elements": int(values.size),
                "bytes": int(values.nbytes),
                "finite": finite,
            }
        )
    totals = {key: sum(a[key] for a in arrays) for key in ("elements", "bytes")}
    return {"arrays": arrays, "totals": totals}


# ------------------------------------------------------------------- text


def inspection_text(facts: Mapping[str, Any]) -> str:
    """The facts as text for a terminal."""
    head = f"{Path(facts['file']).name}: {facts['format']}, {kib(facts['file_bytes'])} (file)"
    if facts["format"] == "npz":
        return f"{head}\n\n{_npz_text(facts)}"
    parts = [f"{head}, {_about(facts['about'])}", _border_text(facts)]
    if facts["metadata"]:
        parts.append(_metadata_text(facts["metadata"]))
    if facts["layers"]:
        parts += [_layers_text(facts), _totals_text(facts["totals"])]
    parts += [f"note: {note}" for note in facts["notes"]]
    return "\n\n".join(parts)


def _about(about: Mapping[str, Any]) -> str:
    if "opsets" in about:
        opsets = ", ".join(f"{domain} {version}" for domain, version in about["opsets"].items())
        return (
            f"IR {about['ir_version']}, opset {opsets}, producer {about['producer'] or 'unknown'}"
        )
    if "arena_bytes" in about:
        return (
            f"C sources for device {about['device']}, {kib(about['weights_bytes'])} of constants in flash, "
            f"arena {kib(about['arena_bytes'])} (no plan below {kib(about['arena_lower_bound_bytes'])})"
        )
    return f"{plural(about['subgraphs'], 'subgraph')}, {about['description'] or 'no description'}"


def _border_text(facts: Mapping[str, Any]) -> str:
    lines = []
    for kind in ("inputs", "outputs"):
        for spec in facts[kind]:
            line = f"{kind[:-1]:<7} {spec['name']}: {spec['dtype']} {shape(spec['shape'])}"
            if spec["layout"]:
                line += f" {spec['layout']}"
            if spec["scale"] is not None:
                zero = spec["zero_point"]
                offset = f" + {-zero}" if zero < 0 else f" - {zero}" if zero else ""
                line += f", real = {spec['scale']:.7g} x (value{offset})"
            lines.append(line)
    return "\n".join(lines)


def _metadata_text(metadata: Mapping[str, Any]) -> str:
    words = [f"edgepress {metadata['edgepress_version']}"]
    words += [f"{key} {metadata[key]}" for key in ("precision", "task") if metadata[key]]
    lines = ["written by " + ", ".join(words)]
    norm = metadata["normalisation"]
    if norm:
        means, stds = (", ".join(number(v) for v in norm[key]) for key in ("mean", "std"))
        where = "inside the file, which takes raw values" if norm["folded"] else "before the file"
        lines.append(f"normalisation {where}: mean {means}; std {stds}")
    if metadata["labels"]:
        lines.append(f"labels: {', '.join(metadata['labels'])}")
    return "\n".join(lines)


def _layers_text(facts: Mapping[str, Any]) -> str:
    headers = ["layer", "operator", "inputs", "outputs", "parameters", "MACs", "bit-operations"]
    headers += ["weights", "bits w/a", "quantization"]
    rows = [
        (
            _short(layer["name"]),
            layer["operator"],
            shapes(layer["input_shapes"]),
            shapes(layer["output_shapes"]),
            number(layer["parameters"]),
            number(layer["macs"]),
            number(layer["bit_operations"]),
            kib(layer["weight_bytes"]) if layer["weight_bytes"] else "",
            f"{layer['weight_bits'] or '-'}/{layer['activation_bits'] or '-'}",
            "; ".join(text for text in (layer["quantization"], layer["note"]) if text),
        )
        for layer in facts["layers"]
    ]
    return table(headers, rows, (4, 5, 6, 7, 8))


def _short(name: str, length: int = 36) -> str:
    """Long names of foreign files lose their beginning, which is what they have in common."""
    return name if len(name) <= length else "..." + name[-(length - 3) :]


def _totals_text(totals: Mapping[str, int]) -> str:
    words = [f"{number(totals['parameters'])} parameters"] if totals["parameters"] else []
    words.append(f"{number(totals['macs'])} MACs")
    if totals["binary_macs"]:
        words.append(f"{number(totals['binary_macs'])} of them binary")
    words.append(f"{number(totals['bit_operations'])} bit-operations")
    words.append(f"{kib(totals['weight_bytes'])} of weights at their real width (computed)")
    return "total: " + ", ".join(words)


def _npz_text(facts: Mapping[str, Any]) -> str:
    rows = [
        (
            a["name"],
            shape(a["shape"]),
            a["dtype"],
            number(a["elements"]),
            kib(a["bytes"]),
            "" if a["finite"] else "NaN or infinity",
        )
        for a in facts["arrays"]
    ]
    text = table(("array", "shape", "dtype", "elements", "bytes", "note"), rows, (3, 4))
    totals = facts["totals"]
    return f"{text}\n\ntotal: {number(totals['elements'])} elements, {kib(totals['bytes'])}"
