"""Steps in a series of numbers: a piecewise-constant fit, so that slow creep does not hide below each tolerance.

The fit minimises the weighted absolute distance from the segments' medians for every number of segments (dynamic
programming), and takes the number with the least  4 k ln(n) / n + ln(sigma0 + sigma), sigma the mean distance: the
criterion of airspeed velocity's step detection (its documentation, "Step detection").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 300
MOST_SEGMENTS = 20
_PENALTY = 4.0
_RESOLUTION = 1e-3
"""Share of the median below which distances count as none."""


@dataclass(frozen=True)
class Segment:
    """Points `start` to `end` (excluded) lie around `level`."""

    start: int
    end: int
    level: float


def segments(
    values: Sequence[float], weights: Sequence[float] | None = None
) -> tuple[Segment, ...]:
    """The fit of a series; of a long one the last `MOST_POINTS` (indices still count from its start).

    Args:
        weights: larger where a value is surer; all equal by default.
    """
    skipped = max(len(values) - MOST_POINTS, 0)
    y = np.asarray(values[skipped:], np.float64)
    if not y.size:
        return ()
    w = np.ones(y.size) if weights is None else np.asarray(weights[skipped:], np.float64)
    w = w / w.mean()
    costs, levels = _segment_costs(y, w)
    best, cuts = _fits(costs, min(MOST_SEGMENTS, y.size))
    floor = _RESOLUTION * max(float(np.median(np.abs(y))), 1e-300)
    n = y.size
    score = [
        _PENALTY * k * math.log(max(n, 2)) / n + math.log(floor + cost / n)
        for k, cost in enumerate(best, 1)
    ]
    found, end = [], n
    for k in range(int(np.argmin(score)) + 1, 0, -1):
        start = int(cuts[k - 1][end])
        found.append(Segment(start + skipped, end + skipped, float(levels[start, end])))
        end = start
    return tuple(reversed(found))


def last_step_up(
    found: Sequence[Segment], tolerance: float, *, higher_is_better: bool = False
) -> tuple[Segment, Segment] | None:
    """The last two neighbours where it became worse by more than `tolerance` (a share), None if nowhere."""
    for before, after in reversed(list(zip(found, found[1:], strict=False))):
        worse = before.level - after.level if higher_is_better else after.level - before.level
        if worse > tolerance * abs(before.level):
            return before, after
    return None


def _segment_costs(
    y: NDArray[np.float64], w: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(cost, weighted median) of every segment [start, end); infinite where there is none."""
    n = y.size
    costs, levels = np.full((n + 1, n + 1), np.inf), np.zeros((n + 1, n + 1))
    order = np.argsort(y, kind="stable")
    for start in range(n):
        inside = order[order >= start]
        for end in range(start + 1, n + 1):
            part = inside[inside < end]
            cumulated = np.cumsum(w[part])
            level = y[part[np.searchsorted(cumulated, cumulated[-1] / 2)]]
            levels[start, end] = level
            costs[start, end] = float(np.sum(w[start:end] * np.abs(y[start:end] - level)))
    return costs, levels


def _fits(costs: NDArray[np.float64], most: int) -> tuple[list[float], list[NDArray[np.int64]]]:
    """(least cost with 1, 2, ... segments, where the last of them starts for every end)."""
    n = costs.shape[0] - 1
    row, cuts = costs[0].copy(), [np.zeros(n + 1, np.int64)]
    best = [float(row[n])]
    for _ in range(1, most):
        total = row[:, None] + costs
        cuts.append(np.argmin(total, axis=0))
        row = total[cuts[-1], np.arange(n + 1)]
        best.append(float(row[n]))
    return best, cuts
