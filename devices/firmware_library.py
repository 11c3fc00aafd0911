"""Frames of functions that were compiled elsewhere (memcpy, divisions, expf), read off their machine code.

The compiler's call graph knows only what it compiled; the rest is in the linked program. The sum of all that a function
takes off the stack pointer bounds its frame, whichever way it goes: no library function does so in a loop. A function
that changes the stack pointer otherwise, or jumps to where a register says, stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .firmware_stack import INDIRECT, CallGraph

_HEAD = re.compile(r"^([0-9a-f]{8}) <[^>]+>:$")
_ROW = re.compile(r"^\s*[0-9a-f]+:\t[0-9a-f ]+\t(\S+)(?:\t([^;@]*))?")
_TARGET = re.compile(r"\b([0-9a-f]+) <[^>]+>$")
_BRANCH = re.compile(r"^(?:b|b(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)|cbn?z)(?:\.[nw])?$")
_TAKES = re.compile(r"^sub(?:\.w|w)?$")
_BEFORE = re.compile(r"\[sp, #-(\d+)\]!$")
_GIVES = re.compile(r"^(?:pop|vpop|ldmia|vldmia|add)(?:\.w|w)?$")


@dataclass
class _Code:
    """One function: its instructions as (operation, operands), up to the address `end`."""

    start: int
    end: int = 1 << 32
    rows: list[tuple[str, str]] = field(default_factory=list)


def add_library(
    graph: CallGraph, disassembly: str, symbols: Mapping[str, Sequence[int]], entry: str
) -> None:
    """Put into `graph` every function below `entry` that it does not know, as far as the machine code tells.

    Args:
        graph: of what was compiled; is added to.
        disassembly: of the linked program, as `arm-none-eabi-objdump -d` writes it.
        symbols: addresses by name.
        entry: where to begin.
    """
    codes = _codes(disassembly)
    names = {found[0]: name for name, found in sorted(symbols.items()) if len(found) == 1}
    todo, seen = [entry], {entry}
    while todo:
        name = todo.pop()
        addresses = symbols.get(name, ())
        if name not in graph.frames and len(addresses) == 1 and addresses[0] in codes:
            read = _read(codes[addresses[0]], names)
            if read is not None:
                graph.frames[name] = read[0]
                graph.calls[name] = read[1]
        new = graph.calls.get(name, set()) - seen
        seen |= new
        todo += sorted(new)


def _codes(disassembly: str) -> dict[int, _Code]:
    """Functions by their first address."""
    codes: dict[int, _Code] = {}
    current: _Code | None = None
    for line in disassembly.splitlines():
        head = _HEAD.match(line)
        if head:
            start = int(head[1], 16)
            if current is not None:
                current.end = start
            current = codes.setdefault(start, _Code(start))
            continue
        row = _ROW.match(line)
        if row and current is not None:
            current.rows.append((row[1], (row[2] or "").strip()))
    return codes


def _read(code: _Code, names: Mapping[int, str]) -> tuple[int, set[str]] | None:
    """(frame, calls) of one function; None if the code does not tell."""
    if not code.rows:
        return None
    frame = 0
    calls: set[str] = set()
    for operation, operands in code.rows:
        called = _call(code, operation, operands, names)
        if called is None:
            return None
        if called:
            calls.add(called)
        taken = _taken(operation, operands)
        if taken is None:
            return None
        frame += taken
    return frame, calls


def _call(code: _Code, operation: str, operands: str, names: Mapping[int, str]) -> str | None:
    """Whom an instruction calls or goes on to, "" if nobody, None if it does not tell."""
    target = _TARGET.search(operands)
    if target is None:
        if operation == "blx":
            return INDIRECT
        jumps = operation == "bx" and operands != "lr"  # or a load of the program counter:
        return None if jumps or operands.startswith("pc,") else ""
    address = int(target[1], 16)
    if operation in ("bl", "blx"):
        return names.get(address)
    if not _BRANCH.match(operation) or code.start <= address < code.end:
        return ""
    return names.get(address)


def _taken(operation: str, operands: str) -> int | None:
    """Bytes that an instruction takes off the stack pointer; None if it changes it otherwise."""
    if operation == "push" or (
        operation.startswith(("stmdb", "vstmdb")) and operands.startswith("sp!")
    ):
        return _list_bytes(operands)
    if operation == "vpush":
        return _list_bytes(operands)
    if not re.search(r"\bsp\b", operands):
        return 0
    before = _BEFORE.search(operands)
    if before:
        return int(before[1])
    if _TAKES.match(operation) and operands.startswith("sp,"):
        amount = re.fullmatch(r"sp, (?:sp, )?#(\d+)", operands)
        return int(amount[1]) if amount else None
    if not operands.startswith(("sp,", "sp!,")):
        return None if operands.endswith("]!") else 0
    fixed = operation != "add" or re.fullmatch(r"sp, (?:sp, )?#\d+", operands)
    return 0 if _GIVES.match(operation) and fixed else None


def _list_bytes(operands: str) -> int | None:
    """Bytes of the registers in braces: "{r4, lr}", "sp!, {r4-r6}", "{d8-d9}"."""
    inside = re.search(r"\{([^}]*)\}", operands)
    if inside is None:
        return None
    total = 0
    for part in inside[1].split(","):
        ends = re.findall(r"([rsd])(\d+)", part)
        count = int(ends[1][1]) - int(ends[0][1]) + 1 if len(ends) == 2 else 1
        total += count * (8 if ends and ends[0][0] == "d" else 4)
    return total
