"""What a benchmark will do before it does it: its trainings, and what they cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .jobs import job_of
from .records import FLOAT, Budget, Case, Job


def learning_jobs(
    cases: Sequence[Case], operators: Sequence[str], budget: Budget, threads: int = 1
) -> list[Job]:
    """Every case, seed and operator, float first."""
    return [
        job_of(case, operator, seed, budget, threads=threads)
        for case in cases
        for seed in budget.seeds
        for operator in (FLOAT, *operators)
    ]


def setting_jobs(
    case: Case, operators: Sequence[str], budget: Budget, threads: int = 1
) -> list[Job]:
    """The training track: every setting, from scratch, with the first seed."""
    return [
        job_of(case, operator, budget.seeds[0], budget, setting, threads)
        for operator in (FLOAT, *operators)
        for setting in budget.chosen_settings()
    ]


def jobs_of(
    tracks: Sequence[str], operators: Sequence[str], budget: Budget, threads: int = 1
) -> list[Job]:
    """All trainings that the tracks need, each once."""
    jobs: list[Job] = []
    if {"task", "corruption", "complexity", "hardware"} & set(tracks):
        jobs += learning_jobs(budget.cases, operators, budget, threads)
    if "architecture" in tracks:
        jobs += learning_jobs(budget.families, operators, budget, threads)
    if "training" in tracks:
        jobs += setting_jobs(budget.cases[0], operators, budget, threads)
    return list(dict.fromkeys(jobs))


def with_cases(budget: Budget, cases: Sequence[Case], families: Sequence[Case]) -> Budget:
    """The budget on other cases."""
    return dataclasses.replace(budget, cases=tuple(cases), families=tuple(families))
