"""Range observers: from the values of a tensor (or a class of tied tensors) to the range [low, high] int8 covers.

All five share one interface: `observe` one sample's tensors, `merge` another observer of the same kind, `range`.
They need O(1) memory in the number of samples and give the same range every time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import UsageError
from .histogram import Histogram

Array = NDArray[Any]
Range = tuple[float, float]

OBSERVERS = ("minmax", "moving-average", "percentile", "entropy", "mse")
"""Names `make_observer` takes."""

PERCENTILE = 99.999
MOVING_AVERAGE = 0.01

_SIGNED_LEVELS, _UNSIGNED_LEVELS = 128, 256
_GRID = 100
_SMOOTHING = 1e-4  # of Q's mass goes to a bin that is empty in Q but not in P
_PARTS = 8  # of the candidates of the entropy search: a part at a time fits the cache
_QMIN, _LEVELS = -128, 255


class Observer(ABC):
    """What every range observer offers."""

    name: str

    @abstractmethod
    def observe(self, *tensors: Array) -> None:
        """Take in one sample: all tensors of one class, finite values of any shape."""

    @abstractmethod
    def range(self) -> Range:
        """(low, high) that the integers should cover; (0, 0) if nothing but zeros came."""


class MinMax(Observer):
    """The extremes ever seen."""

    name = "minmax"

    def __init__(self) -> None:
        self.low, self.high = float("inf"), float("-inf")

    def observe(self, *tensors: Array) -> None:
        """Widen the range."""
        low, high = _extremes(tensors)
        self.low, self.high = min(self.low, low), max(self.high, high)

    def merge(self, other: MinMax) -> None:
        """As if this observer had seen what `other` saw."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def range(self) -> Range:
        """(smallest, largest) value."""
        return (self.low, self.high) if self.low <= self.high else (0.0, 0.0)


class MovingAverageMinMax(Observer):
    """m <- (1 - c) m + c min(sample), likewise for the maximum; starts at the first sample.

    Forgets nothing but weighs little: with few samples it lies inside the true range, so outputs get clipped.
    The planner therefore never uses it for a model's outputs.
    """

    name = "moving-average"

    def __init__(self, constant: float = MOVING_AVERAGE):
        if not 0.0 < constant <= 1.0:
            raise UsageError(f"the moving average's constant is {constant}", hint="0 < c <= 1")
        self.constant = constant
        self.samples = 0
        self._first: Array = np.zeros(2)
        self._mean: Array = np.zeros(2)

    def observe(self, *tensors: Array) -> None:
        """One step of the average, over the extremes of all `tensors`."""
        extremes = np.asarray(_extremes(tensors), np.float64)
        if not self.samples:
            self._first = self._mean = extremes
        else:
            self._mean = self._mean + self.constant * (extremes - self._mean)
        self.samples += 1

    def merge(self, other: MovingAverageMinMax) -> None:
        """As if `other`'s samples had come after this observer's own.

        b's average starts at its first sample b_0 where the joint one stands at m_a, and n_b steps later that
        difference has shrunk to (1 - c)^n_b of itself:  m = m_b + (1 - c)^n_b (m_a - b_0).
        """
        if not other.samples:
            return
        if not self.samples:
            self._first, self._mean = other._first, other._mean
        else:
            weight = (1.0 - self.constant) ** other.samples
            self._mean = other._mean + weight * (self._mean - other._first)
        self.samples += other.samples

    def range(self) -> Range:
        """The averaged extremes."""
        return float(self._mean[0]), float(self._mean[1])


class HistogramObserver(Observer):
    """Base of observers that decide on a histogram; several may look at the same one."""

    def __init__(self, histogram: Histogram | None = None):
        self.histogram = Histogram() if histogram is None else histogram

    def observe(self, *tensors: Array) -> None:
        """Count all values."""
        for tensor in tensors:
            self.histogram.add(tensor)

    def merge(self, other: HistogramObserver) -> None:
        """As if this observer had seen what `other` saw."""
        self.histogram.merge(other.histogram)

    def _seen(self) -> Range:
        held = self.histogram
        return (held.low, held.high) if held.low <= held.high else (0.0, 0.0)


class Percentile(HistogramObserver):
    """The p-th and (100 - p)-th percentile: two tails are cut."""

    name = "percentile"

    def __init__(self, percentile: float = PERCENTILE, histogram: Histogram | None = None):
        super().__init__(histogram)
        if not 50.0 < percentile <= 100.0:
            raise UsageError(f"the percentile is {percentile}", hint="50 < percentile <= 100")
        self.percentile = percentile

    def range(self) -> Range:
        """(quantile of 1 - p/100, quantile of p/100); the exact extremes for p = 100."""
        if self.percentile >= 100.0 or not self.histogram.width:
            return self._seen()
        share = self.percentile / 100.0
        return self.histogram.quantile(1.0 - share), self.histogram.quantile(share)


class Entropy(HistogramObserver):
    """The threshold T on |x| that loses least information (Migacz, 8-bit inference with TensorRT, 2017).

    For i = L .. B bins: P = the first i bins with all the mass beyond added to the last; Q = the first i bins
    (without that mass) in L nearly equal runs, each run's mass spread over its non-empty bins; empty Q under
    non-empty P gets 1e-4 of the others' mass; KL(P || Q). T = (i + 0.5) w at the smallest KL. L = 128 levels
    for tensors with both signs (one side of int8), 256 for tensors without negative values. Exact zeros are
    left out: every T represents them exactly.
    """

    name = "entropy"

    def range(self) -> Range:
        """(-T, T) within the range seen; (0, T) for values without negatives."""
        low, high = self._seen()
        counts = self.histogram.magnitudes().astype(np.float64)
        levels = _UNSIGNED_LEVELS if low >= 0.0 else _SIGNED_LEVELS
        if not self.histogram.width:
            return low, high
        occupied = int(np.flatnonzero(counts)[-1]) + 1
        threshold = (_best_length(counts[:occupied], levels) + 0.5) * self.histogram.width
        return max(low, -threshold), min(high, threshold)


class Mse(HistogramObserver):
    """The share k/100 of the extremes with the least mean (x - fq(x))^2, from bin centres weighted by counts."""

    name = "mse"

    def range(self) -> Range:
        """(k/100)(low, high) of the best k in 1..100."""
        low, high = self._seen()
        if not self.histogram.width:
            return low, high
        occupied = np.flatnonzero(self.histogram.counts)
        centres = self.histogram.centres()[occupied]
        weights = self.histogram.counts[occupied].astype(np.float64)
        errors = [_grid_error(centres, weights, low, high, k / _GRID) for k in range(1, _GRID + 1)]
        share = (int(np.argmin(errors)) + 1) / _GRID
        return share * low, share * high


def make_observer(name: str, **options: Any) -> Observer:
    """A fresh observer by name; options: percentile (of "percentile"), constant (of "moving-average").

    Raises:
        UsageError: unknown name, or an option out of its range.
    """
    kinds: dict[str, type[Observer]] = {
        kind.name: kind for kind in (MinMax, MovingAverageMinMax, Percentile, Entropy, Mse)
    }
    if name not in kinds:
        raise UsageError(f"no observer is called {name!r}", hint=f"one of {', '.join(OBSERVERS)}")
    return kinds[name](**options)


def _extremes(tensors: tuple[Array, ...]) -> Range:
    """Smallest and largest value of all tensors; (0, 0) if they are empty."""
    filled = [tensor for tensor in tensors if tensor.size]
    if not filled:
        return 0.0, 0.0
    return float(min(t.min() for t in filled)), float(max(t.max() for t in filled))


def _grid_error(centres: Array, weights: Array, low: float, high: float, share: float) -> float:
    """Sum of weighted squared errors under the affine parameters of (share * low, share * high)."""
    bottom, top = min(share * low, 0.0), max(share * high, 0.0)
    scale = (top - bottom) / _LEVELS
    zero_point = np.clip(np.rint(_QMIN - bottom / scale), _QMIN, _QMIN + _LEVELS)
    integers = np.clip(np.rint(centres / scale) + zero_point, _QMIN, _QMIN + _LEVELS)
    return float(weights @ np.square(scale * (integers - zero_point) - centres))


def _best_length(counts: Array, levels: int) -> int:
    """Number of bins i whose threshold gives the smallest KL divergence; the largest of equals."""
    divergence = _Divergence(counts, levels)
    lengths = np.arange(min(levels, len(counts)), len(counts) + 1)
    costs = np.concatenate([divergence.of(part) for part in np.array_split(lengths, _PARTS)])
    return int(lengths[len(costs) - 1 - int(np.argmin(costs[::-1]))])


class _Divergence:
    """KL(P || Q) for the first i bins, from running sums, for many i at once.

    With N = sum P, M = sum Q before the smoothing:  N KL = sum p log(p / N) - sum p log(q / M), and all bins of a
    run have the same q = mass / filled bins, so the second sum needs one term a run.
    """

    def __init__(self, counts: Array, levels: int):
        self.counts, self.levels = counts, levels
        self.mass = np.concatenate([[0.0], np.cumsum(counts)])
        self.filled = np.concatenate([[0], np.cumsum(counts > 0)])
        self.entropy = np.concatenate([[0.0], np.cumsum(_x_log(counts, counts))])

    def of(self, i: Array) -> Array:
        """The divergence of every threshold in `i`; infinite where everything would be clipped."""
        total, kept, last = float(self.mass[-1]), self.mass[i], self.counts[i - 1]
        tail = total - kept
        edges = np.arange(self.levels + 1) * i[:, None] // self.levels
        runs = np.diff(self.mass[edges])
        some = np.where(kept > 0.0, kept, 1.0)
        q = runs / np.maximum(np.diff(self.filled[edges]), 1) / some[:, None]
        own = self.entropy[i - 1] + _x_log(last + tail, last + tail)
        crossed = _x_log(runs, q).sum(axis=1)
        clipped = tail * np.log(np.where(last > 0.0, q[:, -1], _SMOOTHING))
        empty = np.where((tail > 0.0) & (last <= 0.0), kept * np.log1p(-_SMOOTHING), 0.0)
        costs = own / total - np.log(total) - (crossed + clipped + empty) / total
        return np.asarray(np.where(kept > 0.0, costs, np.inf))


def _x_log(x: Any, y: Any) -> Any:
    """x log y, 0 where x is 0."""
    return x * np.log(np.where(np.asarray(x) > 0, y, 1.0))
