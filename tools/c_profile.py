"""Exported C folders on emulated microcontrollers and boards: instructions, memory, stack; call by call if asked.

result, measurement = count_folder(Path("folder"), load_profile("stm32l4r5"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..devices.emulate_c import CResult, LinuxTools, run_c
from ..devices.emulate_mcu import Tools
from ..devices.firmware_vectors import Vectors
from ..devices.measurement import Evidence, Measurement
from ..runtime.session import open_session
from ..runtime.timing import random_inputs
from .render import number, table

if TYPE_CHECKING:
    from ..devices.profile import Profile

VECTORS = 4
"""Seeded random inputs that a folder is proven and counted on."""

_COLUMNS = {
    "instructions": "",
    "arena_bytes": "B",
    "flash_bytes": "B",
    "ram_bytes": "B",
    "stack_bytes": "B",
    "stack_bound_bytes": "B",
}


def count_folder(
    path: Path,
    profile: Profile,
    *,
    calls: bool = False,
    inputs: Sequence[Any] | None = None,
    tools: Tools | LinuxTools | None = None,
) -> tuple[CResult, Measurement]:
    """Run a folder on an emulated device; its outputs must be those of the same folder compiled here.

    Args:
        calls: count each kernel call.
        inputs: of the model, as it stores them; seeded random ones if None.
        tools: found before; looked for if None.

    Raises:
        MissingToolError: no compiler here or for the device, or no QEMU; names the package.
        As `run_c`.
    """
    session = open_session(path, "native")
    specs = session.artifact.inputs
    rows = [random_inputs(specs, seed) for seed in range(VECTORS)] if inputs is None else [inputs]
    vectors = Vectors(rows, [session.run(list(given)) for given in rows])
    result = run_c(path, profile, vectors, calls=calls, tools=tools)
    measurement = result.measurement()
    fed = f"{VECTORS} random inputs" if inputs is None else "the inputs given"
    proof = f"outputs were those of this machine on {fed}"
    notes = (*measurement.notes, proof, *packing_note(result))
    return result, replace(measurement, notes=notes)


def packing_note(result: CResult) -> tuple[str, ...]:
    """Says where the weights are packed for another core than the device's."""
    from ..export.c.pack import DEVICES

    folder, profile = result.folder, result.profile
    wanted = next((DEVICES[core.name] for core in profile.cores if core.name in DEVICES), None)
    if wanted is None or wanted.macro == folder.layout:
        return ()
    return (
        f"packed for {folder.device}, run on {profile.name}: "
        f"edgepress export --format c --device {profile.name} packs for its kernels",
    )


def calls_document(path: Path, profile: Profile, result: CResult) -> dict[str, Any]:
    """The kernel calls of a folder as plain values."""
    return {
        "file": str(path),
        "device": profile.name,
        "evidence": str(Evidence.EMULATED),
        "engine": "native",
        "calls": [asdict(call) for call in result.calls],
    }


def is_firmware_row(measurement: Measurement) -> bool:
    """True for exported C on a microcontroller."""
    return measurement.engine == "native" and "flash_bytes" in measurement.values


def firmware_table(rows: Sequence[tuple[Path, Measurement]]) -> str:
    """One line a measurement."""
    headers = ("file", "engine", "instructions", "arena", "flash", "RAM", "stack", "at most")
    body = [
        (
            path.name,
            f"{m.engine} {m.engine_version}",
            *(number(m.values.get(name), unit) for name, unit in _COLUMNS.items()),
            str(m.evidence),
            m.device,
        )
        for path, m in rows
    ]
    return table((*headers, "evidence", "device"), body, tuple(range(2, 8)))


def calls_text(document: Mapping[str, Any]) -> str:
    """Instructions of the kernel calls of one folder, in the order of execution."""
    calls = document["calls"]
    if not calls:
        return f"kernel calls of {Path(document['file']).name} were not counted"
    total = sum(call["instructions"] for call in calls) or 1
    rows = [
        (
            "-" if call["number"] < 0 else str(call["number"]),
            call["function"],
            call["source"] or "-",
            number(call["macs"]),
            number(call["instructions"]),
            f"{call['macs'] / call['instructions']:.2f}" if call["instructions"] else "-",
            f"{call['instructions'] / total:.1%}",
        )
        for call in calls
    ]
    title = f"kernel calls of {Path(document['file']).name} ({document['evidence']}, {document['device']})"
    headers = ("call", "kernel", "layer", "MAC", "instructions", "MAC each", "share")
    return f"\n{title}\n{table(headers, rows, (3, 4, 5, 6))}\n"
