"""What the processes that timed one file say together, wherever they ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..runtime.errors import UsageError
from ..runtime.time_file import ProcessTiming
from .statistics import ArmSummary, summarise_arm


@dataclass(frozen=True)
class RowsSummary:
    """`values`, `samples` and `notes` as a `Measurement` holds them."""

    values: dict[str, float]
    samples: dict[str, list[list[float]]]
    notes: tuple[str, ...]


def summarise_rows(rows: Sequence[ProcessTiming]) -> RowsSummary:
    """Values, samples and notes of the processes of one file.

    Raises:
        InputError: no processes, or samples that are no positive numbers.
    """
    samples = [list(row.timing.samples_ms) for row in rows]
    arm = summarise_arm(samples)
    first, timings = rows[0], [row.timing for row in rows]
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
    series = {
        "latency_ms": samples,
        "first_invoke_ms": [[t.first_invoke_ms] for t in timings],
        "load_ms": [[t.load_ms] for t in timings],
    }
    return RowsSummary(values, series, tuple(_notes(rows, arm)))


def order_of_arms(processes: int) -> tuple[int, ...]:
    """Baseline (0) and candidate (1) in turn: A B B A A B B A ...; neighbours form pairs."""
    pairs = ((0, 1) if number % 2 == 0 else (1, 0) for number in range(processes))
    return tuple(arm for pair in pairs for arm in pair)


def check_processes(processes: int) -> None:
    """`UsageError` for less than one process."""
    if processes < 1:
        raise UsageError(f"{processes} processes asked for", hint="use 1 or more, 5 to compare")


def check_engines(base: ProcessTiming, candidate: ProcessTiming) -> None:
    """`UsageError` if the two ran in different engines."""
    if base.engine != candidate.engine:
        raise UsageError(
            f"the files run in different engines ({base.engine} and {candidate.engine})",
            hint="compare files of one format, or profile them one by one",
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
