"""What a training is asked for: one frozen record that recipes expose field by field."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..runtime.errors import UsageError

OPTIMIZERS = ("adamw", "adam", "sgd", "bop")
SCHEDULES = ("cosine", "linear", "step", "constant", "one-cycle", "hold")
KEEP = ("last", "best")


@dataclass(frozen=True)
class TrainConfig:
    """Options of `training.train`; a value that cannot be is a `UsageError`.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples a step; an incomplete last batch is left out (every epoch is shuffled anew).
        learning_rate: its highest value.
        optimizer: "adamw" (decoupled decay), "adam", "sgd", or "bop" (flips bits of binary layers, Adam for the rest).
        momentum, nesterov: of "sgd".
        weight_decay: on weights of layers only, never on biases, norms, scales.
        schedule: "cosine", "linear" (both to 0), "step", "constant", "one-cycle", "hold" (constant, then linear to 0).
        warmup_epochs: the learning rate grows linearly from nearly 0 over this many epochs; may be a fraction.
        hold_fraction: of "hold": share of the training at the highest rate.
        step_at, step_factor: of "step": at these fractions of the training the rate is multiplied by the factor.
        label_smoothing: share of the target spread over all classes (classification).
        distill_weight, distill_temperature: a and T of the distillation loss; used with a teacher only.
        clip_norm: largest norm of the whole gradient, 0 for no limit.
        ema_decay: exponential moving average of weights, validated and kept instead of them; 0 for none.
        augment: whether the task's augmentation is used.
        validate_every: epochs between validations; the last epoch is always validated.
        keep: which weights stay: those of the "last" epoch, or of the "best" by validation metric (first if equal).
        device: "cpu", "cuda" or "cuda:N".
        threads: CPU threads of torch, 0 leaves them alone. The same count gives the same weights.
        seed: of order, augmentation and dropout.
        channels_last: memory format of 4-axis inputs; faster on most CPUs.
        half: convolutions and matrix products of the training in bfloat16 (weights, sums of the optimizer and
            validation stay float32); sums of signs are exact up to 256.
        compiled: torch.compile of the forward and backward: needs a C++ compiler and half a minute at the start and
            wherever the model changes form (operators with a schedule: every epoch).
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    hold_fraction: float = 0.5
    step_at: tuple[float, ...] = (0.5, 0.75)
    step_factor: float = 0.1
    label_smoothing: float = 0.0
    distill_weight: float = 0.5
    distill_temperature: float = 4.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    augment: bool = True
    validate_every: int = 1
    keep: str = "last"
    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    channels_last: bool = True
    half: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("keep", self.keep, KEEP)
        for name in ("epochs", "batch_size", "validate_every"):
            _at_least(name, getattr(self, name), 1)
        for name in ("weight_decay", "warmup_epochs", "clip_norm", "threads", "momentum", "seed"):
            _at_least(name, getattr(self, name), 0)
        for name in ("label_smoothing", "ema_decay", "hold_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be in [0, 1)")
        if not 0 <= self.distill_weight <= 1:
            raise UsageError(f"distill_weight is {self.distill_weight}, it must be in [0, 1]")
        for name in ("learning_rate", "distill_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be above 0")
        if self.warmup_epochs >= self.epochs:
            raise UsageError(
                f"warmup_epochs is {self.warmup_epochs}, the training has {self.epochs} epochs"
            )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}", hint=f"it can be {', '.join(allowed)}")


def _at_least(name: str, value: float, least: int) -> None:
    if not least <= value < math.inf:
        raise UsageError(f"{name} is {value}, it must be at least {least}")
