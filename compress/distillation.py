"""The loss of a training: the task's own, label smoothing, and what a teacher says.

    L = (1 - a) CE(y, softmax(z_s)) + a T^2 KL(softmax(z_t / T) || softmax(z_s / T))

(Hinton, Vinyals, Dean, 2015.) For tasks that are not classification the second term is a times the mean squared
difference of the two outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..runtime.errors import UsageError
from .task import Task
from .training_config import TrainConfig
from .training_data import as_float

if TYPE_CHECKING:
    import torch

Criterion = Callable[[Any, Any, Sequence[Any]], Any]
"""(student outputs, targets, inputs) -> scalar loss."""


def criterion(task: Task, config: TrainConfig, teacher: torch.nn.Module | None) -> Criterion:
    """The loss that `config` asks for; label smoothing needs a classification task (`UsageError`)."""
    if config.label_smoothing and task.kind != "classification":
        raise UsageError(
            f"label_smoothing is {config.label_smoothing}, but task {task.name} is {task.kind}",
            hint="set label_smoothing to 0",
        )
    hard = _smoothed(config.label_smoothing) if config.label_smoothing else task.loss
    if teacher is None:
        return lambda outputs, targets, inputs: hard(outputs, targets)
    weight, temperature = config.distill_weight, config.distill_temperature
    soft = soft_loss(temperature) if task.kind == "classification" else _squared_difference

    def distilled(outputs: Any, targets: Any, inputs: Sequence[Any]) -> Any:
        import torch

        with torch.no_grad():
            taught = as_float(teacher(*inputs))
        return (1 - weight) * hard(outputs, targets) + weight * soft(
            _first(outputs), _first(taught)
        )

    return distilled


def soft_loss(temperature: float) -> Callable[[Any, Any], Any]:
    """(student logits, teacher logits) -> T^2 KL(teacher || student) at temperature T, mean over the batch."""

    def loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        log_student = F.log_softmax(student / temperature, dim=1)
        log_teacher = F.log_softmax(teacher / temperature, dim=1)
        divergence = F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
        return divergence * temperature**2

    return loss


def _smoothed(smoothing: float) -> Callable[[Any, Any], Any]:
    def loss(outputs: Any, targets: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        return F.cross_entropy(_first(outputs), targets.long(), label_smoothing=smoothing)

    return loss


def _squared_difference(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as F

    return F.mse_loss(student, teacher)


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs
