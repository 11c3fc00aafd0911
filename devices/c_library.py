"""Exported C compiled here for a board that has no compiler of its own: a shared library for its cores.

made = library_for(data, "folder", facts)      # facts of the board: its machine and cores
made.path, made.compiler
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import UsageError
from ..runtime.native import Compiler, compile_folder
from .toolchain_linux import find_linux_toolchain

MACHINE = "aarch64"
CORES = {
    "0xd03": "cortex-a53",
    "0xd04": "cortex-a35",
    "0xd05": "cortex-a55",
    "0xd07": "cortex-a57",
    "0xd08": "cortex-a72",
    "0xd09": "cortex-a73",
    "0xd0a": "cortex-a75",
    "0xd0b": "cortex-a76",
    "0xd41": "cortex-a78",
}
"""Part number of Arm's cores (implementer 0x41) -> the compiler's name."""


@dataclass(frozen=True)
class BoardLibrary:
    """A compiled folder; `compiler` says by what and for what."""

    path: Path
    compiler: str


def library_for(data: bytes, where: str, facts: Mapping[str, str]) -> BoardLibrary:
    """Compile `c_folder.folder_bytes` for a board.

    Args:
        data: the folder.
        where: for messages.
        facts: of the board: "machine" and "midr" (`runtime/board_facts.py`).

    Raises:
        MissingToolError: no cross compiler here; names the package.
        UsageError: the board is no aarch64 machine.
        InputError: the sources do not compile.
    """
    machine = facts.get("machine", "unknown")
    if machine != MACHINE:
        raise UsageError(
            f"nothing here compiles for its {machine}",
            where=where,
            hint="install a C compiler on the board",
        )
    found = find_linux_toolchain()
    target = target_options(facts.get("midr", ""))
    compiler = Compiler((str(found.gcc),), f"gcc {found.number}", found.version)
    path = compile_folder(data, where, compiler, ("-O3", *target))
    return BoardLibrary(path, f"gcc {found.number} {' '.join(target)} (not on the board)")


def target_options(midr: str) -> tuple[str, ...]:
    """Options for the cores that a board tells ("4 x 0x41/0xd08/0x0/3"); several kinds: what all of them can."""
    kinds = [one.split(" x ")[-1] for one in midr.split(", ") if one]
    parts = [kind.split("/") for kind in kinds]
    known = [CORES.get(p[1]) for p in parts if len(p) > 1 and p[0] == "0x41"]
    if len(kinds) == 1 and known and known[0] is not None:
        return (f"-mcpu={known[0]}",)
    return ("-march=armv8-a",)
