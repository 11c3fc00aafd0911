"""Time a file on this machine: fresh processes, evidence "host". It says nothing about any device.

measurement = measure_host(Path("model.tflite"), "litert", processes=5)
both = interleave((old, new), "litert")      # baseline and candidate in turn: A B B A A B ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..runtime.errors import UsageError
from ..runtime.time_file import ProcessTiming
from ..runtime.timing import TimingPlan
from .conditions import conditions, doubts, fingerprint
from .host_process import run_process
from .measurement import Evidence, Measurement
from .statistics import ArmSummary, Comparison, compare, seed_of, summarise_arm

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
    _check_processes(processes)
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
    _check_processes(processes)
    before = conditions()
    if progress:
        names = " and ".join(Path(p).name for p in paths)
        progress.stage(f"time {names} in turn", 2 * processes)
    arms: tuple[list[ProcessTiming], list[ProcessTiming]] = ([], [])
    for number in range(processes):
        for arm in (0, 1) if number % 2 == 0 else (1, 0):
            arms[arm].append(run_process(paths[arm], engine, threads, plan, inputs))
            if progress:
                progress.advance(median_ms=arms[arm][-1].timing.median_ms)
        if number == 0:  # before minutes are spent on numbers that do not compare
            _check_engines(arms[0][0], arms[1][0])
    after = conditions()
    base, candidate = (_measurement(rows, before, after) for rows in arms)
    base.comparable_with(candidate)
    seed = seed_of(base.artifact_sha256, candidate.artifact_sha256)
    samples = [measurement.samples["latency_ms"] for measurement in (base, candidate)]
    return Interleaved(base, candidate, compare(*samples, seed=seed, paired=True))


def _check_processes(processes: int) -> None:
    if processes < 1:
        raise UsageError(f"{processes} processes asked for", hint="use 1 or more, 5 to compare")


def _check_engines(base: ProcessTiming, candidate: ProcessTiming) -> None:
    if base.engine != candidate.engine:
        raise UsageError(
            f"the files run in different engines ({base.engine} and {candidate.engine})",
            hint="compare files of one format, or profile them one by one",
        )


def _measurement(
    rows: Sequence[ProcessTiming], before: dict[str, str], after: dict[str, str]
) -> Measurement:
    first = rows[0]
    samples = [list(row.timing.samples_ms) for row in rows]
    arm = summarise_arm(samples)
    timings = [row.timing for row in rows]
    values = {
        "latency_ms": arm.location,
        "latency_p90_ms": float(np.median([p.p90 for p in arm.processes])),
        **_tail(arm, first.timing.batch_k),
        "first_invoke_ms": float(np.median([t.first_invoke_ms for t in timings])),
        "load_ms": float(np.median([t.load_ms for t in timings])),
        "file_bytes": float(first.file_bytes),
    }
    peak = max(t.peak_rss_bytes for t in timings)
    if peak:
        values["peak_rss_bytes"] = float(peak)
    return Measurement(
        artifact_sha256=first.artifact_sha256,
        evidence=Evidence.HOST,
        device=DEVICE,
        fingerprint={**fingerprint(), "python": first.python, "numpy": first.numpy},
        engine=first.engine,
        engine_version=first.engine_version,
        threads=first.threads,
        values=values,
        samples={
            "latency_ms": samples,
            "first_invoke_ms": [[t.first_invoke_ms] for t in timings],
            "load_ms": [[t.load_ms] for t in timings],
        },
        conditions_before=before,
        conditions_after=after,
        notes=(*_notes(rows, arm), *doubts(before, after)),
    )


def _tail(arm: ArmSummary, batch_k: int) -> dict[str, float]:
    """The 99th percentile where every process has the samples for it and they are single invokes."""
    tails = [process.p99 for process in arm.processes if process.p99 is not None]
    if batch_k > 1 or len(tails) < len(arm.processes):
        return {}
    return {"latency_p99_ms": float(np.median(tails))}


def _notes(rows: Sequence[ProcessTiming], arm: ArmSummary) -> list[str]:
    medians = arm.medians
    said = [
        f"medians of {len(medians)} processes {min(medians):.4g} to {max(medians):.4g} ms "
        f"(largest over smallest {max(medians) / min(medians):.3f}, typical distance from the "
        f"middle {arm.spread:.1%})"
    ]
    if len(medians) < 5:
        said.append(f"{len(medians)} processes: too few to say whether something became slower")
    batches = sorted({row.timing.batch_k for row in rows})
    if batches[-1] > 1:
        said.append(
            f"one invoke is too short to time: samples are means of {batches[0]} to {batches[-1]} "
            "invokes, percentiles are those of the means"
        )
    unsteady = sum(not row.timing.steady for row in rows)
    if unsteady:
        said.append(f"{unsteady} of {len(rows)} processes did not become steady in the warm-up")
    return said
