"""An exported C folder as a program of the test harness: its files, an adapter, and labels where its calls begin.

    with program_of(folder, marked=True) as made:
        made.program, made.labels

What is exported stays as it is: the labels are put into a copy. A label is no instruction, so a program with labels
executes what the one without does, but for what the compiler would have moved across them.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime.c_folder import CFolder, folder_bytes, of_bytes, read_parts
from ..runtime.errors import InputError, UsageError
from ..runtime.files import sha256_bytes, write_text
from .firmware_counts import Interval
from .firmware_elf import ENTRY
from .firmware_program import Program

OPTIONS = ("-O3", "-std=c99", "-ffp-contract=off")
MOST_LABELS = 990
"""Marks that `count_plugin.c` keeps, less those of the harness."""

_CALL = re.compile(r"^    (?=ep_\w+\(&call_\d+[,)])", re.M)

_ADAPTER = """/* Calls {name} for the harness; one context. */
#include "edgepress_firmware.h"
#include "{name}.h"

static {name}_context context;

int edgepress_step(const void *const *inputs, void *const *outputs)
{{
{reset}    return {name}_invoke(&context, inputs, outputs);
}}
"""


@dataclass(frozen=True)
class CProgram:
    """A folder ready to be built. `labels` are names of places, one a call, empty if none were asked for."""

    folder: CFolder
    sha256: str
    program: Program
    labels: tuple[str, ...]


@dataclass(frozen=True)
class CallCount:
    """Instructions of one kernel call; `source` is the layer it belongs to."""

    number: int
    function: str
    source: str
    macs: int
    instructions: int


@contextlib.contextmanager
def program_of(
    path: Path, *, marked: bool = False, options: Sequence[str] = OPTIONS
) -> Iterator[CProgram]:
    """The program of an exported folder; its files lie in a folder that goes with the context.

    Args:
        path: what `edgepress export --format c` wrote.
        marked: put a label before each call.
        options: of the compiler.

    Raises:
        InputError: no such folder, or damaged; also when the sources do not compile inside of the context.
        UsageError: more calls than can be marked.
    """
    data = folder_bytes(path)
    manifest = of_bytes(data, str(path))
    if marked and len(manifest.calls) > MOST_LABELS:
        raise UsageError(
            f"{len(manifest.calls)} calls, of which at most {MOST_LABELS} can be counted one by one",
            where=str(path),
        )
    with tempfile.TemporaryDirectory(prefix="edgepress-c-") as name:
        root = Path(name) / "program"
        labels = _write(root, manifest, read_parts(data, str(path)), marked)
        made = CProgram(manifest, sha256_bytes(data), Program((root,), (), tuple(options)), labels)
        try:
            yield made
        except InputError as error:
            if error.where and name in error.where:
                raise InputError(error.what, where=str(path), hint=error.hint) from error
            raise


def _write(
    root: Path, manifest: CFolder, parts: Sequence[tuple[str, bytes]], marked: bool
) -> tuple[str, ...]:
    """Code files beside each other, whatever folder they lay in, and the adapter; gives the labels."""
    labels: tuple[str, ...] = ()
    for file, content in parts:
        name = Path(file).name
        if not name.endswith((".c", ".h")):
            continue
        text = content.decode("utf-8")
        if marked and name == f"{manifest.name}.c":
            text, labels = with_labels(text, manifest.name)
        write_text(root / name, text)
    # every vector begins a stream, as `Session.run` does
    reset = f"    {manifest.name}_reset(&context);\n" if manifest.state_bytes else ""
    write_text(root / "edgepress_step.c", _ADAPTER.format(name=manifest.name, reset=reset))
    return labels


def with_labels(text: str, name: str) -> tuple[str, tuple[str, ...]]:
    """(the model's source with a global label before each kernel call, the labels in the order of the calls)."""
    labels = tuple(f"{name}_call_{number}" for number, _ in enumerate(_CALL.finditer(text)))
    left = iter(labels)  # calls may share their arguments, so these do not tell them apart

    def labelled(_found: re.Match[str]) -> str:
        label = next(left)
        return f'    __asm__ volatile(".global {label}\\n{label}:" ::: "memory");\n    '

    return _CALL.sub(labelled, text), labels


def counts_of_calls(
    made: CProgram, intervals: Sequence[Interval], vector: int = 0
) -> tuple[CallCount, ...]:
    """Instructions of each call in one vector; the first row (number -1) is what lies before and between."""
    numbers = {label: number for number, label in enumerate(made.labels)}
    counts = [0] * len(made.labels)
    other = 0
    for interval in intervals:
        if interval.vector != vector:
            continue
        if interval.begin in numbers:
            counts[numbers[interval.begin]] += interval.instructions
        else:
            other += interval.instructions
    rows = [CallCount(-1, ENTRY, "", 0, other)]
    for number, (call, count) in enumerate(zip(made.folder.calls, counts, strict=True)):
        rows.append(CallCount(number, call.function, call.source, call.macs, count))
    return tuple(rows)
