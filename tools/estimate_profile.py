"""Estimates of files for `edgepress profile --device NAME --estimate`: ms with bands, floors, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..devices.estimate import estimates
from ..devices.layers import layer_table
from ..devices.measurement import Evidence, Measurement
from ..runtime.files import sha256_file
from .render import number, table

if TYPE_CHECKING:
    from ..devices.profile import Profile

Rows = Sequence[tuple[Path, Measurement]]


def estimate_files(
    files: Sequence[Path], profile: Profile, engines: Sequence[str] = (), threads: int = 1
) -> list[tuple[Path, Measurement]]:
    """(file, estimate) for each software asked for, or each that is known on the device.

    Raises:
        InputError: a file is no network, or a record of the user's calibration is damaged.
    """
    rows = []
    for path in files:
        layers, sha256 = layer_table(path), sha256_file(path)
        for engine in engines or (None,):
            found = estimates(layers, profile, engine, threads, artifact_sha256=sha256)
            rows += [(path, one) for one in found]
    return rows


def is_estimate(measurement: Measurement) -> bool:
    """True for what `estimate_files` gives."""
    return measurement.evidence is Evidence.ESTIMATED


def estimates_table(rows: Rows) -> str:
    """One line an estimate; a floor stands in its own column and is never a latency."""
    headers = ("file", "software", "estimate", "9 in 10", "not faster than")
    body = [
        (
            path.name,
            f"{m.engine} {m.engine_version}".strip() or "-",
            number(m.values.get("latency_ms"), "ms"),
            _band(m),
            number(m.values.get("latency_floor_ms"), "ms"),
            str(m.threads),
            str(m.evidence),
            m.device,
            m.fingerprint.get("calibration", "none"),
        )
        for path, m in rows
    ]
    return table((*headers, "threads", "evidence", "device", "calibration"), body, (2, 3, 4, 5))


def in_table(note: str) -> bool:
    """True for a note that says what `estimates_table` shows."""
    return note.startswith(("estimated ", "not faster than "))


def _band(measurement: Measurement) -> str:
    if "latency_low_ms" not in measurement.values:
        return number(None)
    low, high = (measurement.values[f"latency_{end}_ms"] for end in ("low", "high"))
    return f"{number(low)} to {number(high, 'ms')}"
