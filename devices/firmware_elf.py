"""What the binutils and the linker say of a firmware: sizes, addresses, and complaints as what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..runtime.errors import InputError, ToolFailedError
from .mcu_machines import Machine

ENTRY = "edgepress_step"

_OF_A_SYSTEM = (
    "_sbrk",
    "_write",
    "_read",
    "_exit",
    "_close",
    "_fstat",
    "_isatty",
    "_lseek",
    "_kill",
)


@dataclass(frozen=True)
class Sections:
    """Bytes that a program takes: code and constants, initialized and zeroed data; without its stack."""

    text: int
    data: int
    bss: int

    @property
    def flash_bytes(self) -> int:
        """Code, constants, and the initial values of data."""
        return self.text + self.data

    @property
    def ram_bytes(self) -> int:
        """Data; the stack comes on top."""
        return self.data + self.bss


_CONSTANT = (".vectors", ".text", ".rodata", ".ARM.extab", ".ARM.exidx", ".init_array")
_NOT_LOADED = (".debug", ".comment", ".ARM.attributes", ".note", ".stack")


def read_sections(text: str, where: str) -> Sections:
    """Sizes from what `arm-none-eabi-size -A` says; the stack is left out, and what is not loaded.

    Raises:
        InputError: the program has a section of its own, whose memory is not known.
        ToolFailedError: no sizes.
    """
    rows = re.findall(r"^(\S+)\s+(\d+)\s+\d+$", text, re.M)
    sizes = {name: int(size) for name, size in rows if not name.startswith(_NOT_LOADED)}
    if ".text" not in sizes:
        raise ToolFailedError(f"tells no sizes: {text[:200]!r}", where="arm-none-eabi-size")
    strange = [
        n for n, size in sizes.items() if size and n not in (*_CONSTANT, ".data", ".bss", "Total")
    ]
    if strange:
        raise InputError(
            f"the program puts something into the section {strange[0]}, of which nothing is known",
            where=where,
            hint="leave out the section attribute: code, constants and data find their memories",
        )
    constant = sum(sizes.get(name, 0) for name in _CONSTANT)
    return Sections(constant, sizes.get(".data", 0), sizes.get(".bss", 0))


def read_symbols(text: str) -> dict[str, list[int]]:
    """Addresses by name from what `arm-none-eabi-nm` says; of code only, without the Thumb bit."""
    found: dict[str, list[int]] = {}
    for address, name in re.findall(r"^([0-9a-f]{8}) [tTwW] ([\w.]+)$", text, re.M):
        found.setdefault(name, []).append(int(address, 16) & ~1)
    return found


def link_error(said: str, machine: Machine, where: str) -> InputError | None:
    """What the linker's words mean for the user, or None."""
    over = re.search(r"region `(FLASH|RAM)' overflowed by (\d+) bytes", said)
    if over:
        kind, has = (
            ("flash", machine.flash_bytes) if over[1] == "FLASH" else ("RAM", machine.ram_bytes)
        )
        needs = has + int(over[2])
        return InputError(
            f"the program is too big: it needs {needs:,} bytes of {kind}, {machine.name} has {has:,}",
            where=where,
            hint="smaller weights, fewer activations or a smaller stack",
        )
    lacking = re.search(r"undefined reference to `([^']+)'", said)
    if lacking is None:
        return None
    name = lacking[1]
    if name == ENTRY:
        hint = "see edgepress_firmware.h"
        return InputError(f"the program does not implement {ENTRY}", where=where, hint=hint)
    if name in _OF_A_SYSTEM:
        return InputError(
            f"the program needs a heap, files or an operating system ({name}): firmware has none",
            where=where,
            hint="leave out malloc, printf, assert and exit",
        )
    hint = "give the file that has it"
    return InputError(f"the program calls {name}, which is nowhere", where=where, hint=hint)
