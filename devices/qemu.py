"""The emulator on this machine: where it is, which version, whether it can count."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import MissingToolError, ToolFailedError
from .tools_needed import missing

OLDEST_COUNTING = (6, 0)
NEWEST_COUNTING = (10, 0)
"""Versions whose plugin interface is known to `count_plugin.c`; 7.2 and 10.0 were tried."""


@dataclass(frozen=True)
class Emulator:
    """One QEMU; `plugin_interface` as in `count_plugin.c`, None where it cannot count (`no_counts` says why)."""

    path: Path
    version: tuple[int, int, int]
    plugin_interface: int | None
    no_counts: str

    @property
    def text(self) -> str:
        """ "7.2.22"."""
        return ".".join(str(part) for part in self.version)


def find_emulator(path: Path | None = None) -> Emulator:
    """The qemu-aarch64 on the search path, or the one given (also by `EDGEPRESS_QEMU_AARCH64`).

    Raises:
        MissingToolError: there is none; names the package.
        ToolFailedError: it does not tell its version.
    """
    given = path or _from_environment("EDGEPRESS_QEMU_AARCH64")
    return _found(given, ["qemu-aarch64", "qemu-aarch64-static"])


def find_system_emulator(path: Path | None = None) -> Emulator:
    """As `find_emulator` for qemu-system-arm, also by `EDGEPRESS_QEMU_SYSTEM_ARM`."""
    given = path or _from_environment("EDGEPRESS_QEMU_SYSTEM_ARM")
    return _found(given, ["qemu-system-arm"])


def _found(given: Path | None, usual: list[str]) -> Emulator:
    names = [str(given)] if given else usual
    found = next((where for name in names if (where := shutil.which(name))), None)
    if found is None:
        if given:
            raise MissingToolError("there is no such program", where=str(given))
        raise missing(usual[0])
    version = _version(found)
    interface, reason = plugin_interface(version)
    if interface is not None and not _has_plugins(found):
        interface = None
        reason = (
            f"this QEMU {_dots(version)} was built without plugins, as static builds are; "
            "the package qemu-user 7.2 of Debian 12 has them, the static ones from 9.0.2 on have not"
        )
    return Emulator(Path(found), version, interface, reason)


def plugin_interface(version: tuple[int, int, int]) -> tuple[int | None, str]:
    """(interface of the plugin for a QEMU version, "") or (None, why it cannot count)."""
    major_minor = version[:2]
    if major_minor < OLDEST_COUNTING:
        return None, f"QEMU {_dots(version)} is older than {_dots(OLDEST_COUNTING)}"
    if major_minor > NEWEST_COUNTING:
        return None, (
            f"the plugin interface of QEMU {_dots(version)} is not known; "
            f"{_dots(OLDEST_COUNTING)} to {_dots(NEWEST_COUNTING)} are"
        )
    if major_minor < (9, 0):
        return 1, ""
    return (2, "") if major_minor == (9, 0) else (3, "")


def _dots(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version[:2])


def _from_environment(variable: str) -> Path | None:
    text = os.environ.get(variable, "")
    return Path(text) if text else None


def _version(program: str) -> tuple[int, int, int]:
    said = _output([program, "--version"])
    match = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", said)
    if match is None:
        raise ToolFailedError(f"does not tell its version: {said[:200]!r}", where=program)
    return int(match[1]), int(match[2]), int(match[3] or 0)


def _has_plugins(program: str) -> bool:
    return "-plugin" in _output([program, "--help"])


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailedError(f"cannot be run: {error}", where=command[0]) from error
    return done.stdout
