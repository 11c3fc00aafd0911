"""C sources -> a program for one emulated microcontroller, its sizes, addresses and stack bound; built once.

    firmware = build_firmware(toolchain, machine, flags, program, layout)
    firmware.flash_bytes, firmware.ram_bytes          # of the sources alone, without harness and library

The harness (`firmware_sources/`) brings start-up, faults, test vectors and a main that calls `edgepress_step`. The same
harness with an empty program is linked too: the difference is what the sources themselves take. No stdio and no heap
are linked, so a program that needs them fails here with one message.
"""

from __future__ import annotations

import json
import shutil
import string
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from ..runtime.errors import InputError, ToolFailedError, UsageError
from ..runtime.files import sha256_bytes, write_text
from .build_once import RECEIPT, build_once, key_of
from .firmware_elf import ENTRY, Sections, link_error, read_sections, read_symbols
from .firmware_library import add_library
from .firmware_program import Program
from .firmware_stack import StackBound, read_call_graph, stack_bound
from .firmware_vectors import Layout
from .mcu_machines import Machine
from .places import emulation_folder
from .toolchain import ArmToolchain
from .tools_needed import run_tool

RETURNED = "edgepress_returned"
DEFAULT_STACK_BYTES = 64 << 10
LARGEST_SOURCE_BYTES = 64 << 20
KEPT_BUILDS = 64
VERSION = 3  # of what firmware.json holds

HARNESS = ("start.c", "semihosting.c", "main.c")
_HEADERS = ("edgepress_firmware.h", "semihosting.h")
_TIGHT = (
    "-Wl,--sort-section=alignment",
)  # little padding: sizes of two programs can be subtracted
_ALWAYS = ("-mthumb", "-ffunction-sections", "-fdata-sections", "-g", "-fcallgraph-info=su")


@dataclass(frozen=True)
class Firmware:
    """One built program. `sections` is all of it, `empty` the harness and library with a program that does nothing."""

    elf: Path
    sha256: str
    machine: Machine
    sections: Sections
    empty: Sections
    symbols: dict[str, tuple[int, ...]]
    bound: StackBound
    compiler: str
    flags: tuple[str, ...]

    @property
    def flash_bytes(self) -> int:
        """Flash of the sources alone."""
        return self.sections.flash_bytes - self.empty.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """RAM of the sources alone, without stack and without the buffers of inputs and outputs."""
        return self.sections.ram_bytes - self.empty.ram_bytes

    def address(self, symbol: str) -> int:
        """Where a function begins; `InputError` if there is none of this name, or several."""
        found = self.symbols.get(symbol, ())
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} functions are called" if found else "the program has no function"
        raise InputError(
            f"{what} {symbol!r}",
            where=str(self.elf),
            hint="mark a function that is neither inlined nor left out: __attribute__((noinline)), and called",
        )


def build_firmware(
    toolchain: ArmToolchain,
    machine: Machine,
    flags: Sequence[str],
    program: Program,
    layout: Layout,
    *,
    stack_bytes: int = DEFAULT_STACK_BYTES,
) -> Firmware:
    """Compile and link, or take what was built from the same sources with the same compiler and options.

    Args:
        toolchain: the compiler.
        machine: whose memories it must fit into.
        flags: the compiler's options for the core.
        program: what is to be built; implements `edgepress_step`.
        layout: of the buffers for test vectors.
        stack_bytes: stack of the program, a multiple of 8.

    Raises:
        InputError: a source is missing or does not compile, the program is too big for the machine or needs what
            is not there (the compiler's words are told).
        UsageError: an impossible stack.
        ToolFailedError: a tool failed otherwise.
    """
    if stack_bytes < 256 or stack_bytes % 8:
        raise UsageError(f"a stack of {stack_bytes} bytes", hint="at least 256, a multiple of 8")
    names = (*HARNESS, *_HEADERS, "empty.c", "board.ld")
    harness = {name: harness_text(name) for name in names}
    facts = (asdict(machine), tuple(flags), program.options, asdict(layout), stack_bytes)
    build = _Build(toolchain, machine, (*flags, *_ALWAYS), program, layout, stack_bytes)
    key = key_of(
        toolchain.version, facts, _ALWAYS, _TIGHT, VERSION, harness, build.seen_by_the_compiler()
    )
    root = emulation_folder() / "firmware"
    part = build_once("firmware", root / key, build.make)
    (part.folder / RECEIPT).touch()
    _forget_oldest(root)
    made = json.loads((part.folder / "firmware.json").read_text("utf-8"))
    return Firmware(
        elf=part.folder / "firmware.elf",
        sha256=made["sha256"],
        machine=machine,
        sections=Sections(**made["sections"]),
        empty=Sections(**made["empty"]),
        symbols={name: tuple(found) for name, found in made["symbols"].items()},
        bound=StackBound(
            made["bound"]["bytes"], made["bound"]["reason"], tuple(made["bound"]["path"])
        ),
        compiler=f"gcc {toolchain.short_version}",
        flags=(*flags, *program.options),
    )


def harness_text(name: str) -> str:
    """One file of the harness."""
    return (resources.files("edgepress.devices.firmware_sources") / name).read_text("utf-8")


@dataclass(frozen=True)
class _Build:
    """One build in a folder that is renamed when it is whole."""

    toolchain: ArmToolchain
    machine: Machine
    flags: tuple[str, ...]
    program: Program
    layout: Layout
    stack_bytes: int

    def make(self, folder: Path) -> dict[str, str]:
        """firmware.elf, empty.elf and firmware.json in `folder`."""
        for name in (*HARNESS, "empty.c"):
            write_text(folder / name, harness_text(name))
        self._write_headers(folder)
        write_text(folder / "board.ld", self._linker_script())
        mine = ("-O2", "-std=gnu11")
        harness = [self._compile(folder, folder / name, mine) for name in HARNESS]
        empty = self._compile(folder, folder / "empty.c", mine)
        objects = [
            self._compile(folder, path, self.program.options, f"program{index}")
            for index, path in enumerate(self.program.files())
        ]
        elf = self._link(folder, "firmware.elf", [*harness, *objects])
        nothing = self._link(folder, "empty.elf", [*harness, empty])
        symbols = self._symbols(elf)
        made = {
            "sha256": sha256_bytes(elf.read_bytes()),
            "sections": asdict(self._sections(elf)),
            "empty": asdict(self._sections(nothing)),
            "symbols": symbols,
            "bound": asdict(self._bound(elf, objects, symbols)),
        }
        write_text(folder / "firmware.json", json.dumps(made))
        return {"compiler": self.toolchain.version, "machine": self.machine.name}

    def _bound(
        self, elf: Path, objects: Sequence[Path], symbols: Mapping[str, Sequence[int]]
    ) -> StackBound:
        graph = read_call_graph(path.with_suffix(".ci").read_text("utf-8") for path in objects)
        code = run_tool([self.toolchain.objdump, "-d", elf], "reading the machine code")
        add_library(graph, code, symbols, ENTRY)
        return stack_bound(graph, ENTRY)

    def _linker_script(self) -> str:
        board = self.machine
        return string.Template(harness_text("board.ld")).substitute(
            vectors_origin=hex(board.vectors_origin),
            flash_origin=hex(board.flash_origin),
            flash_bytes=board.flash_bytes,
            ram_origin=hex(board.ram_origin),
            ram_bytes=board.ram_bytes,
            stack_bytes=self.stack_bytes,
        )

    def seen_by_the_compiler(self) -> list[tuple[str, str, str]]:
        """(name, hash of the file, hash after its includes and macros are expanded) of every source."""
        seen = []
        with tempfile.TemporaryDirectory(prefix="edgepress-firmware-") as name:
            folder = Path(name)
            self._write_headers(folder)
            for path in self.program.files():
                if path.stat().st_size > LARGEST_SOURCE_BYTES:
                    raise InputError(
                        f"{path.stat().st_size} bytes are no C source", where=str(path)
                    )
                command = [*self._for(folder, self.program.options), "-E", "-P", str(path)]
                expanded = _compiler(command, f"reading {path.name}", str(path))
                hashes = sha256_bytes(path.read_bytes()), sha256_bytes(expanded.encode())
                seen.append((path.name, *hashes))
        return seen

    def _write_headers(self, folder: Path) -> None:
        for name in _HEADERS:
            write_text(folder / name, harness_text(name))
        write_text(folder / "edgepress_layout.h", self.layout.header())

    def _for(self, folder: Path, options: Sequence[str]) -> list[str]:
        """The compiler with all that says how a source is read; paths are not kept in what it makes."""
        includes = self.program.folders()
        maps = [f"-ffile-prefix-map={path}=program{i}" for i, path in enumerate(includes)]
        plain = ["-fmax-errors=1", "-fno-diagnostics-show-caret", f"-ffile-prefix-map={folder}=."]
        search = [f"-I{path}" for path in (*includes, folder)]
        return [*self._gcc(), *options, *search, *maps, *plain]

    def _compile(self, folder: Path, source: Path, options: Sequence[str], name: str = "") -> Path:
        made = folder / f"{name or source.stem}.o"
        command = [*self._for(folder, options), "-c", str(source), "-o", str(made)]
        _compiler(command, f"compiling {source.name}", str(source))
        return made

    def _link(self, folder: Path, name: str, objects: Sequence[Path]) -> Path:
        made = folder / name
        script = ["--specs=nano.specs", "-nostartfiles", "-T", str(folder / "board.ld")]
        words = [*self._gcc(), *script, *map(str, objects), "-Wl,--gc-sections", *_TIGHT, "-lm"]
        try:
            run_tool([*words, "-o", str(made)], f"linking {name}")
        except ToolFailedError as error:
            where = ", ".join(map(str, self.program.sources))
            raise link_error(error.what, self.machine, where) or error from error
        return made

    def _gcc(self) -> list[str]:
        return [str(self.toolchain.gcc), *self.flags]

    def _sections(self, elf: Path) -> Sections:
        said = run_tool([self.toolchain.size, "-A", elf], "reading the sizes")
        return read_sections(said, ", ".join(map(str, self.program.sources)))

    def _symbols(self, elf: Path) -> dict[str, list[int]]:
        return read_symbols(run_tool([self.toolchain.nm, elf], "reading the addresses"))


def _compiler(command: Sequence[str], doing: str, where: str) -> str:
    """Output of the compiler; what it refuses is wrong with the source."""
    try:
        return run_tool(command, doing)
    except ToolFailedError as error:
        raise InputError(error.what, where=where, hint="mend the source") from error


def _forget_oldest(root: Path) -> None:
    """Keep the builds used last."""
    receipts = sorted(root.glob(f"*/{RECEIPT}"), key=lambda path: path.stat().st_mtime)
    for receipt in receipts[:-KEPT_BUILDS]:
        shutil.rmtree(receipt.parent, ignore_errors=True)
