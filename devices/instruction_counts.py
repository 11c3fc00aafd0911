"""Executed instructions of one invoke on an emulated board, by class; evidence `emulated`, never milliseconds.

    counts = count_instructions(load_profile("pi5"), Path("m.tflite"), "litert")
    counts.values["instructions"], counts.values["instructions_dot"]

Single-threaded, in one fresh guest process. The guest marks the ends of invokes; the last interval counts (the first
ones hold packing and lazy initialization), less what a mark itself costs, measured in the same process the same way.
What is left of Python is the call of the engine, about a thousand instructions. All invokes are kept in `samples`.
Two runs of an unchanged file differ by less than 0.1 %.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import ParityError, ToolFailedError
from .count_plugin import build_plugin
from .emulate_pi import Request, open_board
from .guest import DEFAULT_TIMEOUT_S, EmulatedBoard, run_guest
from .measurement import Evidence, Measurement
from .places import emulation_folder
from .profile import Profile
from .qemu import Emulator

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CLASSES = ("load", "store", "branch", "dot", "smlal", "fmla", "cnt")

KERNELS = {
    "instructions_dot": "int8 dot product (sdot, udot)",
    "instructions_smlal": "int8 widening multiply (smull, smlal)",
    "instructions_fmla": "float multiply-add (fmla)",
    "instructions_cnt": "binary popcount (cnt)",
}
"""What an executed class tells of the kernels that ran."""


@dataclass(frozen=True)
class Intervals:
    """Counts between marks: `invokes` one row each, `marker` what a mark costs."""

    marker: Mapping[str, int]
    invokes: tuple[Mapping[str, int], ...]

    def of_invoke(self, index: int, name: str) -> float:
        """Count of one class in one invoke, less the marker's."""
        return float(max(self.invokes[index][name] - self.marker[name], 0))


def count_instructions(
    profile: Profile,
    file: Path,
    engine: str | None = None,
    inputs: Sequence[Array] | None = None,
    *,
    expected: Sequence[Array] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    emulator: Emulator | None = None,
) -> Measurement:
    """Instructions of one invoke.

    Args:
        profile: a Linux board that was set up (`emulate_pi.setup`).
        file: ONNX or TFLite.
        engine: None for the format's first.
        inputs: as `Session.run` takes them; seeded random values if None.
        expected: outputs that the board must give: integers exactly, floats within 1e-5.
        timeout_s: seconds of wall clock.
        emulator: another QEMU than the one on the search path.

    Raises:
        MissingToolError: this QEMU cannot count, says why.
        ParityError: the outputs are not those expected: no number is given for a wrong result.
        EngineCrashedError, InputError, UsageError, ToolFailedError: see `run_emulated`.
    """
    board = open_board(profile, emulator)
    plugin = build_plugin(emulation_folder(), board.emulator)
    with tempfile.TemporaryDirectory(prefix="edgepress-guest-") as name:
        folder = Path(name)
        request = Request.make("count", file, engine, inputs, folder)
        out = folder / "counts.jsonl"
        asked, counter = request.arguments, f"{plugin},out={out}"
        told = run_guest(board, asked, folder, timeout_s=timeout_s, plugin=counter)
        if expected is not None:
            _same(request.outputs(), expected, f"{file} on {board.name} (emulated)")
        marks = told["marks"]
        intervals = read_intervals(out.read_text("utf-8"), marks["markers"], marks["invokes"])
    return _measurement(profile, board, told, intervals)


def read_intervals(text: str, markers: int, invokes: int) -> Intervals:
    """Counts between the marks of a plugin's file (`count_plugin.c`: one JSON line a mark, counters so far).

    Raises:
        ToolFailedError: marks are missing.
    """
    try:
        rows = [json.loads(line) for line in text.splitlines()]
        marked = {row["mark"]: row for row in rows if row["mark"] >= 0}
        ordered = [marked[number] for number in range(markers + invokes)]
    except (ValueError, KeyError, TypeError) as error:
        raise ToolFailedError(
            f"the counting plugin saw not all {markers + invokes} marks", where="count_plugin.c"
        ) from error
    names = ("total", *CLASSES)
    steps = [
        {name: after[name] - before[name] for name in names}
        for before, after in zip(ordered, ordered[1:], strict=False)
    ]
    return Intervals(marker=steps[markers - 2], invokes=tuple(steps[markers - 1 :]))


def kernels_that_ran(values: Mapping[str, float]) -> tuple[str, ...]:
    """The kinds of kernels that executed, in words, with their instruction counts."""
    return tuple(
        f"{text}: {values[name]:,.0f} instructions"
        for name, text in KERNELS.items()
        if values.get(name, 0) > 0
    )


def _measurement(
    profile: Profile, board: EmulatedBoard, told: dict[str, Any], intervals: Intervals
) -> Measurement:
    values = {"instructions": intervals.of_invoke(-1, "total")}
    values |= {f"instructions_{name}": intervals.of_invoke(-1, name) for name in CLASSES}
    each = [intervals.of_invoke(index, "total") for index in range(len(intervals.invokes))]
    emulator = board.emulator
    return Measurement(
        artifact_sha256=str(told["artifact_sha256"]),
        evidence=Evidence.EMULATED,
        device=board.name,
        fingerprint={
            "cpu": board.cpu,
            "python": str(told["python"]),
            "numpy": str(told["numpy"]),
            "libc": str(told["libc"]),
        },
        engine=str(told["engine"]),
        engine_version=str(told["engine_version"]),
        threads=int(told["threads"]),
        values=values,
        samples={"instructions": [each]},
        conditions_before={
            "emulator": f"QEMU {emulator.text}, plugin interface {emulator.plugin_interface}",
            "marker_instructions": str(intervals.marker["total"]),
        },
        notes=(*kernels_that_ran(values), *stand_in(profile)),
    )


def stand_in(profile: Profile) -> tuple[str, ...]:
    """Says where another core than the device's own was emulated."""
    emulation, core = profile.emulation, profile.main_core.name
    if emulation is None or emulation.stand_in is None or emulation.user_cpu is None:
        return ()
    return (f"counted on a {emulation.user_cpu.text}, which stands in for the {core}",)


def _same(given: Sequence[Array], expected: Sequence[Array], where: str) -> None:
    """Raise `ParityError` naming the first output that departs."""
    import numpy as np

    if len(given) != len(expected):
        raise ParityError(f"{len(given)} outputs, expected {len(expected)}", where=where)
    for index, (mine, theirs) in enumerate(zip(given, expected, strict=True)):
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            raise ParityError(
                f"output {index} is {mine.dtype} {mine.shape}, expected {theirs.dtype} {theirs.shape}",
                where=where,
            )
        exact = mine.dtype.kind in "iub"
        # Floats differ in the last bits between x86-64 and AArch64 (another order of sums, fused multiply-add).
        same = (
            np.array_equal(mine, theirs)
            if exact
            else np.allclose(mine, theirs, rtol=1e-5, atol=1e-6)
        )
        if not same:
            worst = float(np.max(np.abs(mine.astype(np.float64) - theirs.astype(np.float64))))
            raise ParityError(f"output {index} departs by up to {worst:g}", where=where)
