"""Compiles `count_plugin.c` for the QEMU at hand, once."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from ..runtime.errors import MissingToolError
from ..runtime.files import atomic_path
from .build_once import key_of
from .qemu import Emulator
from .tools_needed import PACKAGES, install_packages, missing, run_tool

_FLAGS = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")


def plugin_source() -> str:
    """The text of the plugin."""
    return (resources.files("edgepress.devices") / "count_plugin.c").read_text("utf-8")


def build_plugin(folder: Path, emulator: Emulator, *, install: bool = False) -> Path:
    """The plugin for this emulator, compiled into `folder` if it is not there.

    Raises:
        MissingToolError: this QEMU cannot count (says why), or no C compiler.
        ToolFailedError: the compiler failed.
    """
    interface = emulator.plugin_interface
    if interface is None:
        raise MissingToolError(
            f"no counts: {emulator.no_counts}",
            where=str(emulator.path),
            hint="run in a debian:12 container, or name another QEMU in "
            "EDGEPRESS_QEMU_AARCH64 (boards) or EDGEPRESS_QEMU_SYSTEM_ARM (microcontrollers)",
        )
    source = plugin_source()
    target = folder / f"count-plugin-{interface}-{key_of(source, _FLAGS)}.so"
    if target.is_file():
        return target
    compiler = _compiler(install)
    with atomic_path(target) as temporary:
        code = temporary.with_suffix(".c")
        code.write_text(source, "utf-8")
        try:
            options = [*_FLAGS, f"-DEDGEPRESS_PLUGIN_API={interface}"]
            run_tool([compiler, *options, "-o", temporary, code], "compiling the counting plugin")
        finally:
            code.unlink()
    return target


def _compiler(install: bool) -> str:
    names = ("cc", "gcc", "clang")
    found = next((where for name in names if (where := shutil.which(name))), None)
    if found is None and install:
        install_packages(PACKAGES["cc"].split())
        found = shutil.which("cc") or shutil.which("gcc")
    if found is None:
        raise missing("cc")
    return found
