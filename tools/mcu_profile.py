"""What else can be said of a TFLite file on a microcontroller: TensorFlow Lite Micro's arena, Vela's cycles on Ethos-U.

    rows, notes = mcu_rows(files, profile, ())

Both come from optional packages. Asked for by name (`--engine tflm`, `--engine vela`) they must be there; otherwise a
note says how to install them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..devices.measurement import Measurement
from ..runtime.artifact import detect_format, read_model_bytes
from ..runtime.errors import EdgepressError, UsageError
from .render import number, table

if TYPE_CHECKING:
    from ..devices.profile import Profile

Rows = list[tuple[Path, Measurement]]

ENGINES = ("tflm", "vela")


def mcu_rows(
    files: Sequence[Path], profile: Profile, engines: Sequence[str]
) -> tuple[Rows, tuple[str, ...]]:
    """(measurements by file, remarks).

    Args:
        files: ONNX files are passed over, unless an engine is asked for.
        profile: a microcontroller; Vela needs one with an Ethos-U.
        engines: "tflm", "vela"; whatever is possible if empty.

    Raises:
        UsageError: Vela for a device without Ethos-U.
        EdgepressError: an engine that was asked for is not installed or refuses the file.
    """
    rows: Rows = []
    notes: list[str] = []
    has_npu = any(name.startswith("ethos-") for name in profile.accelerators)
    if "vela" in engines and not has_npu:
        raise UsageError(
            f"{profile.name} has no Ethos-U", hint="Vela estimates for devices that have one"
        )
    measures: dict[str, Callable[[Path, Profile], list[Measurement]]] = {"tflm": _arena}
    if has_npu:
        measures["vela"] = _cycles
    for path in files:
        if not engines and detect_format(read_model_bytes(path), str(path)) != "tflite":
            continue
        for name, measure in measures.items():
            if engines and name not in engines:
                continue
            try:
                rows += [(path, one) for one in measure(path, profile)]
            except EdgepressError as error:
                if engines:
                    raise
                notes.append(f"{name}: {error.what}" + (f"; {error.hint}" if error.hint else ""))
    return rows, tuple(dict.fromkeys(notes))


def _arena(path: Path, profile: Profile) -> list[Measurement]:
    from ..devices.tflm import measure_tflm

    return [measure_tflm(path).measurement()]


def _cycles(path: Path, profile: Profile) -> list[Measurement]:
    from ..devices.ethosu import estimate_ethosu, vela_configs

    configs = vela_configs(profile)
    return [estimate_ethosu(path, config).measurement(profile.name) for config in configs]


def is_mcu_row(measurement: Measurement) -> bool:
    """True for what `mcu_rows` gives."""
    return measurement.engine in ENGINES


def mcu_table(rows: Sequence[tuple[Path, Measurement]]) -> str:
    """One line a measurement; what an engine does not tell is a dash."""
    columns = ("vela_cycles", "vela_ms", "arena_bytes", "vela_sram_bytes", "vela_flash_bytes")
    units = ("", "ms", "B", "B", "B")
    body = [
        (
            path.name,
            f"{m.engine} {m.engine_version}",
            m.fingerprint.get("accelerator", "-"),
            *(number(m.values.get(name), unit) for name, unit in zip(columns, units, strict=True)),
            str(m.evidence),
        )
        for path, m in rows
    ]
    headers = ("file", "engine", "accelerator", "cycles", "NPU time", "arena", "SRAM", "flash")
    return table((*headers, "evidence"), body, (3, 4, 5, 6, 7))
