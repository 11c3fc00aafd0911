"""A histogram of a stream of values that never has to know their range beforehand.

Every bin is 2^e wide and starts at a multiple of 2^e, so a larger value only asks for wider bins: e grows and bins
merge pairwise, without rounding. The result depends on the values alone, not on their sequence or on how they were
cut into batches, and two histograms merge exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BINS = 2048
"""Bins on each side of zero; between half and all of them lie within the range seen."""


class Histogram:
    """Counts of values in [k 2^e, (k + 1) 2^e), k = -BINS .. BINS - 1; exact zeros are counted apart.

    `low` and `high` are the exact extremes seen (infinite before the first value).
    """

    def __init__(self) -> None:
        self.counts: Array = np.zeros(2 * BINS, np.int64)
        self.zeros = 0
        self.low, self.high = float("inf"), float("-inf")
        self._exponent: int | None = None

    @property
    def width(self) -> float:
        """Width of a bin; 0 as long as nothing but zeros came."""
        return 0.0 if self._exponent is None else 2.0**self._exponent

    @property
    def total(self) -> int:
        """Number of values seen."""
        return int(self.counts.sum()) + self.zeros

    def add(self, values: Array) -> None:
        """Count all elements; they must be finite."""
        flat = np.asarray(values, np.float32).reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        occupied = int(np.count_nonzero(flat))
        self.zeros += flat.size - occupied
        if not occupied:
            return
        self._widen(_exponent(max(-low, high)))
        if occupied < flat.size:
            flat = flat[flat != 0]
        # Division by a power of two is exact in double precision: floor() finds every value's true bin.
        scaled = np.multiply(flat, 1.0 / self.width, dtype=np.float64)
        index = np.floor(scaled).astype(np.int64) + BINS
        self.counts += np.bincount(index, minlength=2 * BINS)

    def merge(self, other: Histogram) -> None:
        """Take in everything `other` has seen."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.zeros += other.zeros
        if other._exponent is None:
            return
        self._widen(other._exponent)
        assert self._exponent is not None  # by _widen
        self.counts += _halved(other.counts, self._exponent - other._exponent)

    def _widen(self, exponent: int) -> None:
        if self._exponent is None:
            self._exponent = exponent
        elif exponent > self._exponent:
            self.counts = _halved(self.counts, exponent - self._exponent)
            self._exponent = exponent

    def centres(self) -> Array:
        """Middle of every bin, float64."""
        return (np.arange(-BINS, BINS) + 0.5) * self.width

    def magnitudes(self) -> Array:
        """Counts of |x| by bin, BINS of them."""
        return np.asarray(self.counts[BINS:] + self.counts[BINS - 1 :: -1])

    def quantile(self, share: float) -> float:
        """The value below which `share` of all values lie, linear within a bin, within [low, high]."""
        if not self.width:
            return 0.0
        counts = self.counts.astype(np.float64)
        edges = np.arange(-BINS, BINS + 1) * self.width
        # zeros stand between the negative and the positive half: a step at 0
        below = np.concatenate([[0.0], np.cumsum(counts)])
        below[BINS + 1 :] += self.zeros
        wanted = share * (counts.sum() + self.zeros)
        if below[BINS] < wanted <= below[BINS] + self.zeros:
            return 0.0
        if wanted > below[BINS]:
            below[BINS] += self.zeros
        index = int(np.searchsorted(below, wanted, side="left"))
        index = min(max(index, 1), 2 * BINS)
        inside = counts[index - 1]
        part = (wanted - below[index - 1]) / inside if inside else 1.0
        value = edges[index - 1] + min(max(part, 0.0), 1.0) * self.width
        return float(min(max(value, self.low), self.high))


def _exponent(largest: float) -> int:
    """Smallest e with largest < BINS * 2^e, so that even the largest value has a bin; at least -126 + 11."""
    exponent = int(np.frexp(largest)[1]) - (BINS.bit_length() - 1)
    return max(exponent, -115)


def _halved(counts: Array, times: int) -> Array:
    """The counts in bins 2^times as wide; both halves shrink towards zero."""
    factor = 2 ** min(times, BINS.bit_length())
    result = np.zeros_like(counts)
    index = np.arange(-BINS, BINS) // factor + BINS
    np.add.at(result, index, counts)
    return result
