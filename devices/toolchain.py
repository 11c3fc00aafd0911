"""The cross compiler for microcontrollers: where it is, which version, and the tools beside it.

The program named in `EDGEPRESS_ARM_GCC` wins over the search path; its binutils are taken from the same folder.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import MissingToolError, ToolFailedError
from .tools_needed import PACKAGES, find_beside, install_packages, missing, run_tool

PREFIX = "arm-none-eabi-"
BINUTILS = "binutils-arm-none-eabi"


@dataclass(frozen=True)
class ArmToolchain:
    """arm-none-eabi-gcc and its binutils; `version` is what the compiler says of itself in full."""

    gcc: Path
    size: Path
    nm: Path
    addr2line: Path
    objdump: Path
    version: str

    @property
    def short_version(self) -> str:
        """ "12.2.1", or the whole text where it has no such number."""
        found = re.search(r"\b(\d+\.\d+\.\d+)\b(?!.*\b\d+\.\d+\.\d+\b)", self.version)
        return found[1] if found else self.version


def find_arm_toolchain(path: Path | None = None, *, install: bool = False) -> ArmToolchain:
    """The compiler on the search path, or the one given.

    Args:
        path: an arm-none-eabi-gcc.
        install: let apt-get install it where it is missing (as root).

    Raises:
        MissingToolError: the compiler, its binutils or its C library are not there; names the packages.
        ToolFailedError: it cannot be run.
    """
    text = str(path) if path else os.environ.get("EDGEPRESS_ARM_GCC", "")
    found = shutil.which(text or f"{PREFIX}gcc")
    if found is None and install and not text:
        install_packages(PACKAGES[f"{PREFIX}gcc"].split())
        found = shutil.which(f"{PREFIX}gcc")
    if found is None:
        if text:
            raise MissingToolError("there is no such compiler", where=text)
        raise missing(f"{PREFIX}gcc")
    gcc = Path(found)
    _check_library(gcc)
    version = run_tool([gcc, "--version"], "asking the compiler for its version").splitlines()
    if not version:
        raise ToolFailedError("does not tell its version", where=found)
    names = ("size", "nm", "addr2line", "objdump")
    size, nm, addr2line, objdump = (find_beside(gcc, f"{PREFIX}{name}", BINUTILS) for name in names)
    return ArmToolchain(gcc, size, nm, addr2line, objdump, version[0].strip())


def _check_library(gcc: Path) -> None:
    """A compiler without its C library fails on the first #include: tell it here."""
    said = run_tool([gcc, "-print-file-name=nano.specs"], "looking for the C library").strip()
    if not Path(said).is_absolute():
        raise MissingToolError(
            "the C library for microcontrollers (newlib-nano) is not installed",
            where=str(gcc),
            hint="apt-get install libnewlib-arm-none-eabi",
        )
