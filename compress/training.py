"""The one training loop: every pass that trains uses it.

    result = train(model, task, TrainConfig(epochs=20), checkpoint=Path("steps/01-train/checkpoint"))

The model is trained in place. With `checkpoint` the state is saved after every epoch and every half minute, and a
run killed at any moment ends, run again, in the same weights bit for bit (same machine, threads and torch): order,
augmentation and dropout of a step depend on (seed, step) alone. Data lies in memory and is batched by index.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import MissingToolError, UsageError
from .evaluation import evaluate, predict
from .optimizers import ParameterGroups
from .progress import NoProgress, Progress
from .randomness import preserved
from .task import Task
from .training_config import TrainConfig
from .training_data import channels_last
from .training_records import EpochRow, Hook, Moment, TrainResult
from .training_run import TrainingRun

if TYPE_CHECKING:
    import torch

__all__ = [
    "EpochRow",
    "Moment",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "predict",
    "steps_of",
    "train",
]

CHECKPOINT_SECONDS = 30.0


def steps_of(task: Task, config: TrainConfig) -> int:
    """Number of steps that `train` will take; loads the training split."""
    samples = len(task.load("train"))
    return config.epochs * max(1, samples // min(config.batch_size, max(1, samples)))


def train(
    model: torch.nn.Module,
    task: Task,
    config: TrainConfig,
    *,
    teacher: torch.nn.Module | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    on_step: Hook | None = None,
    on_epoch: Hook | None = None,
    penalty: Callable[[Any], Any] | None = None,
    parameter_groups: ParameterGroups | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> TrainResult:
    """Train `model` in place on the task's training split.

    Args:
        teacher: its outputs are distilled (see `distillation`); it is put into eval mode, its weights stay.
        checkpoint: file to save to and resume from; it stays there afterwards and then gives the result at once.
        on_step: called after every optimizer step (clamp latent weights, count flips).
        on_epoch: called before the first step of every epoch, again when an epoch is resumed. Hooks must depend on
            the moment and the model only, or a resumed training differs.
        penalty: model -> scalar tensor that is added to the loss.
        parameter_groups: instead of `optimizers.default_groups`.
        checkpoint_seconds: time between checkpoints inside an epoch; does not change the result.

    Raises:
        UsageError: options that do not fit the task; a checkpoint of another training.
        MissingToolError: `compiled` without a C++ compiler.
        InputError: the loss became NaN or infinite, the training split is empty.
    """
    _require_device(config.device)
    if config.compiled:
        _require_compiler(config.device)
    if config.keep == "best" and "validation" not in task.loaders:
        raise UsageError(
            f"keep is 'best', but task {task.name} has no validation split", hint="keep the last"
        )
    with preserved(), _settings(model, teacher, config):
        run = TrainingRun(model, task, config, teacher, progress or NoProgress(), parameter_groups)
        run.on_step, run.on_epoch, run.penalty = on_step, on_epoch, penalty
        if checkpoint is not None:
            run.save_to(checkpoint, checkpoint_seconds)
        return run.to_the_end()


def _require_device(device: str) -> None:
    import torch

    unknown = UsageError(f"there is no device {device!r} here", hint="use cpu, cuda or cuda:1")
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise unknown from error
    if wanted.type not in ("cpu", "cuda"):
        raise unknown
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device is {device!r}, but torch finds {torch.cuda.device_count()} CUDA devices",
            hint="use device cpu",
        )


def _require_compiler(device: str) -> None:
    """torch.compile writes C++ for the CPU, and says so in many lines if nobody compiles it."""
    names = [os.environ.get("CXX", ""), "g++", "clang++"]
    if device == "cpu" and not any(name and shutil.which(name) for name in names):
        raise MissingToolError(
            "compiled is true, and there is no C++ compiler here",
            hint="install g++, or set compiled to false: the same training, slower",
        )


@contextmanager
def _settings(
    model: torch.nn.Module, teacher: torch.nn.Module | None, config: TrainConfig
) -> Iterator[None]:
    """Threads, device and memory format for a training; all as before afterwards, but the mode is eval."""
    import torch

    threads = torch.get_num_threads()
    deterministic = torch.backends.cudnn.deterministic
    modules = [model] if teacher is None else [model, teacher]
    homes = [next((p.device for p in m.parameters()), torch.device("cpu")) for m in modules]
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic = True
    for module in modules:
        module.to(config.device).eval()
        if config.channels_last:
            _to_channels_last(module)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = deterministic
        for module, home in zip(modules, homes, strict=True):
            module.to(home).eval()
            _to_contiguous(module)


def _to_channels_last(module: torch.nn.Module) -> None:
    for parameter in module.parameters():
        parameter.data = channels_last(parameter.data)


def _to_contiguous(module: torch.nn.Module) -> None:
    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()
