"""An exported C folder read as one thing: its manifest, its sources, and one string of bytes that identifies it.

The bytes of a folder (`folder_bytes`) begin with `MAGIC` and hold the manifest and every file it lists, so that hashes
and format detection treat a folder like any other model file. Whatever else lies in the folder does not count.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from .artifact import FileMetadata, TensorSpec
from .codec import from_json
from .errors import InputError

MANIFEST = "edgepress_c.json"
SCHEMA = "edgepress-c/1"
MAGIC = b"EDGEPRESS-C\n"


@dataclass(frozen=True)
class CCall:
    """One kernel call of the model: the function, the layer it belongs to, its multiply-accumulates, its constants."""

    function: str
    source: str
    macs: int
    constant_bytes: int = 0


@dataclass(frozen=True)
class CFolder:
    """What edgepress_c.json says. `sources` are the .c files, `files` all code; paths are relative.

    `layout` names how weights are packed, `arena_bytes` is the memory between operators, `weights_bytes` the constants,
    `state_bytes` what the context keeps from step to step of a stream, `kernels` the functions that are called, `calls`
    all calls in their order.
    """

    name: str
    device: str
    layout: str
    precision: str
    sources: Tuple[str, ...]
    files: Tuple[str, ...]
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    arena_bytes: int
    arena_lower_bound_bytes: int
    weights_bytes: int
    operators: Dict[str, int]
    kernels: Tuple[str, ...]
    metadata: FileMetadata
    calls: Tuple[CCall, ...] = ()
    state_bytes: int = 0


def is_folder(path: Path) -> bool:
    """True for a folder with a manifest."""
    return (Path(path) / MANIFEST).is_file()


def folder_bytes(path: Path) -> bytes:
    """The bytes that stand for a folder.

    Raises:
        InputError: no manifest, or a file it lists is missing.
    """
    folder = Path(path)
    if not is_folder(folder):
        raise InputError(
            f"a folder without {MANIFEST} is no exported model",
            where=str(path),
            hint="give the folder that edgepress export --format c wrote, or a file",
        )
    manifest = (folder / MANIFEST).read_bytes()
    parts = [MAGIC, _part(MANIFEST, manifest)]
    for name in parse(manifest, str(path)).files:
        try:
            parts.append(_part(name, (folder / name).read_bytes()))
        except OSError as error:
            raise InputError(
                f"{name} cannot be read: {error.strerror}", where=str(path), hint="export it again"
            ) from error
    return b"".join(parts)


def _part(name: str, data: bytes) -> bytes:
    return f"{name} {len(data)}\n".encode() + data


def read_parts(data: bytes, where: str = "") -> List[Tuple[str, bytes]]:
    """(name, content) of the files in `folder_bytes`, the manifest first.

    Raises:
        InputError: the bytes are damaged.
    """
    position, found = len(MAGIC), []
    while position < len(data):
        end = data.find(b"\n", position)
        name, _, size = (
            data[position : max(end, position)].decode("utf-8", "replace").rpartition(" ")
        )
        if end < 0 or not name or not size.isdigit() or end + 1 + int(size) > len(data):
            raise InputError("the folder's bytes are damaged", where=where, hint="export it again")
        found.append((name, data[end + 1 : end + 1 + int(size)]))
        position = end + 1 + int(size)
    return found


def parse(manifest: bytes, where: str = "") -> CFolder:
    """The manifest; damaged ones and other schemas are an `InputError`."""
    try:
        document: Any = json.loads(manifest)
    except ValueError as error:
        raise InputError(
            f"{MANIFEST} is not JSON: {error}", where=where, hint="export it again"
        ) from error
    if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
        raise InputError(f"{MANIFEST} is not of the schema {SCHEMA}", where=where)
    folder = from_json(CFolder, document)
    for name in (*folder.files, *folder.sources):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{MANIFEST} lists {name}, outside of its folder", where=where)
    if not folder.name.isidentifier():
        raise InputError(f"{MANIFEST} names no C identifier: {folder.name!r}", where=where)
    return folder


def of_bytes(data: bytes, where: str = "") -> CFolder:
    """The manifest in `folder_bytes`."""
    parts = read_parts(data, where)
    if not parts or parts[0][0] != MANIFEST:
        raise InputError("the folder's bytes are damaged", where=where, hint="export it again")
    return parse(parts[0][1], where)
