"""Which of two files is faster, told from repeated processes. Seeded, numpy only.

The unit of replication is the process: samples inside one share their memory layout, their
neighbours and their clock frequency, and a test on them finds differences between two runs of the
same file. So every process counts with one number, its median.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import InputError

Array = NDArray[Any]

RESAMPLES = 2000
LEVEL = 0.95
_SAMPLES_FOR_P95 = 100
_SAMPLES_FOR_P99 = 500


@dataclass(frozen=True)
class ProcessSummary:
    """One process in ms. `mad` is 1.4826 x the median distance from the median; tails only where
    there are enough samples (100 and 500)."""

    n: int
    minimum: float
    median: float
    p90: float
    mad: float
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class ArmSummary:
    """All processes of one file. `location` is the median of their medians, `best` the smallest
    sample, `spread` the median relative distance of their medians from the location."""

    processes: tuple[ProcessSummary, ...]
    location: float
    best: float
    spread: float

    @property
    def medians(self) -> tuple[float, ...]:
        """The processes' medians in order."""
        return tuple(process.median for process in self.processes)


@dataclass(frozen=True)
class Comparison:
    """Candidate over baseline: above 1 is slower.

    `low` and `high` bound the ratio of locations with 95 % confidence (percentile bootstrap over
    processes); `ratio_best` compares the smallest samples. `self_ratio` compares two halves of the
    baseline with each other: what noise alone does.
    """

    base: ArmSummary
    candidate: ArmSummary
    ratio: float
    low: float
    high: float
    ratio_best: float
    self_ratio: float
    paired: bool
    seed: int


def summarise_process(samples: Sequence[float]) -> ProcessSummary:
    """Summary of one process's samples.

    Raises:
        InputError: no samples, or one that is no positive number.
    """
    values = np.asarray(samples, np.float64)
    if not values.size:
        raise InputError("a process gave no samples")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError("a sample is zero, negative, infinite or not a number")
    median = float(np.median(values))
    return ProcessSummary(
        n=values.size,
        minimum=float(values.min()),
        median=median,
        p90=float(np.percentile(values, 90)),
        mad=1.4826 * float(np.median(np.abs(values - median))),
        p95=float(np.percentile(values, 95)) if values.size >= _SAMPLES_FOR_P95 else None,
        p99=float(np.percentile(values, 99)) if values.size >= _SAMPLES_FOR_P99 else None,
    )


def summarise_arm(processes: Sequence[Sequence[float]]) -> ArmSummary:
    """Summary of all processes of one file, given their samples.

    Raises:
        InputError: no processes, or bad samples.
    """
    if not processes:
        raise InputError("nothing was measured")
    rows = tuple(summarise_process(samples) for samples in processes)
    medians = np.array([row.median for row in rows])
    location = float(np.median(medians))
    return ArmSummary(
        processes=rows,
        location=location,
        best=min(row.minimum for row in rows),
        spread=float(np.median(np.abs(medians - location))) / location,
    )


def compare(
    base: Sequence[Sequence[float]],
    candidate: Sequence[Sequence[float]],
    *,
    seed: int,
    paired: bool = False,
) -> Comparison:
    """Compare two files from the samples of their processes.

    Args:
        seed: of the bootstrap; take `seed_of` of the files' hashes, so that it can be repeated.
        paired: process i of one arm ran beside process i of the other; they are resampled together.

    Raises:
        InputError: bad samples, or pairs of unequal number.
    """
    first, second = summarise_arm(base), summarise_arm(candidate)
    low, high = bootstrap(first.medians, second.medians, seed=seed, paired=paired)
    return Comparison(
        base=first,
        candidate=second,
        ratio=second.location / first.location,
        low=low,
        high=high,
        ratio_best=second.best / first.best,
        self_ratio=self_ratio(first.medians),
        paired=paired,
        seed=seed,
    )


def bootstrap(
    base: Sequence[float],
    candidate: Sequence[float],
    *,
    seed: int,
    paired: bool,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Interval of median(candidate) / median(base) over resampled processes, 95 % unless told.

    The percentile bootstrap (Efron 1979) is narrow for few processes: with one per arm it has no
    width at all. So a verdict also wants a minimum effect and a minimum number of processes.

    Raises:
        InputError: pairs of unequal number.
    """
    if paired and len(base) != len(candidate):
        raise InputError(f"{len(base)} and {len(candidate)} processes cannot be pairs")
    random = np.random.default_rng(seed)
    a, b = np.asarray(base, np.float64), np.asarray(candidate, np.float64)
    rows = random.integers(0, a.size, (RESAMPLES, a.size))
    others = rows if paired else random.integers(0, b.size, (RESAMPLES, b.size))
    ratios = np.median(b[others], axis=1) / np.median(a[rows], axis=1)
    return _middle(ratios, level)


def bootstrap_location(
    values: Sequence[float], *, seed: int, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of the median of one arm's processes, as `bootstrap`."""
    random = np.random.default_rng(seed)
    a = np.asarray(values, np.float64)
    return _middle(np.median(a[random.integers(0, a.size, (RESAMPLES, a.size))], axis=1), level)


def _middle(values: Array, level: float) -> tuple[float, float]:
    """The percentiles that leave `level` of the values between them."""
    outside = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [outside, 100.0 - outside])
    return float(low), float(high)


def self_ratio(medians: Sequence[float]) -> float:
    """Ratio of the medians of every second process to those between; NaN for one process.

    Of three it is the worst two over the best two, of two the worse over the better.
    """
    if len(medians) < 2:
        return math.nan
    if len(medians) < 4:
        ordered, part = sorted(medians), len(medians) - 1
        return float(np.median(ordered[-part:]) / np.median(ordered[:part]))
    return float(np.median(medians[1::2]) / np.median(medians[::2]))


def seed_of(*hashes: str) -> int:
    """A seed from content hashes, the same for either order of the arms."""
    return int(hashlib.sha256("|".join(sorted(hashes)).encode()).hexdigest()[:12], 16)
