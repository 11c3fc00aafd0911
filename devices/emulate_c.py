"""Exported C folders on emulated cores: microcontrollers and aarch64 Linux; proven, counted, call by call if asked.

    result = run_c(Path("folder"), load_profile("stm32l4r5"), vectors, calls=True)
    result.measurement(), result.calls

Everything is `emulated`: outputs, instructions, memory; never milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..runtime.c_folder import CFolder
from ..runtime.errors import MissingToolError, UsageError
from .c_program import OPTIONS, CallCount, CProgram, counts_of_calls, program_of
from .count_plugin import build_plugin
from .emulate_mcu import Tools, find_tools, run_firmware
from .firmware_result import FirmwareResult, Run
from .firmware_vectors import Vectors, layout_of
from .instruction_counts import stand_in
from .linux_program import (
    DEFAULT_TIMEOUT_S,
    LinuxProgram,
    LinuxRun,
    build_linux,
    run_linux,
)
from .measurement import Evidence, Measurement
from .places import emulation_folder
from .profile import Profile
from .qemu import Emulator, find_emulator
from .toolchain_linux import LinuxToolchain, find_linux_toolchain


@dataclass(frozen=True)
class CResult:
    """One folder on one emulated core. `firmware` is there for microcontrollers, `linux` for boards."""

    folder: CFolder
    sha256: str
    profile: Profile
    emulator: str
    calls: tuple[CallCount, ...]
    firmware: FirmwareResult | None = None
    linux: tuple[LinuxProgram, LinuxRun] | None = None

    @property
    def run(self) -> Run:
        """Outputs and counts."""
        if self.firmware is not None:
            return self.firmware.run
        assert self.linux is not None  # noqa: S101
        return self.linux[1].run

    @property
    def instructions(self) -> int | None:
        """Executed instructions of the most expensive vector; None if this QEMU cannot count."""
        return max(self.run.counts.steps, default=None)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(call.macs for call in self.folder.calls)

    def measurement(self) -> Measurement:
        """The figures as a record; evidence `emulated`."""
        arena = {"arena_bytes": float(self.folder.arena_bytes)}
        notes = self._notes()
        if self.firmware is not None:
            made = replace(self.firmware, artifact_sha256=self.sha256).measurement()
            return replace(made, values={**made.values, **arena}, notes=(*made.notes, *notes))
        assert self.linux is not None  # noqa: S101
        built, ran = self.linux
        values = dict(arena)
        if self.instructions is not None:
            values["instructions"] = float(self.instructions)
            values |= {f"instructions_{name}": float(n) for name, n in ran.classes.items()}
        steps = [float(count) for count in ran.run.counts.steps]
        return Measurement(
            artifact_sha256=self.sha256,
            evidence=Evidence.EMULATED,
            device=self.profile.name,
            fingerprint={"cpu": self.profile.main_core.name, "flags": " ".join(built.flags)},
            engine="native",
            engine_version=built.compiler,
            threads=1,
            values=values,
            samples={"instructions": [steps]} if steps else {},
            conditions_before={"emulator": f"QEMU {self.emulator}"},
            notes=notes,
        )

    def _notes(self) -> tuple[str, ...]:
        """What a measurement on a board says; that of a microcontroller has remarks of its own."""
        if self.firmware is not None:
            return ()
        no_counts = self.run.no_counts
        return (*((f"no counts: {no_counts}",) if no_counts else ()), *stand_in(self.profile))


@dataclass(frozen=True)
class _Asked:
    """What is to be run, and how."""

    profile: Profile
    vectors: Vectors
    timeout_s: float
    prove: bool


@dataclass(frozen=True)
class LinuxTools:
    """Compiler and emulator for aarch64; `plugin` is None where this QEMU cannot count, `no_counts` says why."""

    toolchain: LinuxToolchain
    emulator: Emulator
    plugin: Path | None
    no_counts: str


def find_linux_tools(*, install: bool = False) -> LinuxTools:
    """What emulated aarch64 programs need.

    Raises:
        MissingToolError: compiler, C library or QEMU are missing; names the packages.
        ToolFailedError: one of them cannot be run.
    """
    toolchain, emulator = find_linux_toolchain(install=install), find_emulator()
    try:
        plugin = build_plugin(emulation_folder(), emulator, install=install)
        return LinuxTools(toolchain, emulator, plugin, "")
    except MissingToolError as error:
        return LinuxTools(toolchain, emulator, None, error.what)


def run_c(
    path: Path,
    profile: Profile,
    vectors: Vectors,
    *,
    calls: bool = False,
    options: tuple[str, ...] = OPTIONS,
    tools: Tools | LinuxTools | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    prove: bool = True,
) -> CResult:
    """Build a folder for a device, run it under emulation on every vector, prove its outputs, count.

    Args:
        path: what `edgepress export --format c` wrote; packed for any device.
        profile: a microcontroller or a Linux board that can be emulated.
        vectors: inputs and the outputs that must come, as `NAME_invoke` takes them.
        calls: count each kernel call.
        options: of the compiler, beside those of the core.
        tools: found before; looked for if None.
        timeout_s: seconds of wall clock for the emulated run.
        prove: refuse outputs that depart; without it they are only given.

    Raises:
        MissingToolError: a compiler or QEMU is missing, names its package.
        UsageError: the device cannot be emulated.
        As `run_firmware` and `run_linux`.
    """
    with program_of(path, marked=calls, options=options) as made:
        asked = _Asked(profile, vectors, timeout_s, prove)
        if profile.device_class == "mcu":
            result = _on_mcu(made, asked, tools if isinstance(tools, Tools) else find_tools())
        else:
            found = tools if isinstance(tools, LinuxTools) else find_linux_tools()
            result = _on_linux(made, asked, found)
        if calls and result.run.counts.intervals:
            rows = counts_of_calls(made, result.run.counts.intervals)
            return replace(result, calls=rows)
        return result


def _on_mcu(made: CProgram, asked: _Asked, tools: Tools) -> CResult:
    result = run_firmware(
        asked.profile,
        made.program,
        asked.vectors,
        made.labels,
        tools=tools,
        timeout_s=asked.timeout_s,
        prove=asked.prove,
    )
    text = tools.emulator.text
    return CResult(made.folder, made.sha256, asked.profile, text, (), firmware=result)


def _on_linux(made: CProgram, asked: _Asked, tools: LinuxTools) -> CResult:
    profile = asked.profile
    if profile.emulation is None or profile.emulation.user_cpu is None:
        raise UsageError(f"{profile.name} cannot be emulated", hint="see edgepress devices list")
    layout = layout_of(asked.vectors)
    target = (f"-mcpu={profile.main_core.name}",)
    built = build_linux(tools.toolchain, target, made.program, layout)
    ran = run_linux(
        built,
        str(profile.emulation.user_cpu.value),
        asked.vectors,
        layout,
        tools.emulator,
        tools.plugin,
        made.labels,
        no_counts=tools.no_counts,
        timeout_s=asked.timeout_s,
        prove=asked.prove,
    )
    text = tools.emulator.text
    return CResult(made.folder, made.sha256, profile, text, (), linux=(built, ran))
