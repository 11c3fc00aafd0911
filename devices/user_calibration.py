"""Calibration to a user's own board: a few networks measured there make estimates of others.

Records lie in the user's data folder (`places.user_calibration_folder`), one JSON file per measurement: what was
measured, and the sums over the network that an estimate needs. They are used for that device, engine, number of
threads and precision alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..runtime.codec import from_json, to_json
from ..runtime.errors import InputError, UsageError
from ..runtime.files import write_text
from .layers import LayerTable
from .measurement import Evidence, Measurement
from .operator_features import NetworkFeatures, network_features, operator_features, precision
from .places import user_calibration_folder

SCHEMA = "edgepress-calibration/1"


@dataclass(frozen=True)
class Record:
    """One network measured on a board."""

    device: str
    engine: str
    engine_version: str
    threads: int
    precision: str
    latency_ms: float
    artifact_sha256: str
    macs: dict[str, int]
    outputs: int
    operators: int
    schema: str = SCHEMA

    @property
    def features(self) -> NetworkFeatures:
        """Sums over the network."""
        return NetworkFeatures(self.macs, self.outputs, self.operators)


def make_record(table: LayerTable, measurement: Measurement, device: str = "") -> Record:
    """The record of a measured file.

    Args:
        device: name of the board's profile, where the measurement has an address (ssh://pi@board).

    Raises:
        UsageError: it was not measured on a board, has no latency, must not be judged, or nothing can be estimated of
            such files.
    """
    if measurement.evidence is not Evidence.MEASURED:
        raise UsageError(
            f"evidence {str(measurement.evidence)!r} calibrates nothing",
            hint="measure on the board itself",
        )
    if measurement.invalid:
        raise UsageError(
            f"the measurement is invalid: {measurement.invalid[0]}", hint="measure again"
        )
    latency = measurement.values.get("latency_ms", 0.0)
    if not latency > 0:
        raise UsageError("the measurement has no latency", where=measurement.device)
    kind, reason = precision(table)
    if not kind:
        raise UsageError(f"nothing to calibrate with: {reason}", where=table.path_name)
    sums = network_features(operator_features(table))
    return Record(
        device=device or measurement.device,
        engine=measurement.engine,
        engine_version=measurement.engine_version,
        threads=measurement.threads,
        precision=kind,
        latency_ms=latency,
        artifact_sha256=measurement.artifact_sha256,
        macs=dict(sums.macs),
        outputs=sums.outputs,
        operators=sums.operators,
    )


def save_record(record: Record, folder: Path | None = None) -> Path:
    """Write it to the data folder; the same file measured again replaces the older record."""
    place = (folder or user_calibration_folder()) / record.device
    place.mkdir(parents=True, exist_ok=True)
    name = f"{record.artifact_sha256[:16]}.{record.engine}.{record.threads}.json"
    return write_text(place / name, json.dumps(to_json(record), indent=1, sort_keys=True) + "\n")


def load_records(device: str, folder: Path | None = None) -> tuple[Record, ...]:
    """All records of a device, in the order of their files.

    Raises:
        InputError: a file is damaged or of another schema.
    """
    place = (folder or user_calibration_folder()) / device
    if not place.is_dir():
        return ()
    return tuple(_read(path) for path in sorted(place.glob("*.json")))


def _read(path: Path) -> Record:
    try:
        record = from_json(Record, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, InputError) as error:
        raise InputError(
            f"not a calibration record: {error}", where=str(path), hint="remove the file"
        ) from error
    if record.schema != SCHEMA or not record.latency_ms > 0:
        raise InputError("not a calibration record", where=str(path), hint="remove the file")
    return record
