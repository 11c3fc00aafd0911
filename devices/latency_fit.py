"""Fits the members of `latency_model` to published rows and predicts with their mean.

committee = fit_committee(rows)
committee.predict(features, core, software, arm)      # ln(cycles x peak MAC per cycle)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration_data import Row, target_log
from .latency_model import MEMBERS, Settings, amounts
from .operator_features import NetworkFeatures

Array = NDArray[Any]
Arm = tuple[str, str]

NOISE = 0.15
CORE_SPREAD = 0.3
SOFTWARE_SPREAD = 0.5
ARM_SPREAD = 0.3
"""Standard deviations of the priors in ln units; set before any residual was looked at, never tuned."""

_STEPS = 100
_HALVINGS = 20
_CONVERGED = 1e-6


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

    Gauss-Newton; a step is halved until the objective falls, so that it cannot swing.
    """
    problem = _Problem(rows, settings)
    values = problem.start()
    loss = problem.loss(values)
    for _ in range(_STEPS):
        step = problem.step(values)
        for _ in range(_HALVINGS):
            new = problem.loss(values + step)
            if new < loss:
                break
            step = step / 2
        else:
            break
        values, gain, loss = values + step, loss - new, new
        if gain < _CONVERGED:
            break
    return Model(settings, values, problem.groups)


class _Problem:
    """Rows as matrices: `fixed` x parameters + ln(work) should be `wanted`."""

    def __init__(self, rows: Sequence[Row], settings: Settings) -> None:
        self.groups = _Groups(rows, len(settings.structure.terms))
        self.given = np.array([amounts(row.features, settings.structure) for row in rows])
        self.wanted = np.array([target_log(row) for row in rows])
        self.fixed, self.places = _design(rows, self.groups)
        self.means, self.precisions = self.groups.prior(settings)

    def start(self) -> Array:
        """The means of the priors; the overall mean from the rows."""
        values = self.means.copy()
        costs = np.exp(values[self.groups.costs_at : self.groups.deviations_at])
        values[0] = np.mean(self.wanted - np.log(self.given @ costs))
        return values

    def work(self, values: Array) -> Array:
        """(rows x terms) cost of each term."""
        costs = values[self.groups.costs_at : self.groups.deviations_at]
        return np.asarray(self.given * np.exp(costs + values[self.places]))

    def error(self, values: Array, work: Array) -> Array:
        """Published minus predicted, ln."""
        return np.asarray(self.wanted - self.fixed @ values - np.log(work.sum(axis=1)))

    def loss(self, values: Array) -> float:
        """Twice the negative log posterior, up to a constant; infinite where it overflows."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = self.error(values, self.work(values))
            total = found @ found / NOISE**2 + self.precisions @ (values - self.means) ** 2
        return float(total) if np.isfinite(total) else float("inf")

    def step(self, values: Array) -> Array:
        """The Gauss-Newton step."""
        work = self.work(values)
        shares = work / work.sum(axis=1, keepdims=True)
        slope = self.fixed.copy()
        slope[:, self.groups.costs_at : self.groups.deviations_at] = shares
        np.put_along_axis(slope, self.places, shares, axis=1)
        curve = slope.T @ slope / NOISE**2 + np.diag(self.precisions)
        down = slope.T @ self.error(values, work) / NOISE**2
        down -= self.precisions * (values - self.means)
        return np.asarray(np.linalg.solve(curve, down))


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
