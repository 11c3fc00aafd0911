"""Numbers for verdicts: the looks of a sequential comparison, intervals, and the exact rank test.

The unit is the process, as everywhere (devices/statistics.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...devices.statistics import (
    LEVEL,
    bootstrap,
    bootstrap_location,
    seed_of,
    self_ratio,
)
from ...runtime.errors import UsageError
from .records import Change, Entry

MOST_EXACT = 40
"""Processes per arm up to which the rank test's distribution is counted out."""


@dataclass(frozen=True)
class Looks:
    """A sequential plan: look after so many processes per arm; the error probability is shared out evenly.

    Splitting alpha over the looks (Bonferroni) keeps the probability of any false alarm at alpha.
    """

    counts: tuple[int, ...]

    @property
    def level(self) -> float:
        """Level of the interval at each look."""
        return 1.0 - (1.0 - LEVEL) / len(self.counts)


def looks(processes: int, most: int) -> Looks:
    """`processes`, twice that, ... up to `most` (5, 10, 15)."""
    counts = list(range(processes, most + 1, processes)) or [processes]
    if counts[-1] < most:
        counts.append(most)
    return Looks(tuple(counts))


def change_of(base: Entry, candidate: Entry, level: float, paired: bool) -> Change:
    """Ratio of two statistical entries with its interval; the seed comes from the files' hashes."""
    seed = seed_of(base.model_sha256, candidate.model_sha256)
    first, second = base.values(), candidate.values()
    pairs = paired and len(first) == len(second)
    low, high = bootstrap(first, second, seed=seed, paired=pairs, level=level)
    return Change(
        ratio=candidate.location / base.location,
        low=low,
        high=high,
        level=level,
        ratio_best=best(candidate) / best(base),
        self_ratio=self_ratio(first),
    )


def best(entry: Entry) -> float:
    """The smallest sample of all processes."""
    return min(process.min for process in entry.processes)


def location_interval(entry: Entry, level: float = LEVEL) -> tuple[float, float]:
    """Interval of an entry's location."""
    return bootstrap_location(entry.values(), seed=seed_of(entry.model_sha256), level=level)


@dataclass(frozen=True)
class RankTest:
    """Exact two-sided Mann-Whitney U. `p` is None where even the clearest order could not reach alpha."""

    p: float | None
    smallest: float


def mann_whitney(first: Sequence[float], second: Sequence[float], alpha: float) -> RankTest:
    """Do two arms differ, by ranks alone (Mann and Whitney 1947)?

    Ties are ordered the least significant way. With m and n processes no p-value is below 2 / C(m + n, n); the test
    is refused where that exceeds alpha.

    Raises:
        UsageError: more processes than the exact distribution is counted for.
    """
    m, n = len(first), len(second)
    if max(m, n) > MOST_EXACT:
        raise UsageError(f"the exact rank test takes up to {MOST_EXACT} processes, got {max(m, n)}")
    smallest = 2.0 / math.comb(m + n, n)
    if smallest > alpha:
        return RankTest(None, smallest)
    above = sum(a > b for a in first for b in second)
    ties = sum(a == b for a in first for b in second)
    middle = m * n / 2
    low, high = above, above + ties  # every way to order the ties lies between
    u = middle if low <= middle <= high else min((low, high), key=lambda v: abs(v - middle))
    extreme = min(u, m * n - u)
    ways = _ways(m, n)
    tail = sum(count for value, count in enumerate(ways) if value <= extreme)
    return RankTest(min(1.0, 2.0 * tail / math.comb(m + n, n)), smallest)


@functools.cache
def _ways(m: int, n: int) -> tuple[int, ...]:
    """How many of the orders of m + n values have U = 0, 1, ..., m n (the Gaussian binomial coefficients)."""
    # counts[i][j] = partitions of j into at most i parts of at most n, grown part by part
    table = [[[0] * (m * n + 1) for _ in range(n + 1)] for _ in range(m + 1)]
    for a in range(m + 1):
        for b in range(n + 1):
            if a == 0 or b == 0:
                table[a][b][0] = 1
                continue
            for u in range(m * n + 1):
                with_last = table[a - 1][b][u - b] if u >= b else 0
                table[a][b][u] = with_last + table[a][b - 1][u]
    return tuple(table[m][n])
