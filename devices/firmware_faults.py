"""What a fault of an emulated Cortex-M means: the record that `firmware_sources/start.c` leaves, in words.

Bits of the fault status registers: Armv7-M Architecture Reference Manual, B3.2.15; STKOF: Armv8-M, D1.2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

_RECORD = struct.Struct("<11I")
MAGIC = 0x46504445  # "EDPF"
SUPERVISOR_CALL = 11

EXCEPTIONS = {
    2: "a non-maskable interrupt",
    3: "a hard fault",
    4: "a memory fault",
    5: "a bus fault",
    6: "a usage fault",
    7: "a secure fault",
    SUPERVISOR_CALL: "a supervisor call",
    12: "a breakpoint",
}
CAUSES = {
    0: "execution where none may be",
    1: "access to protected memory",
    8: "code read from an address without memory",
    9: "access to an address without memory",
    10: "access to an address without memory",
    16: "an instruction that the core does not have",
    17: "a jump out of Thumb code",
    19: "a coprocessor or vector instruction that is not there or not on",
    24: "an unaligned access",
    25: "a division by zero",
}
"""Bit of the configurable fault status register -> what was done."""

STACKING_BITS = (1 << 4) | (1 << 12) | (1 << 20)
"""The core could not put the frame on the stack (memory, bus), or the stack limit was passed."""


@dataclass(frozen=True)
class Fault:
    """One fault. `pc` and `lr` are None where the stack was gone; `address` is the one accessed, where it is known."""

    exception: int
    pc: int | None
    lr: int | None
    status: int
    address: int | None
    stack_overflow: bool

    def text(self, place: Callable[[int], str]) -> str:
        """In words; `place(address)` names function and line."""
        if self.stack_overflow:
            at = f" in {place(self.pc)}" if self.pc else ""
            return f"the stack is too small: it overflowed{at}"
        kind = EXCEPTIONS.get(self.exception, f"exception {self.exception}")
        causes = [text for bit, text in CAUSES.items() if self.status & 1 << bit]
        why = ", ".join(dict.fromkeys(causes))
        if self.address is not None:
            why += f"{': ' if why else ''}{self.address:#010x}"
        told = f"the program ended in {kind}" + (f" ({why})" if why else "")
        if self.pc is None:
            return told
        told += f" at pc {self.pc:#010x} in {place(self.pc)}"
        jumped = self.status & (1 << 0 | 1 << 8 | 1 << 17) and self.lr
        return f"{told}, called from {place(int(self.lr or 0) & ~1)}" if jumped else told


def read_fault(data: bytes) -> Fault | None:
    """The record of fault.bin, or None if that is not one."""
    if len(data) != _RECORD.size:
        return None
    magic, number, readable, pc, lr, status, _, memory, bus, frame, limit = _RECORD.unpack(data)
    if magic != MAGIC:
        return None
    address = memory if status & 1 << 7 else bus if status & 1 << 15 else None
    overflow = bool(status & STACKING_BITS) or frame < limit
    known = bool(readable)
    pc -= (
        2 if number == SUPERVISOR_CALL else 0
    )  # the only one whose frame has the instruction after it
    return Fault(number, pc if known else None, lr if known else None, status, address, overflow)
