"""What a training tells its hooks, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .receipt import Score


@dataclass(frozen=True)
class Moment:
    """What a hook is told: where the training is, and what it works on. Counts start at 0."""

    epoch: int
    epochs: int
    step: int
    steps: int
    learning_rate: float
    model: Any
    optimizer: Any


Hook = Callable[[Moment], None]


@dataclass(frozen=True)
class EpochRow:
    """One epoch (counted from 1): highest learning rate, mean training loss, validation metric if it was taken."""

    epoch: int
    learning_rate: float
    train_loss: float
    validation: float | None = None


@dataclass(frozen=True)
class TrainResult:
    """What a training did.

    Attributes:
        epochs: one row each.
        seconds: spent training and validating, over all runs if it was resumed.
        kept_epoch: the epoch whose weights the model has now, counted from 1.
        score: validation score of these weights, None for a task without validation split.
        resumed_step: the step this run started with, 0 if at the beginning.
        notes: anything to be said, like a damaged checkpoint.
    """

    epochs: tuple[EpochRow, ...]
    steps: int
    seconds: float
    seed: int
    kept_epoch: int
    score: Score | None
    resumed_step: int = 0
    notes: tuple[str, ...] = ()
