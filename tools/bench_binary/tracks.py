"""The tracks that only need trainings: learning task, architecture, training cost; and the counts of complexity.

Each function takes the outcomes of one operator and of the float network, and gives the figures of the track.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import formulas
from .records import FLOAT, OVERALL, Case, Figure, Outcome

if TYPE_CHECKING:
    from ...compress.binarization.complexity import Complexity

ByCase = Mapping[Case, Sequence[Outcome]]
"""Outcomes of all seeds."""


def mean_test(outcomes: Sequence[Outcome]) -> float:
    """Mean test accuracy over seeds, per cent."""
    return statistics.mean(outcome.test for outcome in outcomes)


def accuracy_track(track: str, operator: str, full: ByCase, binary: ByCase) -> list[Figure]:
    """Learning task or architecture: accuracy of every case, its spread, and sqrt(mean (A_b / A)^2)."""
    figures, pairs = [], []
    for case, outcomes in binary.items():
        samples, seeds = outcomes[0].test_samples, len(outcomes)
        values = [outcome.test for outcome in outcomes]
        pairs.append((mean_test(full[case]), mean_test(outcomes)))
        figures.append(
            Figure(
                track,
                operator,
                case.name,
                "accuracy",
                mean_test(outcomes),
                "%",
                "host",
                samples,
                seeds,
            )
        )
        figures.append(
            Figure(track, operator, case.name, "accuracy_range", max(values) - min(values), "points",
                   "host", samples, seeds)
        )  # fmt: skip
    if operator != FLOAT:
        overall = formulas.overall_accuracy(pairs)
        figures.append(Figure(track, operator, OVERALL, "accuracy_ratio", overall))
    return figures


def training_track(
    operator: str, full: Sequence[Outcome], binary: Sequence[Outcome]
) -> list[Figure]:
    """Training: time ratio and dependence on the setting; outcomes of the same settings in the same order."""
    figures = [
        Figure("training", operator, o.setting, "accuracy", o.test, "%", "host", o.test_samples, 1)
        for o in binary
    ]
    own = sum(o.cpu_s for o in binary) / sum(o.steps for o in binary)
    figures.append(Figure("training", operator, "all settings", "cpu_ms_per_step", 1e3 * own, "ms"))
    if operator == FLOAT:
        return figures
    base = sum(o.cpu_s for o in full) / sum(o.steps for o in full)
    spread = formulas.sensitivity([o.test for o in full], [o.test for o in binary])
    known = [ratio for ratio in (base / own, spread) if not math.isnan(ratio)]
    return [
        *figures,
        Figure("training", operator, "all settings", "time_ratio", base / own),
        Figure("training", operator, "all settings", "stability_ratio", spread),
        Figure("training", operator, OVERALL, "training_ratio", formulas.quadratic_mean(known)),
    ]


def complexity_track(operator: str, counts: Mapping[Case, Complexity]) -> list[Figure]:
    """Complexity: r_c and r_s of every case, and the quadratic mean of both means."""
    from ...compress.binarization.complexity import compression, speed_up

    figures = []
    for case, found in counts.items():
        for metric, value in (
            ("r_c", compression(found)),
            ("r_s", speed_up(found)),
            ("extra_operations", found.extra_operations + found.extra_binary / 64),
        ):
            figures.append(Figure("complexity", operator, case.name, metric, value, "", "computed"))
    means = [
        statistics.mean(f.value for f in figures if f.metric == metric) for metric in ("r_c", "r_s")
    ]
    overall = formulas.overall_pair(*means)
    return [*figures, Figure("complexity", operator, OVERALL, "ratio", overall, "", "computed")]


def counted(model: Any, example: Any) -> Complexity:
    """Counts of one model."""
    from ...compress.binarization.complexity import complexity

    return complexity(model, example)
