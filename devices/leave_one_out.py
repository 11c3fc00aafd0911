"""How wrong an estimate is: every row is predicted from rows that share nothing with what was left out.

`model`: all rows of one network are left out; `board`: all rows of one board; `both`: all rows of one network and all
of one board, and the row where they meet is predicted (a new network on a new board; told, not required).

Nothing of the left-out rows enters a prediction or its band: the width of the band is taken by the same exercise
inside the training rows (nested). The MAC-only model goes through the same folds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .calibration_data import CalibrationSet, Row, target_log
from .latency_fit import Committee, fit_committee
from .latency_model import BASELINE, MEMBERS, Settings

KINDS = ("model", "board", "both")
REQUIRED = ("model", "board")
BAND_LEVEL = 0.9
WIDEST_BAND = 2.0
COVERAGE = (0.85, 0.97)
Fold = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Left:
    """One left-out row: ln(predicted / published) of ours and of MAC-only; the band is x or / `band`."""

    board: str
    software: str
    network: str
    error: float
    baseline_error: float
    band: float

    @property
    def covered(self) -> bool:
        """The published value lies in the band."""
        return abs(self.error) <= math.log(self.band)


@dataclass(frozen=True)
class Judgement:
    """One exercise on one table. Errors are |predicted / published - 1|; `band` is the one of all rows."""

    set_name: str
    kind: str
    left: tuple[Left, ...]
    band: float

    @property
    def median(self) -> float:
        """Median error of ours."""
        return _median([row.error for row in self.left])

    @property
    def baseline_median(self) -> float:
        """Median error of MAC-only."""
        return _median([row.baseline_error for row in self.left])

    @property
    def worst(self) -> float:
        """Largest error of ours."""
        return max(abs(math.expm1(row.error)) for row in self.left)

    @property
    def baseline_worst(self) -> float:
        """Largest error of MAC-only."""
        return max(abs(math.expm1(row.baseline_error)) for row in self.left)

    @property
    def coverage(self) -> float:
        """Part of the left-out rows inside their bands, none of which is wider than `WIDEST_BAND`."""
        return sum(row.covered for row in self.left) / len(self.left)

    @property
    def widest(self) -> float:
        """Widest band of a fold."""
        return max(row.band for row in self.left)

    @property
    def complaints(self) -> tuple[str, ...]:
        """Why no ms may be printed; empty if they may."""
        said = []
        if not self.median < self.baseline_median:
            said.append(
                f"leaving one {self.kind} out, the median error is {self.median:.1%}, that of MACs alone "
                f"{self.baseline_median:.1%}"
            )
        low, high = COVERAGE
        if not low <= self.coverage <= high:
            said.append(
                f"leaving one {self.kind} out, the band holds {self.coverage:.1%} of the rows, wanted {low:.0%} to "
                f"{high:.0%}"
            )
        return tuple(said)


def judge(table: CalibrationSet, kind: str, members: Sequence[Settings] = MEMBERS) -> Judgement:
    """Run one exercise."""
    left = [
        one for fold in folds(table.rows, kind) for one in _fold(table.rows, fold, kind, members)
    ]
    return Judgement(table.name, kind, tuple(left), band(table.rows, kind, members))


def folds(rows: Sequence[Row], kind: str) -> Iterator[Fold]:
    """(training rows, left-out rows) by index; folds without training rows are passed over."""
    keys = [(row.network, row.board.name) for row in rows]
    if kind == "both":
        for one in dict.fromkeys(keys):
            train = [i for i, key in enumerate(keys) if key[0] != one[0] and key[1] != one[1]]
            if train:
                yield train, [i for i, key in enumerate(keys) if key == one]
        return
    part = KINDS.index(kind)
    for name in dict.fromkeys(key[part] for key in keys):
        train = [i for i, key in enumerate(keys) if key[part] != name]
        if train:
            yield train, [i for i, key in enumerate(keys) if key[part] == name]


def errors(rows: Sequence[Row], kind: str, members: Sequence[Settings] = MEMBERS) -> list[float]:
    """ln(predicted / published) of every row, left out."""
    found = []
    for train, out in folds(rows, kind):
        fitted = fit_committee([rows[i] for i in train], members)
        found += [error(fitted, rows[i]) for i in out]
    return found


def error(fitted: Committee, row: Row) -> float:
    """ln(predicted / published)."""
    predicted = fitted.predict(row.features, row.board.core, row.software, row.arm)
    return predicted - target_log(row)


def band(rows: Sequence[Row], kind: str, members: Sequence[Settings] = MEMBERS) -> float:
    """The factor that should hold 90 % of new rows, at most `WIDEST_BAND`.

    The conformal quantile of the rows' |errors| (`quantile`) to the power sqrt(1 + 1/G): rows of one network (or
    board) err together, so it rests on G groups, not on all rows, and a new group varies as they do.
    """
    groups = len(list(folds(rows, kind)))
    sizes = errors(rows, kind, members)
    if groups < 2:
        return WIDEST_BAND
    return min(math.exp(quantile(sizes) * math.sqrt(1 + 1 / groups)), WIDEST_BAND)


def quantile(found: Sequence[float]) -> float:
    """The ceil(0.9 (n + 1))-th smallest |error|, the largest if there are too few (Vovk et al. 2005)."""
    sizes = sorted(abs(one) for one in found)
    return sizes[min(math.ceil(BAND_LEVEL * (len(sizes) + 1)), len(sizes)) - 1]


def _fold(rows: Sequence[Row], fold: Fold, kind: str, members: Sequence[Settings]) -> list[Left]:
    train = [rows[i] for i in fold[0]]
    width = band(train, kind, members)
    ours, plain = fit_committee(train, members), fit_committee(train, (BASELINE,))
    return [
        Left(*rows[i].arm, rows[i].network, error(ours, rows[i]), error(plain, rows[i]), width)
        for i in fold[1]
    ]


def _median(found: Sequence[float]) -> float:
    return float(np.median(np.abs(np.expm1(found))))
