"""The arena that TensorFlow Lite Micro needs for a model, and its outputs against TFLite's.

    found = measure_tflm(Path("model.tflite"), smallest=True)
    found.arena.total, found.arena.head, found.arena.tail

The interpreter is the one of the `tflite-micro` wheel: built for x86-64, where pointers take 8 bytes. The head
(activations) is what a microcontroller needs too; the tail (persistent data) is smaller there. So the total is an
upper bound for Cortex-M, and is labelled so. It runs in a process of its own, as too small an arena ends the process.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import EngineCrashedError, InputError, ParityError, ToolFailedError
from ..runtime.session import open_session
from ..runtime.timing import random_inputs
from .child_process import Ended, run_child
from .extras import need_extra
from .measurement import Evidence, Measurement

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MODULE = "edgepress.devices.tflm_process"
LABEL = "TFLM x86-64 arena, upper bound for Cortex-M"
LARGEST_ARENA = 1 << 30
SEED = 0
FOLLOWS = 0.9

_ALLOCATION = re.compile(
    r"\[RecordingMicroAllocator\] Arena allocation (total|head|tail) (\d+) bytes"
)
_MISSING = re.compile(r"Failed to (?:resize buffer|allocate)")
_OPERATOR = re.compile(
    r"Didn't find op for builtin opcode '([^']+)'|Failed to get registration from op code (\S+)"
)


@dataclass(frozen=True)
class Arena:
    """Bytes that the interpreter's allocator recorded: head for activations, tail for what persists."""

    total: int
    head: int
    tail: int


@dataclass(frozen=True)
class Departures:
    """How outputs differ from TFLite's: `count` of `values` differ, the largest by `largest` (steps, or real)."""

    count: int
    values: int
    largest: float

    @property
    def text(self) -> str:
        """In words."""
        if self.count == 0:
            return f"all {self.values} output values"
        return f"{self.values - self.count} of {self.values} output values, others up to {self.largest:g} apart"


@dataclass(frozen=True)
class TflmResult:
    """What one run in TensorFlow Lite Micro told.

    Attributes:
        sha256: of the file.
        version: of the package.
        arena: recorded use.
        smallest: the smallest arena that works, by bisection; None if not looked for.
        departures: how the outputs differ from those of `engine`.
        engine: the TFLite engine that the outputs were compared with.
    """

    sha256: str
    version: str
    arena: Arena
    smallest: int | None
    departures: Departures
    engine: str

    def measurement(self) -> Measurement:
        """The figures as a record; evidence `host`: it ran on this machine."""
        values = {
            "arena_bytes": float(self.arena.total),
            "arena_head_bytes": float(self.arena.head),
            "arena_tail_bytes": float(self.arena.tail),
        }
        if self.smallest is not None:
            values["arena_smallest_bytes"] = float(self.smallest)
        parity = f"as in {self.engine}: {self.departures.text}"
        return Measurement(
            artifact_sha256=self.sha256,
            evidence=Evidence.HOST,
            device="host",
            fingerprint={"machine": "x86-64"},
            engine="tflm",
            engine_version=self.version,
            threads=1,
            values=values,
            notes=(LABEL, parity),
        )


def measure_tflm(
    path: Path,
    inputs: Sequence[Array] | None = None,
    *,
    smallest: bool = False,
    timeout_s: float = 300.0,
) -> TflmResult:
    """Arena of a TFLite file, after its outputs were found to be TFLite's.

    Args:
        path: a .tflite file.
        inputs: as `Session.run` takes them; seeded random values if None.
        smallest: look for the smallest arena that works as well.
        timeout_s: seconds of wall clock of one process.

    Raises:
        MissingToolError: `tflite-micro` is not installed, says how to.
        InputError: not a TFLite file, an operator that TensorFlow Lite Micro lacks, an arena beyond a gigabyte.
        ParityError: the outputs are not TFLite's (`compare_outputs`).
        EngineCrashedError: the interpreter crashed with any arena, or did not end in time.
    """
    version = need_extra("tflite_micro", "the arena of TensorFlow Lite Micro")
    session = open_session(Path(path))
    artifact = session.artifact
    if artifact.format != "tflite":
        raise InputError("not a TFLite file", where=str(path), hint="export it to TFLite first")
    given = list(inputs) if inputs is not None else random_inputs(artifact.inputs, SEED)
    expected = session.run(given)
    with tempfile.TemporaryDirectory(prefix="edgepress-tflm-") as name:
        run = _Run(Path(path).resolve(), Path(name), len(expected), timeout_s)
        run.write_inputs(given)
        arena = run.first()
        smallest_bytes = run.smallest(arena) if smallest else None
        made = run.outputs()
    departures = compare_outputs(made, expected, str(path))
    engine = f"{session.engine} {session.engine_version}"
    return TflmResult(artifact.sha256, version, arena, smallest_bytes, departures, engine)


@dataclass(frozen=True)
class _Run:
    """Processes for one file; `folder` holds inputs and outputs."""

    path: Path
    folder: Path
    count: int
    timeout_s: float

    def write_inputs(self, inputs: Sequence[Array]) -> None:
        """inputs.npz."""
        import numpy as np

        named: dict[str, Any] = {f"input_{i}": value for i, value in enumerate(inputs)}
        np.savez(self.folder / "inputs.npz", **named)

    def first(self) -> Arena:
        """What is recorded in an arena that is large enough: ten times the file, then four times as much, ..."""
        size = max(10 * self.path.stat().st_size, 1 << 16)
        while True:
            ended = self._run(size)
            if ended.code == 0:
                return read_arena(ended.err, str(self.path))
            if size >= LARGEST_ARENA or not too_small(ended):
                raise failure(ended, str(self.path), self.timeout_s)
            size = min(4 * size, LARGEST_ARENA)

    def smallest(self, arena: Arena) -> int:
        """By bisection between the activations alone and the recorded total with room for temporary data."""
        high = 2 * arena.total + (64 << 10)
        ended = self._run(high, "--smallest", str(arena.head - 1), str(high))
        if ended.code != 0:
            raise failure(ended, str(self.path), self.timeout_s)
        found = json.loads(ended.out.splitlines()[-1]).get("smallest")
        if found is None:
            raise ToolFailedError(f"no arena up to {high:,} bytes works", where=str(self.path))
        return int(found)

    def outputs(self) -> list[Array]:
        """Arrays of the last run."""
        import numpy as np

        with np.load(self.folder / "outputs.npz", allow_pickle=False) as archive:
            return [archive[f"output_{index}"] for index in range(self.count)]

    def _run(self, arena: int, *more: str) -> Ended:
        names = [str(self.folder / name) for name in ("inputs.npz", "outputs.npz")]
        command = [
            sys.executable,
            "-m",
            MODULE,
            str(self.path),
            str(arena),
            *names,
            str(self.count),
        ]
        return run_child([*command, *more], self.folder, self.timeout_s)


def read_arena(text: str, where: str) -> Arena:
    """The recorded allocation in what the interpreter told on stderr."""
    found = {name: int(size) for name, size in _ALLOCATION.findall(text)}
    if set(found) != {"total", "head", "tail"}:
        raise ToolFailedError(
            "TensorFlow Lite Micro told no allocations: another version of tflite-micro?",
            where=where,
        )
    return Arena(**found)


def too_small(ended: Ended) -> bool:
    """Whether a run may have ended for want of arena: it said so, or memory was overrun."""
    overrun = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)
    return ended.code in overrun or bool(_MISSING.search(ended.err))


def failure(ended: Ended, where: str, timeout_s: float) -> InputError | ToolFailedError:
    """What a process that did not end well means."""
    operator = _OPERATOR.search(ended.err)
    if operator:
        return InputError(
            f"TensorFlow Lite Micro has no operator {operator[1] or operator[2]}",
            where=where,
            hint="leave it out of the network, or run the file in TFLite",
        )
    if ended.code is None:
        return EngineCrashedError(
            f"TensorFlow Lite Micro did not end within {timeout_s:g} s", where=where
        )
    if too_small(ended):
        return InputError(
            f"TensorFlow Lite Micro fails with an arena of {LARGEST_ARENA:,} bytes: {ended.last_words}",
            where=where,
        )
    if ended.code < 0:
        name = signal.Signals(-ended.code).name
        return EngineCrashedError(f"TensorFlow Lite Micro was ended by {name}", where=where)
    told = [line.strip() for line in ended.err.split("Traceback")[0].splitlines() if line.strip()]
    said = " / ".join(told[-3:])[:600] or ended.last_words
    return InputError(f"TensorFlow Lite Micro refuses the file: {said}", where=where)


def compare_outputs(made: Sequence[Array], expected: Sequence[Array], where: str) -> Departures:
    """Count what differs; `ParityError` where the outputs are not those of the same network.

    Kernels of two engines round some operators differently, by one step; later layers can make that many steps
    (ResNet-8 of MLPerf Tiny: 27 between this and tflite-runtime, 42 between this and LiteRT, on real images). So
    outputs that are further apart than rounding must still follow TFLite's: a correlation of `FOLLOWS` or more.
    """
    import numpy as np

    count, largest = 0, 0.0
    for index, (mine, theirs) in enumerate(zip(made, expected, strict=True)):
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            raise ParityError(
                f"output {index} is {mine.dtype} {mine.shape}, in TFLite {theirs.dtype} {theirs.shape}",
                where=where,
            )
        a, b = mine.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
        apart = np.abs(a - b)
        scale = float(np.max(np.abs(b), initial=0.0))
        rounding = 1.0 if mine.dtype.kind in "iub" else 1e-5 * max(1.0, scale)
        worst = float(np.max(apart, initial=0.0))
        if not worst <= rounding and not _correlation(a, b) >= FOLLOWS:
            raise ParityError(
                f"output {index} is not TFLite's: up to {worst:g} apart",
                where=where,
                hint="no arena is given for a wrong result",
            )
        count += int(np.count_nonzero(apart > (0.0 if mine.dtype.kind in "iub" else rounding)))
        largest = max(largest, worst)
    return Departures(count, sum(value.size for value in expected), largest)


def _correlation(a: Array, b: Array) -> float:
    """Pearson's; 0 where one of them does not vary, NaN where values are not finite."""
    import numpy as np

    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm != 0 else 0.0
