"""Learning rates over time, as factors of the highest one: pure functions of the step."""

from __future__ import annotations

import math

from .training_config import TrainConfig

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1e-4


def factor(config: TrainConfig, step: int, total: int, steps_per_epoch: int) -> float:
    """What the learning rate is multiplied with in step `step` (from 0) of `total`.

    With warm-up of W steps: (step + 1) / W before, the schedule over the remaining steps after.
    "one-cycle": cosine from 1/25 up to 1 over 30 % of the steps, cosine down to 1e-4 (Smith and Topin, 2017).
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    return _SHAPES[config.schedule](config, (step - warmup) / max(1, total - warmup))


def _cosine(_: TrainConfig, progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _linear(_: TrainConfig, progress: float) -> float:
    return 1.0 - progress


def _constant(_: TrainConfig, progress: float) -> float:
    return 1.0


def _step(config: TrainConfig, progress: float) -> float:
    return float(config.step_factor ** sum(progress >= at for at in config.step_at))


def _hold(config: TrainConfig, progress: float) -> float:
    return min(1.0, (1.0 - progress) / (1.0 - config.hold_fraction))


def _one_cycle(config: TrainConfig, progress: float) -> float:
    if progress < ONE_CYCLE_RISE:
        rising = 1.0 - _cosine(config, progress / ONE_CYCLE_RISE)
        return ONE_CYCLE_START + (1.0 - ONE_CYCLE_START) * rising
    falling = _cosine(config, (progress - ONE_CYCLE_RISE) / (1.0 - ONE_CYCLE_RISE))
    return ONE_CYCLE_END + (1.0 - ONE_CYCLE_END) * falling


_SHAPES = {
    "cosine": _cosine,
    "linear": _linear,
    "constant": _constant,
    "step": _step,
    "one-cycle": _one_cycle,
    "hold": _hold,
}
