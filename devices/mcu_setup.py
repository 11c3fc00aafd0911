"""Make an emulated microcontroller ready: find or install its tools, then let its core prove that it counts.

report = setup_mcu(load_profile("stm32u585"), install=True, progress=print)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .emulate_mcu import find_tools
from .mcu_machines import machine_of
from .mcu_selftest import kernels_for, run_selftest
from .profile import Profile


@dataclass(frozen=True)
class McuReport:
    """What was found; `kernels` are the self-test's instructions by kernel, None where this QEMU cannot count."""

    board: str
    cpu: str
    machine: str
    compiler: str
    emulator: str
    no_counts: str
    kernels: dict[str, int | None]
    seconds: float


def setup_mcu(
    profile: Profile, *, install: bool = False, progress: Callable[[str], None] | None = None
) -> McuReport:
    """Find compiler, QEMU and plugin, and run the self-test's kernels on the device's core.

    Args:
        profile: a microcontroller.
        install: let apt-get install what is missing (as root).
        progress: told what is being done.

    Raises:
        UsageError: the device is no microcontroller.
        MissingToolError: a program is missing; names its package.
        ParityError, EngineCrashedError, ToolFailedError: the tools do not do what they must.
    """
    start, tell = time.monotonic(), progress or (lambda text: None)
    machine, _ = machine_of(profile)
    tell("looking for compiler and QEMU")
    tools = find_tools(install=install)
    kernels = {}
    for kernel in kernels_for(profile):
        tell(f"self-test on {machine.core}: {kernel}")
        kernels[kernel] = run_selftest(profile, kernel, tools=tools).instructions
    return McuReport(
        board=profile.name,
        cpu=machine.core,
        machine=machine.name,
        compiler=f"gcc {tools.toolchain.short_version}",
        emulator=f"QEMU {tools.emulator.text}",
        no_counts=tools.no_counts,
        kernels=kernels,
        seconds=time.monotonic() - start,
    )
