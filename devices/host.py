"""Time a file on this machine: fresh processes, evidence "host". It says nothing about any device.

measurement = measure_host(Path("model.tflite"), "litert", processes=5)
both = interleave((old, new), "litert")      # baseline and candidate in turn: A B B A A B ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..runtime.time_file import ProcessTiming
from ..runtime.timing import TimingPlan
from .conditions import conditions, doubts, fingerprint
from .host_process import run_process
from .measurement import Evidence, Measurement
from .process_rows import check_engines, check_processes, order_of_arms, summarise_rows
from .statistics import Comparison, compare, seed_of

DEVICE = "host"


class Progress(Protocol):
    """Told how far a measurement is."""

    def stage(self, name: str, total: int) -> None:
        """A part of `total` steps begins."""

    def advance(self, count: int = 1, **facts: object) -> None:
        """`count` steps are done."""


@dataclass(frozen=True)
class Interleaved:
    """Two files measured in turn, and what their processes say about the ratio."""

    base: Measurement
    candidate: Measurement
    comparison: Comparison


def measure_host(
    path: Path,
    engine: str | None = None,
    threads: int = 1,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    plan: TimingPlan | None = None,
    inputs: Path | None = None,
) -> Measurement:
    """Latency, load time and memory of one file in `processes` fresh processes.

    `latency_ms` is the median of the processes' medians; tails are there only with enough samples.

    Args:
        inputs: .npz with one array per input; seeded random values if None.

    Raises:
        InputError: the file is refused, or a process crashed (`EngineCrashedError`).
        UsageError, MissingToolError: the engine does not fit or is missing.
    """
    check_processes(processes)
    before = conditions()
    if progress:
        progress.stage(f"time {Path(path).name}", processes)
    rows = []
    for _ in range(processes):
        rows.append(run_process(path, engine, threads, plan, inputs))
        if progress:
            progress.advance(median_ms=rows[-1].timing.median_ms)
    return _measurement(rows, before, conditions())


def interleave(
    paths: tuple[Path, Path],
    engine: str | None = None,
    threads: int = 1,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    plan: TimingPlan | None = None,
    inputs: Path | None = None,
) -> Interleaved:
    """Compare (baseline, candidate): `processes` each, in the order A B B A A B B A ...

    Neighbours form pairs, which the bootstrap resamples together.

    Raises:
        UsageError: the two run in different engines, so their numbers do not compare.
        InputError: see `measure_host`.
    """
    check_processes(processes)
    before = conditions()
    if progress:
        names = " and ".join(Path(p).name for p in paths)
        progress.stage(f"time {names} in turn", 2 * processes)
    arms: tuple[list[ProcessTiming], list[ProcessTiming]] = ([], [])
    for number, arm in enumerate(order_of_arms(processes)):
        arms[arm].append(run_process(paths[arm], engine, threads, plan, inputs))
        if progress:
            progress.advance(median_ms=arms[arm][-1].timing.median_ms)
        if number == 1:  # before minutes are spent on numbers that do not compare
            check_engines(arms[0][0], arms[1][0])
    after = conditions()
    base, candidate = (_measurement(rows, before, after) for rows in arms)
    base.comparable_with(candidate)
    seed = seed_of(base.artifact_sha256, candidate.artifact_sha256)
    samples = [measurement.samples["latency_ms"] for measurement in (base, candidate)]
    return Interleaved(base, candidate, compare(*samples, seed=seed, paired=True))


def _measurement(
    rows: Sequence[ProcessTiming], before: dict[str, str], after: dict[str, str]
) -> Measurement:
    first, summary = rows[0], summarise_rows(rows)
    return Measurement(
        artifact_sha256=first.artifact_sha256,
        evidence=Evidence.HOST,
        device=DEVICE,
        fingerprint={**fingerprint(), "python": first.python, "numpy": first.numpy},
        engine=first.engine,
        engine_version=first.engine_version,
        threads=first.threads,
        values=summary.values,
        samples=summary.samples,
        conditions_before=before,
        conditions_after=after,
        notes=(*summary.notes, *doubts(before, after)),
    )
