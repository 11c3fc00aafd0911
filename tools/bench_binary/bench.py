"""The benchmark itself: trainings first, then one track after another, from what they left in the output folder."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...compress.progress import NoProgress, Progress
from ...compress.task import Task
from ...runtime.files import write_text
from . import damage, hardware, report, tracks
from .jobs import Workshop, job_of, limited
from .plan import jobs_of, setting_jobs
from .records import FLOAT, Budget, Case, Figure, Job, Outcome
from .report import Result

FILES = ("report.md", "figures.csv", "bench.json", "overall.svg")


@dataclass(frozen=True)
class Request:
    """What is to be compared, and where the results go."""

    budget: Budget
    operators: tuple[str, ...]
    tracks: tuple[str, ...]
    out: Path
    data: Path | None = None
    threads: int = 1
    device: str = ""
    notes: tuple[str, ...] = ()


class Bench:
    """A benchmark under way; everything finished is in `request.out` and is not done again."""

    def __init__(self, request: Request, progress: Progress | None = None):
        self.request, self.progress = request, progress or NoProgress()
        self.budget = request.budget
        self.task = functools.cache(self._task)
        self.shop = Workshop(request.out, self.task, request.budget)

    def jobs(self) -> list[Job]:
        """All trainings that are needed."""
        ask = self.request
        return jobs_of(ask.tracks, ask.operators, self.budget, ask.threads)

    def run(self) -> Result:
        """Train, measure, write the four files of `FILES`."""
        self._train()
        figures = [figure for track in self.request.tracks for figure in self._figures(track)]
        cases = dict.fromkeys(job.case.task for job in self.jobs())
        result = Result(
            self.budget,
            self.request.operators,
            self.request.tracks,
            tuple(figures),
            tuple(self._data_line(name) for name in cases),
            self.request.notes,
        )
        self._write(result)
        return result

    def _task(self, case: Case) -> Task:
        from ...compress import datasets

        task = datasets.task(case.task, self.request.data)
        return limited(task, self.budget.samples, self.budget.test_samples)

    def _data_line(self, name: str) -> str:
        task = self.task(Case(name, ""))
        counts = ", ".join(f"{s} {len(task.load(s)):,}" for s in ("train", "validation", "test"))
        return f"{name}: {counts} ({'; '.join(task.sources)})"

    def _train(self) -> None:
        jobs = self.jobs()
        self.progress.stage("trainings", len(jobs))
        for job in jobs:
            outcome = self.shop.outcome(job)
            self.progress.advance(1, training=job.label, test=round(outcome.test, 1))

    def _write(self, result: Result) -> None:
        texts = (
            report.markdown(result),
            report.csv_text(result),
            json.dumps(report.document(result), indent=1, allow_nan=False) + "\n",
            report.plot(result),
        )
        for name, text in zip(FILES, texts, strict=True):
            write_text(self.request.out / name, text)

    # --------------------------------------------------------------- tracks

    def _figures(self, track: str) -> Iterator[Figure]:
        make = {
            "task": self._task_track,
            "architecture": self._architecture,
            "corruption": self._corruption,
            "training": self._training,
            "complexity": self._complexity,
            "hardware": self._hardware,
        }[track]
        for operator in (FLOAT, *self.request.operators):
            yield from make(operator)

    def _learned(self, cases: Sequence[Case], operator: str) -> dict[Case, list[Outcome]]:
        return {
            case: [self.shop.outcome(job) for job in self._jobs_on(case, operator)]
            for case in cases
        }

    def _jobs_on(self, case: Case, operator: str) -> list[Job]:
        return [
            job_of(case, operator, seed, self.budget, threads=self.request.threads)
            for seed in self.budget.seeds
        ]

    def _on_cases(self, track: str, cases: Sequence[Case], operator: str) -> list[Figure]:
        full, binary = self._learned(cases, FLOAT), self._learned(cases, operator)
        return tracks.accuracy_track(track, operator, full, binary)

    def _task_track(self, operator: str) -> list[Figure]:
        return self._on_cases("task", self.budget.cases, operator)

    def _architecture(self, operator: str) -> list[Figure]:
        return self._on_cases("architecture", self.budget.families, operator)

    def _training(self, operator: str) -> list[Figure]:
        def outcomes(name: str) -> list[Outcome]:
            jobs = setting_jobs(self.budget.cases[0], (name,), self.budget, self.request.threads)
            return [self.shop.outcome(job) for job in jobs if job.operator == name]

        return tracks.training_track(operator, outcomes(FLOAT), outcomes(operator))

    def _complexity(self, operator: str) -> list[Figure]:
        from .networks import example_of

        if operator == FLOAT:
            return []
        counts = {}
        for case in self.budget.cases:
            model = self.shop.model(self._jobs_on(case, operator)[0])
            counts[case] = tracks.counted(model, example_of(self.task(case)))
        return tracks.complexity_track(operator, counts)

    def _corruption(self, operator: str) -> list[Figure]:
        full, binary = (
            {case: self._damaged(case, name) for case in self.budget.cases}
            for name in (FLOAT, operator)
        )
        return damage.corruption_track(operator, full, binary, len(self.budget.seeds))

    def _damaged(self, case: Case, operator: str) -> damage.Scores:
        rows = []
        for job in self._jobs_on(case, operator):
            keep = self._beside(job, f"corruption{self.budget.corruption_samples}")
            model = None if keep.is_file() else self.shop.model(job)
            samples = self.budget.corruption_samples
            rows.append(damage.damaged_scores(model, self.task(case), samples, keep))
            self.progress.advance(0, corruption=job.label)
        return damage.mean_scores(rows)

    def _hardware(self, operator: str) -> list[Figure]:
        full, binary = (
            {case: self._deployed(case, name) for case in self.budget.cases}
            for name in (FLOAT, operator)
        )
        return hardware.hardware_track(operator, full, binary, self.request.device)

    def _deployed(self, case: Case, operator: str) -> hardware.Deployed:
        job = self._jobs_on(case, operator)[0]
        device = self.request.device
        keep = self._beside(job, f"files{f'-{device}' if device else ''}")
        self.progress.advance(0, hardware=job.label)
        task = self.task(case)
        if keep.is_file():
            return hardware.deploy(None, None, task, keep, 0)
        return hardware.deploy(
            self.shop.model(job),
            self._base(case),
            task,
            keep,
            self.budget.processes,
            device=device,
            instructions=hardware.emulated_instructions if device else None,
        )

    @functools.cache  # noqa: B019 - one Bench a process
    def _base(self, case: Case) -> Any:
        model = self.shop.model(self._jobs_on(case, FLOAT)[0])
        return hardware.hub_of(model, self.task(case), False)

    def _beside(self, job: Job, kind: str) -> Path:
        outcome = self.shop.outcome(job)
        return (self.request.out / outcome.weights).with_suffix(f".{kind}.json")
