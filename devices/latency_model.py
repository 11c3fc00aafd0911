"""Latency by classes of operators: few published rows, so every parameter is held near a prior.

    ln(cycles x peak) = mean + core + software + arm + ln( sum over terms of exp(cost + deviation) x amount )

`amount` are MACs of a group of operator classes, values written or operators run; `cost` is shared by all rows,
`deviation` belongs to one software (its kernels decide what a class costs), `core`, `software` and `arm` (a board with
one software) to all rows that share them. All have normal priors; the fit is their maximum a posteriori by
Gauss-Newton: a ridge in log space, costs positive by construction. With all classes in one term it is the MAC-only
model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration_data import Row, target_log
from .operator_features import MAC_CLASSES, NetworkFeatures

Array = NDArray[Any]
Arm = tuple[str, str]

NOISE = 0.15
CORE_SPREAD = 0.3
SOFTWARE_SPREAD = 0.5
ARM_SPREAD = 0.3
"""Standard deviations of the priors in ln units; set before any residual was looked at, never tuned."""

_STEPS = 40
_LARGEST_STEP = 1.0
_CONVERGED = 1e-5


@dataclass(frozen=True)
class Structure:
    """Terms (names of `NetworkFeatures.value` that are added) and the prior cost of each, ln of MACs per unit."""

    name: str
    terms: tuple[tuple[str, ...], ...]
    prior: tuple[float, ...]


_OUTPUT_PRIOR = 1.0  # a value written costs about 3 MACs (scaling, clamping, storing)
_OPERATOR_PRIOR = 8.0  # starting an operator costs about 3,000 MACs
MAC_ONLY = Structure("macs", (MAC_CLASSES,), (0.0,))
STRUCTURES = (
    Structure(
        "classes",
        (("pointwise", "winograd", "spatial"), ("depthwise",), ("dense",), ("outputs",)),
        (0.0, 0.0, 0.0, _OUTPUT_PRIOR),
    ),
    Structure(
        "classes and overhead",
        (
            ("pointwise", "winograd", "spatial"),
            ("depthwise",),
            ("dense",),
            ("outputs",),
            ("operators",),
        ),
        (0.0, 0.0, 0.0, _OUTPUT_PRIOR, _OPERATOR_PRIOR),
    ),
    Structure(
        "classes and Winograd",
        (("pointwise", "spatial"), ("winograd",), ("depthwise",), ("dense",), ("outputs",)),
        (0.0, 0.0, 0.0, 0.0, _OUTPUT_PRIOR),
    ),
)


@dataclass(frozen=True)
class Settings:
    """A structure and how strongly costs keep to their prior, and a software's to the shared ones (precisions)."""

    structure: Structure
    cost_precision: float
    deviation_precision: float

    @property
    def name(self) -> str:
        """In words, for tables."""
        return f"{self.structure.name}, {self.cost_precision:g}/{self.deviation_precision:g}"


BASELINE = Settings(MAC_ONLY, 1.0, 100.0)
MEMBERS = tuple(
    Settings(structure, cost, deviation)
    for structure in STRUCTURES
    for cost in (0.3, 1.0, 4.0)
    for deviation in (1.0, 10.0)
)
"""Members of the committee. A dozen rows cannot tell which is best, so none is chosen: equal weights do better with
so little data (Timmermann 2006, section 7)."""


class Model:
    """Parameters of one member fitted to rows."""

    def __init__(self, settings: Settings, parameters: Array, groups: _Groups) -> None:
        self.settings = settings
        self._parameters = parameters
        self._groups = groups

    def log_work(self, features: NetworkFeatures, software: str = "") -> float:
        """ln of the network's cost, with the deviations of the software if it was fitted."""
        given = amounts(features, self.settings.structure)
        return self._groups.log_work(self._parameters, given, software)

    def offset(self, core: str, software: str, arm: Arm) -> float:
        """ln(cycles x peak) of a network of cost 1; unknown cores, software or arms stand at their prior."""
        groups, values = self._groups, self._parameters
        total = float(values[0])
        keys: tuple[tuple[dict[Any, int], Any], ...] = (
            (groups.cores, core),
            (groups.softwares, software),
            (groups.arms, arm),
        )
        return total + sum(float(values[table[key]]) for table, key in keys if key in table)


@dataclass(frozen=True)
class Committee:
    """Members fitted to the same rows; predictions are the mean of their logarithms."""

    models: tuple[Model, ...]

    def predict(self, features: NetworkFeatures, core: str, software: str, arm: Arm) -> float:
        """ln(cycles x peak) of a network on a board."""
        found = [
            model.offset(core, software, arm) + model.log_work(features, software)
            for model in self.models
        ]
        return float(np.mean(found))

    def log_work(self, features: NetworkFeatures) -> float:
        """ln of the network's cost by the costs that all software shares."""
        return float(np.mean([model.log_work(features) for model in self.models]))


def amounts(features: NetworkFeatures, structure: Structure) -> Array:
    """Amount of each term."""
    return np.array([sum(features.value(name) for name in term) for term in structure.terms])


def fit_committee(rows: Sequence[Row], members: Sequence[Settings] = MEMBERS) -> Committee:
    """Fit every member to the rows."""
    return Committee(tuple(fit(rows, settings) for settings in members))


class _Groups:
    """Where the parameters of each group lie in the vector."""

    def __init__(self, rows: Sequence[Row], terms: int) -> None:
        self.terms = terms
        place = 1
        self.cores, place = _places((row.board.core for row in rows), place)
        self.softwares, place = _places((row.software for row in rows), place)
        self.arms, place = _places((row.arm for row in rows), place)
        self.costs_at = place
        self.deviations_at = place + terms
        self.order = {arm: index for index, arm in enumerate(self.softwares)}
        self.size = self.deviations_at + terms * len(self.softwares)

    def prior(self, settings: Settings) -> tuple[Array, Array]:
        """(means, precisions)."""
        means, precisions = np.zeros(self.size), np.full(self.size, settings.deviation_precision)
        means[self.costs_at : self.deviations_at] = settings.structure.prior
        precisions[self.costs_at : self.deviations_at] = settings.cost_precision
        precisions[0] = 1e-6
        for table, spread in (
            (self.cores, CORE_SPREAD),
            (self.softwares, SOFTWARE_SPREAD),
            (self.arms, ARM_SPREAD),
        ):
            precisions[list(table.values())] = 1 / spread**2
        return means, precisions

    def deviations_of(self, software: str) -> slice | None:
        """Deviations of a software."""
        if software not in self.order:
            return None
        start = self.deviations_at + self.order[software] * self.terms
        return slice(start, start + self.terms)

    def log_work(self, values: Array, given: Array, software: str) -> float:
        """ln of the weighted sum of amounts."""
        costs = values[self.costs_at : self.deviations_at]
        place = self.deviations_of(software)
        return float(np.log(given @ np.exp(costs if place is None else costs + values[place])))


def _places(keys: Any, start: int) -> tuple[dict[Any, int], int]:
    table = {key: start + index for index, key in enumerate(dict.fromkeys(keys))}
    return table, start + len(table)


def fit(rows: Sequence[Row], settings: Settings) -> Model:
    """Fit the rows; needs at least one.

    Gauss-Newton with steps of at most 1 a parameter; the objective is smooth and the priors make it well posed.
    """
    groups = _Groups(rows, len(settings.structure.terms))
    given = np.array([amounts(row.features, settings.structure) for row in rows])
    wanted = np.array([target_log(row) for row in rows])
    fixed, places = _design(rows, groups)
    means, precisions = groups.prior(settings)
    values = means.copy()
    values[0] = float(np.mean(wanted - np.log(given @ np.exp(settings.structure.prior))))
    for _ in range(_STEPS):
        costs = values[groups.costs_at : groups.deviations_at] + values[places]
        work = given * np.exp(costs)
        shares = work / work.sum(axis=1, keepdims=True)
        slope = fixed.copy()
        slope[:, groups.costs_at : groups.deviations_at] = shares
        np.put_along_axis(slope, places, shares, axis=1)
        error = wanted - fixed @ values - np.log(work.sum(axis=1))
        curve = slope.T @ slope / NOISE**2 + np.diag(precisions)
        step = np.linalg.solve(curve, slope.T @ error / NOISE**2 - precisions * (values - means))
        values = values + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        if np.abs(step).max() < _CONVERGED:
            break
    return Model(settings, values, groups)


def _design(rows: Sequence[Row], groups: _Groups) -> tuple[Array, Array]:
    """(rows x parameters of mean, core, software and arm; places of the deviations of each row)."""
    fixed = np.zeros((len(rows), groups.size))
    fixed[:, 0] = 1
    places = np.zeros((len(rows), groups.terms), dtype=np.intp)
    for index, row in enumerate(rows):
        fixed[index, groups.cores[row.board.core]] = 1
        fixed[index, groups.softwares[row.software]] = 1
        fixed[index, groups.arms[row.arm]] = 1
        start = groups.deviations_at + groups.order[row.software] * groups.terms
        places[index] = range(start, start + groups.terms)
    return fixed, places
