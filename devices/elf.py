"""For which processor a program was built, and whether a machine runs it."""

from __future__ import annotations

import struct

from ..runtime.errors import UsageError

_MACHINES = {3: "i686", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}

_RUNS = {
    "aarch64": ("aarch64", "arm"),
    "armv8l": ("arm",),
    "armv7l": ("arm",),
    "x86_64": ("x86_64", "i686"),
    "i686": ("i686",),
}
"""`uname -m` -> machines of programs it can run (32-bit ones where the system has them)."""


def elf_machine(data: bytes) -> str:
    """ "aarch64", "arm", ...; "" if it is no ELF program (a script)."""
    if data[:4] != b"\x7fELF" or len(data) < 20:
        return ""
    order = "<" if data[5] == 1 else ">"
    number = struct.unpack(order + "H", data[18:20])[0]
    return _MACHINES.get(number, f"ELF machine {number}")


def check_machine(data: bytes, machine: str, where: str) -> None:
    """Raise `UsageError` if a program cannot run on a machine (`uname -m`)."""
    built = elf_machine(data)
    if built and machine in _RUNS and built not in _RUNS[machine]:
        raise UsageError(
            f"built for {built}, and the device is {machine}",
            where=where,
            hint=f"give a program built for {' or '.join(_RUNS[machine])}",
        )
