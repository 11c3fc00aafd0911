"""The training split in memory, cut into shuffled batches by index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.errors import InputError
from .evaluation import as_tensors
from .randomness import derive
from .task import Split, Task
from .training_config import TrainConfig

if TYPE_CHECKING:
    import torch

IN_MEMORY_BYTES = 1 << 30
"""Up to this size the normalised split is kept as float32; above it batches are normalised one by one."""


@dataclass
class Batches:
    """Batches of a split. Which samples are in batch `index` of `epoch` depends on the seed only."""

    task: Task
    split: Split
    config: TrainConfig
    inputs: tuple[torch.Tensor, ...] | None
    targets: torch.Tensor
    batch_size: int
    per_epoch: int

    @staticmethod
    def of(task: Task, config: TrainConfig) -> Batches:
        """The task's training split; an empty one is an `InputError`."""
        import torch

        split = task.load("train")
        if not len(split):
            raise InputError(f"the training split of task {task.name} is empty")
        batch_size = min(config.batch_size, len(split))
        values = sum(x.size for x in split.inputs)
        inputs = None
        if values * 4 <= IN_MEMORY_BYTES:
            inputs = tuple(x.to(config.device) for x in as_tensors(task, split, slice(None)))
        targets = torch.from_numpy(np.ascontiguousarray(split.targets)).to(config.device)
        return Batches(task, split, config, inputs, targets, batch_size, len(split) // batch_size)

    def order(self, epoch: int) -> torch.Tensor:
        """The permutation of all samples in an epoch."""
        import torch

        generator = torch.Generator().manual_seed(derive(self.config.seed, "order", epoch))
        return torch.randperm(len(self.split), generator=generator)

    def take(self, order: torch.Tensor, index: int, step: int) -> tuple[list[Any], Any]:
        """Augmented inputs and targets of batch `index` of an epoch's order, for global step `step`."""
        import torch

        rows = order[index * self.batch_size : (index + 1) * self.batch_size]
        chosen = rows.to(self.targets.device)
        if self.inputs is None:
            loaded = as_tensors(self.task, self.split, rows.numpy())
            inputs = [x.to(self.config.device) for x in loaded]
        else:
            inputs = [x[chosen] for x in self.inputs]
        if self.config.augment and self.task.augment is not None:
            generator = torch.Generator().manual_seed(derive(self.config.seed, "augment", step))
            inputs[0] = self.task.augment(inputs[0], generator)
        if self.config.channels_last:
            inputs = [channels_last(x) for x in inputs]
        return inputs, self.targets[chosen]


def as_float(outputs: Any) -> Any:
    """Outputs in bfloat16, alone or in lists and tuples, as float32."""
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
    if isinstance(outputs, (list, tuple)):
        return type(outputs)(as_float(one) for one in outputs)
    return outputs


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Four-axis tensors in channels-last memory, others as they are."""
    import torch

    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
