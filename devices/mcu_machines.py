"""The memories of the boards that QEMU emulates for Cortex-M, and which one stands for a device.

Read from QEMU 7.2 (`info mtree`). Code lies where the core starts, except on AN547, whose 512 KiB there hold the
vectors only: code and data are in its two larger memories (their secure addresses, as the core starts secure).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.errors import UsageError
from .profile import Profile

KIB, MIB = 1 << 10, 1 << 20
VECTORS_BYTES = 0x100


@dataclass(frozen=True)
class Machine:
    """One board of qemu-system-arm. Origins are addresses; sizes are what a program may take."""

    name: str
    core: str
    vectors_origin: int
    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int


def _machine(
    name: str, core: str, vectors: int, flash: int, ram: int, flash_bytes: int = 4 * MIB
) -> Machine:
    if flash == vectors:
        flash, flash_bytes = flash + VECTORS_BYTES, flash_bytes - VECTORS_BYTES
    return Machine(name, core, vectors, flash, flash_bytes, ram, 4 * MIB)


MACHINES = {
    made.name: made
    for made in (
        _machine("mps2-an386", "cortex-m4", 0, 0, 0x20000000),
        _machine("mps2-an500", "cortex-m7", 0, 0, 0x20000000),
        _machine("mps2-an505", "cortex-m33", 0x10000000, 0x10000000, 0x38000000),
        _machine("mps3-an547", "cortex-m55", 0, 0x11000000, 0x31000000, 2 * MIB),
    )
}


def machine_of(profile: Profile) -> tuple[Machine, tuple[str, ...]]:
    """(the board that stands for a device, the compiler's options for its core).

    Raises:
        UsageError: the profile names none, as Linux boards do not, or one that is not known here.
    """
    emulation = profile.emulation
    if emulation is None or emulation.machine is None or emulation.gcc_flags is None:
        raise UsageError(
            f"{profile.name} cannot be emulated as a microcontroller: its profile has no emulation.machine",
            hint="microcontrollers can; see edgepress devices list",
        )
    name = str(emulation.machine.value)
    if name not in MACHINES:
        raise UsageError(
            f"the machine {name!r} of {profile.name} is not known",
            hint="emulation.machine is one of " + ", ".join(MACHINES),
        )
    value = emulation.gcc_flags.value
    flags = value if isinstance(value, tuple) else (value,)
    return MACHINES[name], tuple(str(flag) for flag in flags)


def device_memory(profile: Profile) -> tuple[int | None, int | None]:
    """(flash, RAM) of the device itself in bytes; None where the profile does not know. The high end of a range."""
    sizes: dict[str, int] = {"flash": 0, "ram": 0}
    kinds = {"flash": "flash", "mram": "flash", "sram": "ram", "ram": "ram", "tcm": "ram"}
    for memory in profile.memories:
        kind = kinds.get(memory.name)
        if kind and memory.bytes is not None:
            sizes[kind] += int(memory.bytes.high)
    return sizes["flash"] or None, sizes["ram"] or None
