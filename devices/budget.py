"""What a file may cost on a device: limits per metric, absolute or against a baseline."""

from __future__ import annotations

from dataclasses import dataclass

STATISTICS = ("median", "min", "p90")
"""What one process counts with; the processes' median of it is compared."""


@dataclass(frozen=True)
class Limit:
    """One metric's limit, in the metric's unit.

    `at_most` and `at_least` are absolute. `max_regression` is a share of the baseline (0.05 is 5 %), `max_drop` a
    difference in the metric's own unit (points of accuracy). None: not limited that way.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    max_regression: float | None = None
    max_drop: float | None = None
    statistic: str = "median"

    @property
    def relative(self) -> bool:
        """True if a baseline is needed."""
        return self.max_regression is not None or self.max_drop is not None

    @property
    def absolute(self) -> bool:
        """True if the value alone is limited."""
        return self.at_most is not None or self.at_least is not None


@dataclass(frozen=True)
class Budget:
    """All limits of one device."""

    device: str
    limits: tuple[Limit, ...]

    def of(self, metric: str) -> Limit | None:
        """The limit of a metric, None if there is none."""
        return next((limit for limit in self.limits if limit.metric == metric), None)
