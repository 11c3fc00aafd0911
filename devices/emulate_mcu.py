"""Emulated microcontrollers: build a C program, run it on test vectors, prove its outputs, count and measure it.

    vectors = Vectors(inputs=[(x,)], expected=[(y,)])
    result = run_firmware(load_profile("stm32u585"), [Path("generated")], vectors)
    result.instructions, result.flash_bytes, result.ram_bytes, result.stack_bytes

The sources implement `edgepress_step` (`firmware_sources/edgepress_firmware.h`); a generator adds one small C file that
calls what it generated. Figures are `emulated`: outputs, executed instructions, memory; never milliseconds.

The program runs with what semihosting gives it: it can open files of this machine. Run only sources that you would
compile and run here as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import (
    EngineCrashedError,
    InputError,
    MissingToolError,
    ToolFailedError,
    UsageError,
)
from .child_process import Ended, run_child
from .count_plugin import build_plugin
from .firmware import DEFAULT_STACK_BYTES, RETURNED, Firmware, build_firmware
from .firmware_counts import Counts, read_counts
from .firmware_elf import ENTRY
from .firmware_faults import read_fault
from .firmware_program import Program
from .firmware_result import FirmwareResult, Run
from .firmware_vectors import Layout, Vectors, check_parity, layout_of, pack, unpack
from .mcu_machines import machine_of
from .places import emulation_folder
from .profile import Profile
from .qemu import Emulator, find_system_emulator
from .toolchain import ArmToolchain, find_arm_toolchain
from .tools_needed import PACKAGES, install_packages, run_tool

DEFAULT_TIMEOUT_S = 120.0
MOST_MARKS = 1000  # as many as count_plugin.c keeps

_EXIT_NO_VECTORS, _EXIT_NOT_WRITTEN, _EXIT_PROGRAM, _EXIT_FAULT = 64, 65, 66, 70


@dataclass(frozen=True)
class Tools:
    """Compiler and emulator; `plugin` is None where this QEMU cannot count, `no_counts` says why."""

    toolchain: ArmToolchain
    emulator: Emulator
    plugin: Path | None
    no_counts: str


def find_tools(*, install: bool = False) -> Tools:
    """What emulated microcontrollers need.

    Args:
        install: let apt-get install what is missing (as root).

    Raises:
        MissingToolError: compiler, C library or QEMU are missing; names the packages.
        ToolFailedError: one of them cannot be run.
    """
    toolchain, emulator = find_arm_toolchain(install=install), _emulator(install)
    try:
        plugin = build_plugin(emulation_folder(), emulator, install=install)
        return Tools(toolchain, emulator, plugin, "")
    except MissingToolError as error:
        return Tools(toolchain, emulator, None, error.what)


def _emulator(install: bool) -> Emulator:
    try:
        return find_system_emulator()
    except MissingToolError:
        if not install:
            raise
    install_packages(PACKAGES["qemu-system-arm"].split())
    return find_system_emulator()


def run_firmware(
    profile: Profile,
    sources: Sequence[Path] | Program,
    vectors: Vectors,
    marks: Sequence[str] = (),
    *,
    artifact_sha256: str = "",
    stack_bytes: int = DEFAULT_STACK_BYTES,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    tools: Tools | None = None,
    prove: bool = True,
) -> FirmwareResult:
    """Build, run on every vector, prove, count.

    Args:
        profile: a microcontroller; its `emulation` says machine and compiler flags.
        sources: .c files or folders of .c and .h, compiled at -O3; a `Program` for other options.
        vectors: inputs and the outputs that must come.
        marks: functions at whose beginning the count is taken as well, for instance one a layer.
        artifact_sha256: of the file that the sources were generated from; of the program if empty.
        stack_bytes: stack of the program; a larger one hides an overflow, the figures do not change.
        timeout_s: seconds of wall clock for the emulated run.
        tools: compiler and emulator; looked for if None.
        prove: refuse outputs that depart; without it they are only given.

    Raises:
        MissingToolError: a tool is missing, names its package.
        InputError: the sources do not compile or link, are too big for the machine, or wrote beyond their outputs.
        EngineCrashedError: the program faulted (function and line are told), overflowed its stack or never ended.
        ParityError: an output departs: no figures for a wrong result.
        UsageError: the device is no microcontroller, an impossible stack, or more than `MOST_MARKS` marks.
        ToolFailedError: a tool failed.
    """
    found = tools or find_tools()
    machine, flags = machine_of(profile)
    program = sources if isinstance(sources, Program) else Program(tuple(sources))
    layout = layout_of(vectors)
    firmware = build_firmware(
        found.toolchain, machine, flags, program, layout, stack_bytes=stack_bytes
    )
    where = f"{profile.name} (emulated {machine.core})"
    every = tuple(dict.fromkeys((ENTRY, RETURNED, *marks)))
    if len(every) > MOST_MARKS:
        raise UsageError(f"{len(every)} marks", hint=f"at most {MOST_MARKS}")
    run = _run(firmware, found, vectors, layout, every, timeout_s, where)
    if prove:
        check_parity(run.rows, vectors, where)
    return FirmwareResult(profile, firmware, run, found.emulator.text, artifact_sha256)


def _run(
    firmware: Firmware,
    tools: Tools,
    vectors: Vectors,
    layout: Layout,
    marks: Sequence[str],
    timeout_s: float,
    where: str,
) -> Run:
    """One emulated run over all vectors."""
    addresses = [firmware.address(name) for name in marks]
    with tempfile.TemporaryDirectory(prefix="edgepress-mcu-") as name:
        folder = Path(name)
        (folder / "vectors.bin").write_bytes(pack(vectors, layout))
        command = _command(firmware, tools, addresses)
        ended = run_child(command, folder, timeout_s)
        if ended.code is None:
            raise EngineCrashedError(
                f"the program did not end within {timeout_s:g} s",
                where=where,
                hint="look for an endless loop, or allow more seconds; emulation is slow",
            )
        written = _read(folder / "outputs.bin")
        rows = unpack(
            written[: _whole(written, layout)] if ended.code else written, vectors, layout, where
        )
        _check_exit(ended, folder, firmware, tools.toolchain, len(rows), where)
        if ended.code == _EXIT_PROGRAM and rows:
            raise InputError(
                f"vector {len(rows) - 1}: the program gave the error {rows[-1].said}", where=where
            )
        if len(rows) != len(vectors.inputs):
            raise EngineCrashedError(
                f"the program ended the run itself in vector {len(rows)}", where=where
            )
        counts = Counts((), ())
        if tools.plugin is not None:
            counts = read_counts(_read(folder / "counts.jsonl").decode(), marks, len(rows))
    return Run(rows, counts, tools.no_counts)


def _whole(written: bytes, layout: Layout) -> int:
    """Bytes of whole rows in what a run that ended early has written."""
    row = 8 + layout.output_bytes
    return len(written) // row * row


def _command(firmware: Firmware, tools: Tools, addresses: Sequence[int]) -> list[str]:
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
    host = ["-semihosting-config", "enable=on,target=native"]
    command = [str(tools.emulator.path), "-M", firmware.machine.name, *quiet, *host]
    if tools.plugin is not None:
        marked = "".join(f",mark={address:#x}" for address in addresses)
        plugin = str(tools.plugin).replace(",", ",,")  # as QEMU wants it
        command += ["-plugin", f"{plugin},out=counts.jsonl{marked}"]
    return [*command, "-kernel", str(firmware.elf)]


def _check_exit(
    ended: Ended,
    folder: Path,
    firmware: Firmware,
    toolchain: ArmToolchain,
    rows: int,
    where: str,
) -> None:
    """Raise what a run that did not end well means; the program's own errors are left to the caller."""
    code = ended.code or 0
    if code in (0, _EXIT_PROGRAM):
        return
    at = f"vector {rows}: "
    fault = read_fault(_read(folder / "fault.bin")) if code == _EXIT_FAULT else None
    if fault is not None:
        text = fault.text(lambda address: _place(toolchain, firmware, address))
        hint = "give more stack_bytes" if fault.stack_overflow else "look at that line"
        raise EngineCrashedError(at + text, where=where, hint=hint)
    if "Lockup" in ended.err:
        raise EngineCrashedError(
            f"{at}the core locked up: a fault while a fault was being told", where=where
        )
    meaning = {
        _EXIT_NO_VECTORS: "the program could not read its test vectors",
        _EXIT_NOT_WRITTEN: "the program could not write its outputs: is the disk full?",
    }
    last = ended.last_words
    raise ToolFailedError(
        meaning.get(code, f"QEMU ended with status {code}") + (f": {last}" if last else ""),
        where=where,
    )


def _place(toolchain: ArmToolchain, firmware: Firmware, address: int) -> str:
    """ "function at file.c:12" of an address."""
    command = [str(toolchain.addr2line), "-f", "-e", str(firmware.elf), hex(address)]
    lines = run_tool(command, "looking up an address").splitlines()
    if len(lines) < 2 or lines[0].startswith("?"):
        return "no code of the program"
    place = Path(lines[1].split(" (")[0]).name
    return lines[0] if place.startswith("?") else f"{lines[0]} at {place}"


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
