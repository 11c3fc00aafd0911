"""All files of an exported C folder: model, kernels, edgepress_c.json, and what builds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...runtime.artifact import FileMetadata
from ...runtime.c_folder import MANIFEST, SCHEMA
from ...runtime.codec import to_json
from ...runtime.errors import UsageError
from ...runtime.specs import OUTPUT_LAYOUTS
from .arrange import arrange
from .emit import Unit, header_text, source_text
from .kernels import needed
from .layout_bits import variants
from .lower import LoweredC
from .names import identifier
from .pack import layout_of, target_header
from .packaging import PACKAGINGS, package
from .program import constant_bytes
from .vectors import Vector, vectors_text


def write_folder(
    lowered: LoweredC,
    name: str,
    device: str,
    packaging: str,
    metadata: FileMetadata,
    vectors: Sequence[Vector] = (),
) -> dict[str, bytes]:
    """File name -> content, in the order of the names.

    Raises:
        UsageError: an unknown device or packaging, a name without letters.
    """
    layout = layout_of(device)
    if packaging not in PACKAGINGS:
        raise UsageError(
            f"packaging is {packaging!r}", hint=f"choose one of {', '.join(PACKAGINGS)}"
        )
    from ... import __version__

    unit = Unit(identifier(name), lowered, arrange(lowered.program), device, __version__)
    code = {f"{unit.name}.c": source_text(unit), f"{unit.name}.h": header_text(unit)}
    headers = {call.header for call in lowered.program.calls}
    code.update(needed(headers, variants(layout)))
    code["ep_target.h"] = target_header(device)
    if vectors:
        code[f"{unit.name}_vectors.h"] = vectors_text(unit.name, lowered, vectors)
    folder = "src/" if packaging == "arduino" else ""
    files = {f"{folder}{file}": text for file, text in code.items()}
    sources = sorted(file for file in files if file.endswith(".c"))
    files[MANIFEST] = _manifest(unit, sources, sorted(files), metadata)
    files.update(package(packaging, unit.name, sources, __version__))
    return {file: files[file].encode() for file in sorted(files)}


def _manifest(unit: Unit, sources: list[str], code: list[str], metadata: FileMetadata) -> str:
    lowered, plan = unit.lowered, unit.places.plan
    layouts = tuple(spec.layout for spec in lowered.inputs)
    outputs = ",".join(spec.layout for spec in lowered.outputs)
    extra = {**metadata.extra, **({OUTPUT_LAYOUTS: outputs} if outputs.strip(",") else {})}
    written = replace(metadata, precision=lowered.precision, input_layouts=layouts, extra=extra)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "name": unit.name,
        "device": unit.device,
        "layout": layout_of(unit.device).macro,
        "precision": lowered.precision,
        "sources": sources,
        "files": code,
        "inputs": to_json(list(lowered.inputs)),
        "outputs": to_json(list(lowered.outputs)),
        "arena_bytes": plan.peak_bytes,
        "arena_lower_bound_bytes": plan.lower_bound_bytes,
        "state_bytes": lowered.program.state_bytes,
        "weights_bytes": lowered.program.weights_bytes,
        "operators": lowered.operators,
        "calls": [
            {
                "function": call.function,
                "source": call.source,
                "macs": call.macs,
                "constant_bytes": constant_bytes(lowered.program, call),
            }
            for call in lowered.program.calls
        ],
        "kernels": list(dict.fromkeys(call.function for call in lowered.program.calls)),
        "metadata": to_json(written),
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
