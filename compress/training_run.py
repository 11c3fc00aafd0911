"""A training under way: its steps, epochs, validations and checkpoints. `training.train` is the way in.

Nothing random is remembered between steps: the order of an epoch, the augmentation and the dropout of a step are
seeded by (seed, epoch) and (seed, step), so a state dict and a step count are all that a resumed run needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import InputError, UsageError
from . import training_checkpoint as checkpoints
from .distillation import criterion
from .evaluation import judge
from .optimizers import Average, ParameterGroups, make_optimizer
from .progress import Progress
from .randomness import derive, seed_all
from .receipt import Score
from .schedules import factor
from .task import Split, Task
from .training_config import TrainConfig
from .training_data import Batches, as_float
from .training_records import EpochRow, Hook, Moment, TrainResult

if TYPE_CHECKING:
    import torch


class TrainingRun:
    """A training under way. `state_dict` and `load_state` hold all of it that a checkpoint needs."""

    on_step: Hook | None = None
    on_epoch: Hook | None = None
    penalty: Callable[[Any], Any] | None = None

    def __init__(
        self,
        model: torch.nn.Module,
        task: Task,
        config: TrainConfig,
        teacher: torch.nn.Module | None,
        progress: Progress,
        groups: ParameterGroups | None,
    ):
        self.model, self.task, self.config, self.progress = model, task, config, progress
        self.teacher = teacher
        self.batches = Batches.of(task, config)
        self.validation: Split | None = None
        if "validation" in task.loaders:
            self.validation = task.load("validation")
        self.loss = criterion(task, config, teacher)
        self.forward: Callable[..., Any] = model
        if config.compiled:
            import torch

            self.forward = torch.compile(model)
        self.optimizer = make_optimizer(model, config, groups)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.average = Average(model, config.ema_decay) if config.ema_decay else None
        self.step, self.loss_sum, self.seconds = 0, 0.0, 0.0
        self.rows: list[EpochRow] = []
        self.best: dict[str, Any] | None = None
        self.checkpoint: Path | None = None
        self.every_s = math.inf
        self.key: dict[str, str] = {}
        self.resumed_step = 0
        self.notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.config.epochs * self.batches.per_epoch

    def save_to(self, path: Path, every_s: float) -> None:
        """Save to `path` from now on, after continuing from what is there."""
        self.checkpoint, self.every_s = path, every_s
        self.key = checkpoints.training_key(self.model, self.task, self.config, self.teacher)
        state, self.notes = checkpoints.load(path, self.key)
        if state is not None:
            self.load_state(state)
            self.resumed_step = self.step

    def to_the_end(self) -> TrainResult:
        """All remaining epochs, then the weights to keep."""
        self.progress.stage("train", self.steps)
        if self.step:
            self.progress.advance(self.step)
        self.started = self.saved = time.monotonic()
        while len(self.rows) < self.config.epochs:
            self.one_epoch(len(self.rows))
        return self.result(self.keep())

    def one_epoch(self, epoch: int) -> None:
        """The remaining steps of an epoch, its validation, its checkpoint."""
        order = self.batches.order(epoch)
        self.model.train()
        if self.on_epoch is not None:
            self.set_rates()
            self.on_epoch(self.moment(epoch))
        for index in range(self.step - epoch * self.batches.per_epoch, self.batches.per_epoch):
            self.one_step(epoch, order, index)
            if self.every_s_passed():
                self.save()
        self.end_epoch(epoch)
        self.save()

    def one_step(self, epoch: int, order: Any, index: int) -> None:
        """Forward, backward, step: everything random in it is seeded by (seed, step)."""
        import torch

        seed_all(derive(self.config.seed, "step", self.step))
        inputs, targets = self.batches.take(order, index, self.step)
        self.set_rates()
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision():
            outputs = as_float(self.forward(*inputs))
            loss = self.loss(outputs, targets, inputs)
        if self.penalty is not None:
            loss = loss + self.penalty(self.model)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InputError(
                f"the loss is {value} in step {self.step} (epoch {epoch + 1} of {self.config.epochs})",
                where=f"training of {type(self.model).__name__} on {self.task.name}",
                hint="lower learning_rate, add warmup_epochs or clip_norm, check the weights and data",
            )
        loss.backward()
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        if self.on_step is not None:
            self.on_step(self.moment(epoch))
        if self.average is not None:
            self.average.update(self.model)
        self.step += 1
        self.loss_sum += value
        self.progress.advance(1, loss=round(value, 4), epoch=f"{epoch + 1}/{self.config.epochs}")

    def precision(self) -> AbstractContextManager[Any]:
        """bfloat16 products where `half` asks for them."""
        import torch

        kind = torch.device(self.config.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.config.half)

    def set_rates(self) -> None:
        """The schedule's learning rates for the coming step."""
        now = factor(self.config, self.step, self.steps, self.batches.per_epoch)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * now

    def moment(self, epoch: int) -> Moment:
        """What hooks are told."""
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        return Moment(
            epoch, self.config.epochs, self.step, self.steps, rate, self.model, self.optimizer
        )

    def end_epoch(self, epoch: int) -> None:
        """Validate if it is time, remember the best, add the epoch's row."""
        last = epoch + 1 == self.config.epochs
        value = None
        if self.validation is not None and (last or (epoch + 1) % self.config.validate_every == 0):
            value = self.validated().value
            self.progress.advance(0, validation=round(value, 4))
            if self.config.keep == "best" and self.is_better(value):
                state = {k: v.detach().clone() for k, v in self.weights().items()}
                self.best = {"value": value, "epoch": epoch + 1, "state": state}
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        self.rows.append(EpochRow(epoch + 1, rate, self.loss_sum / self.batches.per_epoch, value))
        self.loss_sum = 0.0

    def weights(self) -> dict[str, Any]:
        """The state that is judged and kept: the average if there is one."""
        state = self.model.state_dict() if self.average is None else self.average.state
        return dict(state)

    def validated(self) -> Score:
        """Validation score of `weights`."""
        if self.validation is None:
            raise UsageError(f"task {self.task.name} has no validation split")
        with self.swapped():
            return judge(self.model, self.task, self.validation, device=self.config.device)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The average in the model's place for a moment."""
        if self.average is None:
            yield
            return
        own = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.state)
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def is_better(self, value: float) -> bool:
        """True if `value` beats the best so far in the metric's direction."""
        if self.best is None:
            return True
        best = float(self.best["value"])
        return value > best if self.task.metric.higher_is_better else value < best

    def keep(self) -> int:
        """Put the weights to keep into the model; gives their epoch."""
        if self.best is not None:
            self.model.load_state_dict(self.best["state"])
            return int(self.best["epoch"])
        if self.average is not None:
            self.model.load_state_dict(self.average.state)
        return self.config.epochs

    def result(self, kept_epoch: int) -> TrainResult:
        """The record of a finished training, with the kept weights in the model."""
        score = None
        if self.validation is not None:
            score = judge(self.model, self.task, self.validation, device=self.config.device)
        return TrainResult(
            epochs=tuple(self.rows),
            steps=self.steps,
            seconds=self.elapsed(),
            seed=self.config.seed,
            kept_epoch=kept_epoch,
            score=score,
            resumed_step=self.resumed_step,
            notes=self.notes,
        )

    def elapsed(self) -> float:
        """Seconds of this run and those before it."""
        return self.seconds + time.monotonic() - self.started

    def every_s_passed(self) -> bool:
        """True if the last checkpoint is old enough for another one inside the epoch."""
        return self.checkpoint is not None and time.monotonic() - self.saved >= self.every_s

    def save(self) -> None:
        """Write a checkpoint if one is wanted."""
        if self.checkpoint is not None:
            checkpoints.save(self.checkpoint, self.key, self.state_dict())
            self.saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, in types that load without pickles."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.to_dict(),
            "best": self.best,
            "rows": [asdict(row) for row in self.rows],
            "step": self.step,
            "loss_sum": self.loss_sum,
            "seconds": self.elapsed(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.from_dict(state["average"])
        self.best = state["best"]
        self.rows = [EpochRow(**row) for row in state["rows"]]
        self.step, self.loss_sum = int(state["step"]), float(state["loss_sum"])
        self.seconds = float(state["seconds"])
