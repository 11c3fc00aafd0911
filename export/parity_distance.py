"""Differences between two streams of arrays, gathered sample by sample so that nothing has to be kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parity_records import Distance

Array = NDArray[Any]

_SLACK = 1e-3
"""Of a step: both values come from float arithmetic, a difference of two steps may read 2.0001."""


class Gauge:
    """Sums up |reference - candidate| over all samples; `step` is the candidate's quantization step, if any."""

    def __init__(self, step: float | None = None, close_steps: float = 2.0):
        self.step = step
        self.close_steps = close_steps
        self.values = 0
        self.total = self.largest = self.magnitude = self.signal = self.noise = 0.0
        self.counts = {"0": 0, "1": 0, "2": 0, "3+": 0}
        self.close = 0
        self.relatives: list[float] = []
        """Per sample, the largest difference over the sample's largest value."""

    def add(self, reference: Array, candidate: Array) -> None:
        """Take one sample in; a wrong shape or NaN counts as infinitely far."""
        a, b = np.asarray(reference, np.float64), np.asarray(candidate, np.float64)
        if a.shape != b.shape:
            self.values += max(a.size, 1)
            self.largest = self.total = self.noise = math.inf
            self.counts["3+"] += max(a.size, 1)
            self.relatives.append(math.inf)
            return
        with np.errstate(invalid="ignore"):
            apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        apart = np.where(np.isnan(apart), math.inf, apart)
        self.values += apart.size
        self.total += float(apart.sum())
        self.noise += float(np.square(apart).sum())
        finite = np.where(np.isfinite(a), a, 0.0)
        self.signal += float(np.square(finite).sum())
        self.magnitude = max(self.magnitude, float(np.abs(finite).max(initial=0.0)))
        largest, size = (float(v.max(initial=0.0)) for v in (apart, np.abs(finite)))
        self.relatives.append(largest / max(size, 1e-6))
        self.largest = max(self.largest, largest)
        if self.step:
            self._count(apart / self.step)

    def _count(self, steps: Array) -> None:
        whole = np.ceil(steps - 0.5)
        for key, hits in (
            ("0", whole <= 0),
            ("1", whole == 1),
            ("2", whole == 2),
            ("3+", whole > 2),
        ):
            self.counts[key] += int(hits.sum())
        self.close += int((steps <= self.close_steps + _SLACK).sum())

    def distance(self) -> Distance:
        """What was gathered."""
        if not self.values:
            return Distance(0, 0.0, 0.0, 0.0)
        mean = self.total / self.values
        has_noise = 0 < self.noise < math.inf and self.signal > 0
        return Distance(
            values=self.values,
            max_abs=self.largest,
            mean_abs=mean,
            relative=self.largest / max(self.magnitude, 1e-6) if self.largest else 0.0,
            sqnr_db=10 * math.log10(self.signal / self.noise) if has_noise else None,
            step=self.step,
            steps=dict(self.counts) if self.step else {},
            close=self.close / self.values if self.step else None,
            mean_steps=mean / self.step if self.step else None,
        )


class Agreement:
    """Share of samples whose largest output has the same index.

    A disagreement does not count as one where the reference's own two values lie within `tolerance` of each
    other: that much the rule on values allows anyway.
    """

    def __init__(self, tolerance: float = 0.0):
        self.tolerance = tolerance
        self.samples = self.same = 0

    def add(self, reference: Array, candidate: Array) -> None:
        """Take one sample in; outputs that are no vector of scores are passed over."""
        a, b = np.asarray(reference).reshape(-1), np.asarray(candidate).reshape(-1)
        if a.size != b.size or np.squeeze(reference).ndim != 1 or a.size < 2:
            return
        self.samples += 1
        top, other = int(a.argmax()), int(b.argmax())
        self.same += top == other or bool(float(a[top]) - float(a[other]) <= self.tolerance)

    def share(self) -> float | None:
        """None where no sample had scores."""
        return self.same / self.samples if self.samples else None
