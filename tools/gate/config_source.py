"""A configuration file -> plain values that know their line (YAML as recipes; TOML with lines found again)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError, UsageError
from ..recipe_yaml import Document, Place, read_document

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(r"^\s*([A-Za-z0-9_\-\"'. ]+?)\s*=")


def read_config(path: Path) -> Document:
    """The document in a .yaml, .yml or .toml file.

    Raises:
        UsageError: there is no such file.
        InputError: it cannot be read or is not valid; names the line.
    """
    if not path.exists():
        raise UsageError(
            "there is no such configuration",
            where=str(path),
            hint="docs/gates.md shows one",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read it: {error.strerror}", where=str(path)) from error
    if path.suffix == ".toml":
        return _toml(data, str(path))
    return read_document(data, str(path), "docs/gates.md shows a configuration")


def _toml(data: bytes, name: str) -> Document:
    try:
        text = data.decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", where=name, hint="save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        where = f"{name}:{found[1]}" if found else name
        raise InputError(f"not valid TOML: {error}", where=where) from error
    return Document(name, values, toml_lines(text))


def toml_lines(text: str) -> dict[Place, int | str]:
    """Line of every table and assignment; `tomllib` does not tell. Inline tables count as their first line."""
    lines: dict[Place, int | str] = {(): 1}
    counts: dict[Place, int] = {}
    here: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            here = _table(header[2], header[1] == "[[", counts)
            lines.setdefault(here, number)
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment:
            lines.setdefault((*here, *_parts(assignment[1])), number)
    return lines


def _table(name: str, is_array: bool, counts: dict[Place, int]) -> Place:
    """Where a table's keys are: items of arrays of tables are counted."""
    place: Place = ()
    parts = _parts(name)
    for index, part in enumerate(parts):
        place = (*place, part)
        if is_array and index == len(parts) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _parts(name: str) -> tuple[Any, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
