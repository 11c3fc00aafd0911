"""One training of the benchmark, kept in the output folder: a benchmark run again does none of them twice."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...compress.progress import Progress
from ...compress.task import Task
from ...compress.training_config import TrainConfig
from ...runtime.codec import from_json, to_json
from ...runtime.files import write_text
from .records import FLOAT, Budget, Case, Job, Outcome, Setting

FLOAT_TRAINING: dict[str, Any] = {
    "learning_rate": 3e-3, "weight_decay": 0.01, "label_smoothing": 0.1,
}  # fmt: skip
BINARY_TRAINING: dict[str, Any] = {
    "learning_rate": 3e-3, "optimizer": "adam", "weight_decay": 0.0,
    "distill_weight": 1.0, "distill_temperature": 1.0,
}  # fmt: skip
NEVER = 1_000_000
"""Epochs between validations: the last epoch is always validated, nothing is chosen by it."""


def job_of(
    case: Case,
    operator: str,
    seed: int,
    budget: Budget,
    setting: Setting | None = None,
    threads: int = 1,
) -> Job:
    """The training of an operator (or of the float network) under a budget."""
    common: dict[str, Any] = {
        "batch_size": budget.batch_size, "seed": seed, "threads": threads, "validate_every": NEVER,
    }  # fmt: skip
    if setting is not None:
        own: dict[str, Any] = {**dataclasses.asdict(setting), "weight_decay": 0.0}
        config = TrainConfig(epochs=budget.setting_epochs, **own, **common)
    elif operator == FLOAT:
        config = TrainConfig(epochs=budget.float_epochs, **FLOAT_TRAINING, **common)
    else:
        config = TrainConfig(epochs=budget.binary_epochs, **BINARY_TRAINING, **common)
    return Job(case, operator, seed, budget.samples, config, setting)


def limited(task: Task, samples: int, test_samples: int) -> Task:
    """The task with at most so many samples in its splits, at equal distances; 0 for all."""

    def cut(split: str, count: int) -> Callable[[], Any]:
        load = task.loaders[split]
        return functools.cache(lambda: load().spread(count) if count else load())

    counts = {"train": samples, "test": test_samples, "validation": test_samples}
    loaders = {name: cut(name, counts.get(name, 0)) for name in task.loaders}
    return dataclasses.replace(task, loaders=loaders)


@dataclasses.dataclass
class Workshop:
    """Does jobs in a folder. `tasks` gives the (limited) task of a case."""

    folder: Path
    tasks: Callable[[Case], Task]
    budget: Budget

    def done(self, job: Job) -> bool:
        """True if the job's files are there."""
        return self._path(job).is_file()

    def outcome(self, job: Job, progress: Progress | None = None) -> Outcome:
        """What the job gave; done now if it was not."""
        path = self._path(job)
        if not path.is_file():
            outcome = self._do(job, progress)
            write_text(path, json.dumps(to_json(outcome), indent=1) + "\n")
        found: Outcome = from_json(Outcome, json.loads(path.read_text("utf-8")))
        return found

    def model(self, job: Job) -> Any:
        """The trained network of a job that was done, in eval mode."""
        from ...compress.weights import load_weights

        model = self._start(job, None)
        load_weights(model, self.folder / self.outcome(job).weights)
        return model.eval()

    def _path(self, job: Job) -> Path:
        return self.folder / "runs" / f"{job.key(self.tasks(job.case).data_sha256)}.json"

    def _start(self, job: Job, teacher: Any) -> Any:
        """The network before its training: fresh, or the teacher's weights behind signs."""
        from ...compress.randomness import seed_all
        from . import networks

        task = self.tasks(job.case)
        seed_all(job.seed)
        model = teacher if teacher is not None else networks.build(job.case, task)
        if job.operator == FLOAT:
            return model
        return networks.binary(job.case, model, task, job.operator)

    def _teacher(self, job: Job) -> Any:
        if job.operator == FLOAT or job.setting is not None:
            return None
        threads = job.config.threads
        return self.model(job_of(job.case, FLOAT, job.seed, self.budget, threads=threads))

    def _do(self, job: Job, progress: Progress | None) -> Outcome:
        from ...compress.binarization.train import train_binary
        from ...compress.training import evaluate, train
        from ...compress.weights import save_weights

        task, teacher = self.tasks(job.case), self._teacher(job)
        model = self._start(job, teacher)
        start = time.process_time()
        if job.operator == FLOAT:
            steps = train(model, task, job.config, progress=progress).steps
        else:
            first = 0.0 if job.setting is not None else 0.5
            stages = train_binary(
                model, task, job.config, teacher=teacher, first_stage=first, progress=progress
            )
            steps = sum(stage.result.steps for stage in stages)
        spent = time.process_time() - start
        weights = self._path(job).with_suffix(".npz")
        save_weights(model.eval(), weights)
        test = evaluate(model, task, "test")
        return Outcome(
            job=job.label,
            operator=job.operator,
            seed=job.seed,
            setting=job.setting.name if job.setting else "",
            validation=evaluate(model, task, "validation").value,
            test=test.value,
            test_samples=test.samples,
            cpu_s=spent,
            steps=steps,
            weights=f"runs/{weights.name}",
        )
