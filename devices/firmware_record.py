"""A record of a microcontroller's firmware as a `measured` Measurement: cycles of the DWT counter, read by the user.

The firmware prints one JSON object (docs/devices.md describes every field); `import_record` checks it against the
file it claims to have run and the device's profile. The border is pydantic; import this module inside functions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from ..runtime.artifact import read_model_bytes
from ..runtime.errors import InputError
from ..runtime.files import sha256_bytes
from ..runtime.timing import random_inputs
from .measurement import Evidence, Measurement
from .profile import Profile, load_profile
from .proof import prove, reference_session
from .statistics import summarise_arm

SCHEMA = "edgepress-firmware/1"

CLOCK_MAY_EXCEED = 1.1
"""A clock above this times the profile's highest is a mistake of units."""

_Count = Annotated[StrictInt, Field(gt=0, lt=1 << 32)]
_Bytes = Annotated[StrictInt, Field(ge=0)]
_Number = Annotated[StrictInt | StrictFloat, Field(allow_inf_nan=False)]
_Positive = Annotated[StrictInt | StrictFloat, Field(gt=0, allow_inf_nan=False)]
_Text = Annotated[StrictStr, Field(min_length=1)]


class FirmwareRecord(BaseModel):
    """What the firmware prints. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_name: Literal["edgepress-firmware/1"] = Field(alias="schema")
    device: _Text
    model_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    engine: _Text
    engine_version: _Text
    counter: Literal["dwt", "timer"]
    clock_mhz: _Positive
    cycles: Annotated[list[Annotated[list[_Count], Field(min_length=1)]], Field(min_length=1)]
    first_cycles: _Count | None = None
    arena_bytes: _Bytes | None = None
    ram_bytes: _Bytes | None = None
    flash_bytes: _Bytes | None = None
    power_mw: _Positive | None = None
    outputs: list[list[_Number]] | None = None
    board: StrictStr = ""
    cpuid: StrictStr = ""
    compiler: StrictStr = ""
    flash_wait_states: _Bytes | None = None
    caches: StrictStr = ""
    note: StrictStr = ""


def read_record(path: Path) -> FirmwareRecord:
    """The record in a file: one JSON object, or the last line of a log that is one.

    Raises:
        InputError: no JSON, or a field that is wrong; names it.
    """
    where = str(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the record: {error}", where=where) from error
    try:
        return FirmwareRecord.model_validate(_last_object(text, where))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{place}: {first['msg']}", where=where, hint="docs/devices.md describes the record"
        ) from error


def import_record(path: Path, model: Path) -> Measurement:
    """The measurement a firmware's record makes.

    Args:
        path: the record.
        model: the file the firmware ran.

    Raises:
        InputError: a wrong record, another file's hash, an impossible clock.
        ParityError: the record's outputs are not those of this machine.
    """
    record, data = read_record(path), read_model_bytes(model)
    where = str(path)
    if sha256_bytes(data) != record.model_sha256:
        raise InputError(
            f"the record is of the file {record.model_sha256[:16]}..., {model} is {sha256_bytes(data)[:16]}...",
            where=where,
            hint="give the very file the firmware was built with",
        )
    profile = load_profile(record.device)
    _check_clock(record, profile, where)
    proved = _check_outputs(record, model, where)
    return _measurement(record, profile, len(data), proved)


def _last_object(text: str, where: str) -> Any:
    candidates = [text, *reversed([line for line in text.splitlines() if line.startswith("{")])]
    for candidate in candidates:
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    raise InputError("holds no JSON object", where=where, hint="keep the line the firmware printed")


def _check_clock(record: FirmwareRecord, profile: Profile, where: str) -> None:
    known = profile.main_core.clock_mhz
    if known is not None and record.clock_mhz > known.high * CLOCK_MAY_EXCEED:
        raise InputError(
            f"clock_mhz: {record.clock_mhz:g} MHz, and {profile.name} runs at {known.text} MHz at most",
            where=where,
        )


def _check_outputs(record: FirmwareRecord, model: Path, where: str) -> bool:
    """Compare the record's outputs on the seeded inputs (seed 0) with this machine's; False if it has none."""
    if record.outputs is None:
        return False
    session = reference_session(model, None)
    expected = session.run(random_inputs(session.artifact.inputs, 0))
    if [len(values) for values in record.outputs] != [value.size for value in expected]:
        raise InputError(
            f"outputs: the model gives {[v.size for v in expected]} values", where=where
        )
    found = [
        np.asarray(values).astype(value.dtype).reshape(value.shape)
        for values, value in zip(record.outputs, expected, strict=True)
    ]
    prove(found, expected, where)
    return True


def _measurement(record: FirmwareRecord, profile: Profile, size: int, proved: bool) -> Measurement:
    to_ms = 1.0 / (float(record.clock_mhz) * 1e3)
    samples = [[cycles * to_ms for cycles in run] for run in record.cycles]
    values = {"latency_ms": summarise_arm(samples).location, "file_bytes": float(size)}
    optional = {
        "first_invoke_ms": None if record.first_cycles is None else record.first_cycles * to_ms,
        "arena_bytes": record.arena_bytes,
        "ram_bytes": record.ram_bytes,
        "flash_bytes": record.flash_bytes,
        "power_mw": record.power_mw,
    }
    values |= {key: float(value) for key, value in optional.items() if value is not None}
    if record.power_mw is not None:
        values["energy_mj"] = float(record.power_mw) * values["latency_ms"] / 1e3
    known = {
        "board": record.board,
        "cpuid": record.cpuid,
        "compiler": record.compiler,
        "clock_mhz": f"{record.clock_mhz:g}",
        "flash_wait_states": ""
        if record.flash_wait_states is None
        else str(record.flash_wait_states),
        "caches": record.caches,
    }
    said = (
        "outputs were those of this machine"
        if proved
        else "outputs were not proved: none in the record"
    )
    return Measurement(
        artifact_sha256=record.model_sha256,
        evidence=Evidence.MEASURED,
        device=profile.name,
        fingerprint={key: value for key, value in known.items() if value},
        engine=record.engine,
        engine_version=record.engine_version,
        threads=1,
        values=values,
        samples={"latency_ms": samples},
        notes=(
            f"imported: cycles of the {record.counter} counter",
            said,
            *([record.note] if record.note else []),
        ),
    )
