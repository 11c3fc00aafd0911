"""Keep measurements of a board so that other files can be estimated for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..devices.layers import layer_table
from ..devices.measurement import Measurement
from ..devices.profile import load_profile
from ..devices.user_calibration import Record, make_record, save_record
from ..runtime.codec import from_json
from ..runtime.errors import InputError
from ..runtime.files import sha256_file


def calibrate(device: str, measurements: Path, model: Path) -> list[tuple[Record, Path]]:
    """Keep every measurement of `model` in a file that `profile --json` or `devices import --out` wrote.

    Gives (record, where it lies).

    Raises:
        UsageError: unknown device, or a measurement that calibrates nothing.
        InputError: the file holds no measurement of this model.
    """
    name, table, sha256 = load_profile(device).name, layer_table(model), sha256_file(model)
    found = [one for one in _read(measurements) if one.artifact_sha256 == sha256]
    if not found:
        raise InputError(f"no measurement of {model.name} in it", where=str(measurements))
    records = [make_record(table, one, name) for one in found]
    return [(record, save_record(record)) for record in records]


def _read(path: Path) -> list[Measurement]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"not a readable JSON file: {error}", where=str(path)) from error
    rows = document.get("measurements", [document]) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise InputError("not the measurements of a profile", where=str(path))
    return [from_json(Measurement, _plain(row)) for row in rows]


def _plain(row: Any) -> Any:
    """A measurement without the keys that documents put beside it."""
    if not isinstance(row, dict):
        return row
    return {key: value for key, value in row.items() if key not in ("file", "schema")}
