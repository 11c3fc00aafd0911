"""Measurements of processes -> entries: the numbers that are judged and kept."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...devices.conditions import doubts
from ...devices.measurement import Evidence, Measurement
from ...runtime.errors import UsageError
from . import metrics
from .records import Entry, Estimate, ProcessRow
from .statistics import location_interval

CLOCK_MAY_CHANGE = 0.02
"""A clock that moved by more than this share makes a timing invalid."""


@dataclass(frozen=True)
class Taken:
    """One process's measurement, its turn among both arms and what it took."""

    measurement: Measurement
    order: int = 0
    seconds: float = 0.0


def process_row(
    samples: Sequence[float], order: int = 0, flags: tuple[str, ...] = ()
) -> ProcessRow:
    """Summary of one process's samples, whatever they are: judging comes later (`records.unsound`)."""
    values = np.asarray(samples, np.float64)
    if not values.size:
        return ProcessRow(order, 0, np.nan, np.nan, np.nan, np.nan, flags=flags)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        median = float(np.median(values))
        return ProcessRow(
            order=order,
            n=int(values.size),
            min=float(values.min()),
            median=median,
            p90=float(np.percentile(values, 90)),
            mad=1.4826 * float(np.median(np.abs(values - median))),
            flags=flags,
        )


def with_processes(entry: Entry, rows: Sequence[ProcessRow]) -> Entry:
    """The entry with its location, best, spread and interval from `rows`."""
    values = np.array([row.value(entry.statistic) for row in rows], np.float64)
    sound = np.isfinite(values) & (values > 0)
    if not values.size or not sound.all():
        bad = float(values[~sound][0]) if values.size else np.nan
        return replace(entry, location=bad, processes=tuple(rows), ci95=None, best=None)
    location = float(np.median(values))
    found = replace(
        entry,
        location=location,
        best=min(row.min for row in rows),
        spread=float(np.median(np.abs(values / location - 1.0))),
        processes=tuple(rows),
    )
    return replace(found, ci95=location_interval(found))


def entry_of(model: str, taken: Sequence[Taken], metric: str, statistic: str = "median") -> Entry:
    """The entry of one metric from the measurements of one file.

    Raises:
        UsageError: the processes do not compare with each other, or none gives the metric: says what was noted.
    """
    first = taken[0].measurement
    for other in taken[1:]:
        first.comparable_with(other.measurement)
    if metric not in first.values:
        raise UsageError(
            f"{metric} cannot be had of {model} on {first.device} ({first.evidence})",
            hint="; ".join(first.notes) or f"what can: {', '.join(sorted(first.values))}",
        )
    of_file = first.device == metrics.NO_DEVICE
    entry = Entry(
        model=model,
        model_sha256=first.artifact_sha256,
        device=first.device,
        engine=first.engine,
        engine_version=first.engine_version,
        threads=first.threads,
        evidence=metrics.file_evidence(metric) if of_file else str(first.evidence),
        metric=metric,
        unit=metrics.unit(metric),
        better=metrics.better(metric),
        location=float(first.values[metric]),
        statistic=statistic,
        fingerprint=dict(first.fingerprint),
        notes=tuple(dict.fromkeys(note for t in taken for note in t.measurement.notes)),
        seconds=sum(t.seconds for t in taken),
    )
    if first.evidence == Evidence.ESTIMATED:
        return replace(entry, estimate=_band(first, metric))
    if not metrics.statistical(metric):
        return entry
    rows = [
        _with_state(process_row(samples, t.order, tuple(invalid_reasons(t.measurement))), t)
        for t in taken
        for samples in t.measurement.samples.get(metric) or [[t.measurement.values[metric]]]
    ]
    reasons = dict.fromkeys(reason for row in rows for reason in row.flags)
    return replace(with_processes(entry, rows), invalid=tuple(reasons))


def _with_state(row: ProcessRow, taken: Taken) -> ProcessRow:
    """The row with temperature and clock before and after its process."""
    states = (taken.measurement.conditions_before, taken.measurement.conditions_after)

    def found(key: str, scale: float) -> tuple[float, ...]:
        texts = [state[key] for state in states if key in state]
        return tuple(float(text) / scale for text in texts if text.lstrip("-").isdigit())

    return replace(row, temp_c=found("temperature_millicelsius", 1e3), mhz=found("khz", 1e3))


def _band(measurement: Measurement, metric: str) -> Estimate | None:
    """The band of an estimated latency; None where the estimate has none, as Vela's."""
    ends = [measurement.values.get(name) for name in ("latency_low_ms", "latency_high_ms")]
    low, high = ends
    if metric != "latency_ms" or low is None or high is None:
        return None
    return Estimate((low, high), measurement.fingerprint.get("calibration", ""))


def invalid_reasons(measurement: Measurement) -> list[str]:
    """Why a timing cannot be judged: what the device said, on this machine load, swap, governor and clock."""
    said = list(measurement.invalid)
    if measurement.evidence != Evidence.HOST:
        return said
    before, after = measurement.conditions_before, measurement.conditions_after
    said += doubts(before, after)
    try:
        clocks = [float(state["khz"]) for state in (before, after)]
    except (KeyError, ValueError):
        return said
    if min(clocks) <= 0 or max(clocks) / min(clocks) > 1 + CLOCK_MAY_CHANGE:
        said.append(f"the clock moved from {clocks[0]:g} to {clocks[1]:g} kHz")
    return said
