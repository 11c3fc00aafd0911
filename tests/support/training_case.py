"""A small training with everything random in it, run here or in a process that kills itself.

    python tests/support/training_case.py CHECKPOINT OUT.npz [KILL_AT]

KILL_AT: "step:N" dies after step N, "write:N" inside the N-th checkpoint write (half of the file is there),
"rename:N" between moving the old checkpoint away and the new one into place.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from edgepress.compress import datasets
from edgepress.compress.task import Task
from edgepress.compress.training import Moment, TrainConfig, TrainResult, train
from edgepress.compress.weights import save_weights
from torch import nn

CONFIG = TrainConfig(
    epochs=4,
    batch_size=32,
    learning_rate=0.02,
    optimizer="sgd",
    schedule="one-cycle",
    label_smoothing=0.1,
    clip_norm=1.0,
    ema_decay=0.9,
    keep="best",
    seed=3,
)
STEPS = 4 * (192 // 32)


def model(seed: int = 0) -> nn.Module:
    """Convolution, batch norm, dropout."""
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 64, 3))


def task() -> Task:
    """The toy task with an augmentation that draws from its generator and from numpy's global one."""

    def augment(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        noise = 0.1 * torch.randn(batch.shape, generator=generator)
        return batch + noise + float(np.random.rand())  # noqa: NPY002

    return dataclasses.replace(datasets.task("toy"), augment=augment)


def run(
    checkpoint: Path | None, kill_at: str = "", config: TrainConfig = CONFIG
) -> tuple[nn.Module, TrainResult]:
    """The trained model and its result, saving after every step."""
    net = model()
    kind, _, count = kill_at.partition(":")
    if kind in ("write", "rename"):
        _die_while_saving(kind, int(count))

    def on_step(moment: Moment) -> None:
        if kind == "step" and moment.step == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    result = train(
        net, task(), config, checkpoint=checkpoint, on_step=on_step, checkpoint_seconds=0
    )
    return net, result


def _die_while_saving(kind: str, at: int) -> None:
    name = "write_bytes" if kind == "write" else "replace"
    original, calls = getattr(Path, name), 0

    def deadly(self: Path, argument: object) -> object:
        nonlocal calls
        calls += 1
        if calls == at:
            if kind == "write":
                original(self, argument[: len(argument) // 2])  # type: ignore[index,arg-type]
            else:
                original(self, argument)
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, argument)

    setattr(Path, name, deadly)


if __name__ == "__main__":
    trained, _ = run(Path(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else "")
    save_weights(trained, Path(sys.argv[2]))
