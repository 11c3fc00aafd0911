"""C programs as static executables of aarch64 Linux: built here, run under qemu-aarch64, proven, counted.

    built = build_linux(find_linux_toolchain(), ("-mcpu=cortex-a53",), made.program, layout)
    result = run_linux(built, "cortex-a53", vectors, layout, emulator, plugin, made.labels)

The counterpart of `emulate_mcu.py` for boards: the same program (`edgepress_step`), the same vectors. Outputs and
executed instructions are `emulated`; never milliseconds.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import EngineCrashedError, InputError, ToolFailedError
from ..runtime.files import sha256_bytes, write_text
from .build_once import RECEIPT, build_once, key_of
from .child_process import Ended, run_child
from .firmware import RETURNED, harness_text
from .firmware_counts import Counts, read_counts
from .firmware_elf import ENTRY
from .firmware_program import Program
from .firmware_result import Run
from .firmware_vectors import Layout, Vectors, check_parity, pack, unpack
from .instruction_counts import CLASSES
from .places import emulation_folder
from .qemu import Emulator
from .toolchain_linux import LinuxToolchain
from .tools_needed import run_tool

ALWAYS = ("-static", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
KEPT_BUILDS = 64
DEFAULT_TIMEOUT_S = 300.0

_EXIT_PROGRAM = 66


@dataclass(frozen=True)
class LinuxProgram:
    """One executable; `symbols` has the addresses of its code by name, `text_bytes` the C library is part of."""

    elf: Path
    sha256: str
    compiler: str
    flags: tuple[str, ...]
    text_bytes: int
    symbols: dict[str, int]


@dataclass(frozen=True)
class LinuxRun:
    """What it did: `run` as on a microcontroller (its stack is not told), `classes` instructions of the first vector
    by kind."""

    run: Run
    classes: dict[str, int]

    @property
    def instructions(self) -> int | None:
        """Executed instructions of the most expensive vector; None if this QEMU cannot count."""
        return max(self.run.counts.steps, default=None)


def build_linux(
    toolchain: LinuxToolchain, target: Sequence[str], program: Program, layout: Layout
) -> LinuxProgram:
    """Compile and link, or take what was built from the same sources with the same compiler and options.

    Args:
        toolchain: the compiler.
        target: the compiler's options for the core ("-mcpu=cortex-a53").
        program: what is to be built; implements `edgepress_step`.
        layout: of the buffers for test vectors.

    Raises:
        InputError: the sources do not compile or link; the compiler's words are told.
        ToolFailedError: a tool failed otherwise.
    """
    flags = (*target, *program.options)
    harness = {name: harness_text(name) for name in ("linux_main.c", "edgepress_firmware.h")}
    seen = [(path.name, sha256_bytes(path.read_bytes())) for path in program.files()]
    headers = [
        (path.name, sha256_bytes(path.read_bytes()))
        for folder in program.folders()
        for path in sorted(folder.glob("*.h"))
    ]
    key = key_of(toolchain.version, flags, ALWAYS, layout.header(), harness, seen, headers)

    def make(folder: Path) -> dict[str, str]:
        for name, text in harness.items():
            write_text(folder / name, text)
        write_text(folder / "edgepress_layout.h", layout.header())
        elf = _compile(toolchain, flags, program, folder)
        symbols = _symbols(run_tool([toolchain.nm, elf], "reading the addresses"))
        write_text(folder / "symbols.json", json.dumps(symbols))
        size = run_tool([toolchain.size, "-A", elf], "reading the sizes")
        return {"text_bytes": str(sum(map(int, re.findall(r"^\.text\s+(\d+)", size, re.M))))}

    root = emulation_folder() / "linux-programs"
    part = build_once("program", root / key, make)
    (part.folder / RECEIPT).touch()
    _forget_oldest(root)
    elf = part.folder / "program.elf"
    return LinuxProgram(
        elf=elf,
        sha256=sha256_bytes(elf.read_bytes()),
        compiler=f"gcc {toolchain.number}",
        flags=flags,
        text_bytes=int(part.facts["text_bytes"]),
        symbols=json.loads((part.folder / "symbols.json").read_text("utf-8")),
    )


def _compile(
    toolchain: LinuxToolchain, flags: Sequence[str], program: Program, folder: Path
) -> Path:
    elf = folder / "program.elf"
    search = [f"-I{path}" for path in (*program.folders(), folder)]
    common = [str(toolchain.gcc), *flags, *search, "-fmax-errors=1", "-fno-diagnostics-show-caret"]
    main = folder / "linux_main.o"
    harness = [str(toolchain.gcc), flags[0], "-O2", "-std=gnu11", f"-I{folder}", "-c"]
    run_tool([*harness, folder / "linux_main.c", "-o", main], "compiling the harness")
    sources = [str(path) for path in program.files()]
    try:
        run_tool([*common, *ALWAYS, str(main), *sources, "-o", elf, "-lm"], "compiling the program")
    except ToolFailedError as error:
        where = ", ".join(map(str, program.sources))
        raise InputError(error.what, where=where, hint="mend the source") from error
    return elf


def _symbols(text: str) -> dict[str, int]:
    """Addresses of code by name; a name that two functions have is left out."""
    found: dict[str, list[int]] = {}
    for address, name in re.findall(r"^([0-9a-f]{16}) [tTwW] ([\w.]+)$", text, re.M):
        found.setdefault(name, []).append(int(address, 16))
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def run_linux(
    built: LinuxProgram,
    cpu: str,
    vectors: Vectors,
    layout: Layout,
    emulator: Emulator,
    plugin: Path | None,
    labels: Sequence[str] = (),
    *,
    no_counts: str = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    prove: bool = True,
) -> LinuxRun:
    """Run on every vector under qemu-aarch64, prove, count.

    Args:
        built: the executable.
        cpu: QEMU's name of the core.
        vectors, layout: inputs and the outputs that must come.
        emulator, plugin: of `devices.qemu` and `devices.count_plugin`; nothing is counted without a plugin.
        labels: places at which the count is taken as well.
        no_counts: why there is no plugin.
        timeout_s: seconds of wall clock.
        prove: refuse outputs that depart; without it they are only given.

    Raises:
        EngineCrashedError: the program was ended by a signal or did not end.
        InputError: it gave an error or wrote beyond its outputs.
        ParityError: an output departs: no figures for a wrong result.
        ToolFailedError: QEMU failed.
    """
    where = f"emulated {cpu}"
    marks = (ENTRY, RETURNED, *labels)
    with tempfile.TemporaryDirectory(prefix="edgepress-linux-") as name:
        folder = Path(name)
        (folder / "vectors.bin").write_bytes(pack(vectors, layout))
        command = [str(emulator.path), "-cpu", cpu]
        if plugin is not None:
            places = "".join(f",mark={_address(built, mark):#x}" for mark in marks)
            command += ["-plugin", f"{str(plugin).replace(',', ',,')},out=counts.jsonl{places}"]
        command += [str(built.elf), "vectors.bin", "outputs.bin"]
        ended = run_child(command, folder, timeout_s, {"LC_ALL": "C"})
        _check_exit(ended, timeout_s, where)
        rows = unpack((folder / "outputs.bin").read_bytes(), vectors, layout, where)
        if ended.code == _EXIT_PROGRAM:
            said = rows[-1].said if rows else "unknown"
            raise InputError(f"the program gave the error {said}", where=where)
        counts = Counts((), ())
        classes: dict[str, int] = {}
        if plugin is not None:
            text = (folder / "counts.jsonl").read_text("utf-8")
            counts, classes = _counts(text, marks, len(rows))
    if prove:
        check_parity(rows, vectors, where)
    return LinuxRun(Run(rows, counts, no_counts), classes)


def _check_exit(ended: Ended, timeout_s: float, where: str) -> None:
    """Raise what a run that did not end well means; the program's own errors are left to the caller."""
    if ended.code is None:
        raise EngineCrashedError(f"the program did not end within {timeout_s:g} s", where=where)
    if ended.code < 0 or ended.code > 128:
        raise EngineCrashedError(f"the program crashed: {ended.last_words}", where=where)
    if ended.code not in (0, _EXIT_PROGRAM):
        raise ToolFailedError(
            f"QEMU ended with status {ended.code}: {ended.last_words}", where=where
        )


def _address(built: LinuxProgram, name: str) -> int:
    if name not in built.symbols:
        raise InputError(f"the program has no place {name!r}", where=str(built.elf))
    return built.symbols[name]


def _counts(text: str, marks: Sequence[str], vectors: int) -> tuple[Counts, dict[str, int]]:
    """Counts between places, and instructions by kind: from the marks that the program makes around its calls."""
    lines = text.splitlines()
    snapshots = [json.loads(line) for line in lines if '"load"' in line]
    places = "\n".join(line for line in lines if '"load"' not in line)
    by_mark = [row for row in snapshots if row["mark"] >= 0][:4]
    if len(by_mark) < 4:
        raise ToolFailedError("the counting plugin saw no marks", where="count_plugin.c")
    first, second, before, after = by_mark
    classes = {
        name: max(after[name] - before[name] - (second[name] - first[name]), 0) for name in CLASSES
    }
    return read_counts(places, marks, vectors), classes


def _forget_oldest(root: Path) -> None:
    """Keep the builds used last."""
    receipts = sorted(root.glob(f"*/{RECEIPT}"), key=lambda path: path.stat().st_mtime)
    for receipt in receipts[:-KEPT_BUILDS]:
        shutil.rmtree(receipt.parent, ignore_errors=True)
