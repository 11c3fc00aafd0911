"""Running a torch model over a split, and judging it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.errors import InputError
from .receipt import Score
from .task import Array, Split, Task

if TYPE_CHECKING:
    import torch


def predict(
    model: torch.nn.Module,
    task: Task,
    split: Split,
    batch_size: int = 256,
    device: str = "cpu",
) -> list[Array]:
    """Outputs of `model` for all of `split`, one array per output; the model keeps its mode and device.

    Raises:
        InputError: the split is empty.
    """
    import torch

    if not len(split):
        raise InputError(f"the split {split.name} of task {task.name} is empty")
    batches: list[list[Array]] = []
    with torch.no_grad(), _judging(model, device):
        for start in range(0, len(split), batch_size):
            inputs = as_tensors(task, split, slice(start, start + batch_size))
            outputs = model(*(x.to(device) for x in inputs))
            batches.append([y.cpu().numpy() for y in _flat(outputs)])
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def evaluate(
    model: torch.nn.Module,
    task: Task,
    split_name: str,
    limit: int | None = None,
    batch_size: int = 256,
    device: str = "cpu",
) -> Score:
    """The task's metric of `model` on a split, or on its first `limit` samples."""
    split = task.load(split_name)
    return judge(model, task, split if limit is None else split.head(limit), batch_size, device)


def judge(
    model: torch.nn.Module, task: Task, split: Split, batch_size: int = 256, device: str = "cpu"
) -> Score:
    """`evaluate` on a split that is loaded already."""
    return score_outputs(task, split, predict(model, task, split, batch_size, device))


def score_outputs(task: Task, split: Split, outputs: list[Array]) -> Score:
    """The task's metric of outputs that any engine gave for `split`."""
    return Score(
        metric=task.metric.name,
        value=task.score(outputs, split),
        unit=task.metric.unit,
        split=f"{task.name}/{split.name}",
        samples=len(split),
        higher_is_better=task.metric.higher_is_better,
        seen_in_training=split.name in task.seen,
    )


def as_tensors(task: Task, split: Split, rows: Any) -> tuple[torch.Tensor, ...]:
    """Float tensors of the chosen rows: the first input normalised, others as they are."""
    import torch

    raw = [x[rows] for x in split.inputs]
    values = [task.normalise(raw[0]), *(np.asarray(x, np.float32) for x in raw[1:])]
    return tuple(torch.from_numpy(np.require(v, requirements=["C", "W"])) for v in values)


@contextmanager
def _judging(model: torch.nn.Module, device: str) -> Iterator[None]:
    """Eval mode on `device`; afterwards every module has its own mode and the model its device."""
    modes = [(module, module.training) for module in model.modules()]
    home = next((p.device for p in model.parameters()), None)
    model.to(device).eval()
    try:
        yield
    finally:
        if home is not None:
            model.to(home)
        for module, training in modes:
            module.training = training


def _flat(outputs: Any) -> list[Any]:
    """Tensors inside nested tuples, lists and dicts, in order."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, (tuple, list)):
        return [tensor for item in outputs for tensor in _flat(item)]
    return [outputs]
