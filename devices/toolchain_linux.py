"""The cross compiler for aarch64 Linux: where it is, which version.

The program named in `EDGEPRESS_AARCH64_GCC` wins over the search path; on an aarch64 machine its own compiler does.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import MissingToolError
from .tools_needed import PACKAGES, find_beside, install_packages, missing, run_tool

NAME = "aarch64-linux-gnu-gcc"


@dataclass(frozen=True)
class LinuxToolchain:
    """A gcc for aarch64 Linux; `version` is what it says of itself in full, `number` that alone ("12.2.0")."""

    gcc: Path
    nm: Path
    size: Path
    version: str
    number: str


def find_linux_toolchain(path: Path | None = None, *, install: bool = False) -> LinuxToolchain:
    """The cross compiler on the search path, or the one given.

    Args:
        path: an aarch64-linux-gnu-gcc.
        install: let apt-get install it where it is missing (as root).

    Raises:
        MissingToolError: the compiler, its binutils or its static C library are not there; names the packages.
        ToolFailedError: it cannot be run.
    """
    given = str(path) if path else os.environ.get("EDGEPRESS_AARCH64_GCC", "")
    found = _found(given)
    if install and not given and (found is None or not _has_library(Path(found))):
        install_packages(PACKAGES[NAME].split())
        found = _found("")
    if found is None:
        if given:
            raise MissingToolError("there is no such compiler", where=given)
        raise missing(NAME)
    gcc = Path(found)
    if not _has_library(gcc):
        raise MissingToolError(
            "the static C library for aarch64 is not installed",
            where=found,
            hint="apt-get install libc6-dev-arm64-cross",
        )
    version = run_tool([gcc, "--version"], "asking the compiler for its version").splitlines()[0]
    number = run_tool([gcc, "-dumpfullversion"], "asking the compiler for its number").strip()
    return LinuxToolchain(gcc, _beside(gcc, "nm"), _beside(gcc, "size"), version.strip(), number)


def _found(given: str) -> str | None:
    names = [given] if given else [NAME]
    if not given and platform.machine() == "aarch64":
        names.append("gcc")
    return next((where for name in names if (where := shutil.which(name))), None)


def _has_library(gcc: Path) -> bool:
    said = run_tool([gcc, "-print-file-name=libc.a"], "looking for the C library").strip()
    return Path(said).is_absolute()


def _beside(gcc: Path, tool: str) -> Path:
    return find_beside(gcc, f"{gcc.name.removesuffix('gcc')}{tool}", "binutils-aarch64-linux-gnu")
