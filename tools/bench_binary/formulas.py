"""The overall metrics of the six tracks, after BiBench (Qin et al., ICML 2023): quadratic means of ratios.

Every metric is of one operator against the float network: 1 means as good, above 1 better, below 1 worse. The
formulas are ours, made after the description of that benchmark; figures are not comparable with its tables.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

GAP_FLOOR = 1.0
"""Points of accuracy: smaller losses on damaged inputs count as this, or ratios of nearly nothing would rule."""

SPREAD_FLOOR = 0.5
"""Points of accuracy: smaller deviations over settings count as this."""


def quadratic_mean(values: Sequence[float]) -> float:
    """sqrt(mean of squares); of nothing it is not a number."""
    if not values:
        return math.nan
    return math.sqrt(sum(v * v for v in values) / len(values))


def overall_accuracy(pairs: Sequence[tuple[float, float]]) -> float:
    """Learning task and architecture: pairs (A, A_b) of data sets or families -> sqrt(mean (A_b / A)^2)."""
    return quadratic_mean([binary / full for full, binary in pairs if full > 0])


def robustness(
    clean: float,
    damaged: float,
    binary_clean: float,
    binary_damaged: float,
    floor: float = GAP_FLOOR,
) -> float:
    """G / G_b for one kind of damage, G = clean - damaged accuracy: above 1 where the binary network loses less."""
    return max(clean - damaged, floor) / max(binary_clean - binary_damaged, floor)


def overall_robustness(ratios: Sequence[float]) -> float:
    """Corruption: quadratic mean of G / G_b over the kinds."""
    return quadratic_mean(ratios)


def sensitivity(
    full: Sequence[float], binary: Sequence[float], floor: float = SPREAD_FLOOR
) -> float:
    """std(A over settings) / std(A_b over settings): above 1 where the binary network depends less on them."""
    if len(full) < 2 or len(binary) < 2:
        return math.nan
    return max(statistics.stdev(full), floor) / max(statistics.stdev(binary), floor)


def overall_pair(first: float, second: float) -> float:
    """Training, complexity, hardware: quadratic mean of the two ratios of the track."""
    return quadratic_mean([first, second])
