"""Which parameters an optimizer moves, how strongly it pulls them to zero, and the average it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .training_config import TrainConfig

if TYPE_CHECKING:
    import torch

ParameterGroups = Callable[[Any, TrainConfig], list[dict[str, Any]]]
"""(model, config) -> torch parameter groups; a group's "lr" is scaled by the schedule like the default one."""


def default_groups(model: torch.nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Two groups: weights of layers, which decay, and everything else (biases, norms, scales, positions)."""
    decaying: list[Any] = []
    free: list[Any] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_weight = name.rpartition(".")[2].startswith("weight") and parameter.dim() > 1
            (decaying if is_weight else free).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(
    model: torch.nn.Module, config: TrainConfig, groups: ParameterGroups | None
) -> torch.optim.Optimizer:
    """The optimizer that `config` names over `groups` (default: `default_groups`)."""
    import torch

    chosen = (groups or default_groups)(model, config)
    common = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(chosen, momentum=config.momentum, nesterov=nesterov, **common)
    if config.optimizer == "bop":
        from .binarization.bop import Bop

        return Bop(chosen, **common)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(chosen, **common)


class Average:
    """Exponential moving average of a model's floating state: m <- d m + (1 - d) w, d at most (1 + n) / (10 + n)."""

    def __init__(self, model: torch.nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, model: torch.nn.Module) -> None:
        """Take the model's present state in; counters and flags are copied."""
        import torch

        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        with torch.no_grad():
            for key, value in model.state_dict().items():
                if value.is_floating_point():
                    self.state[key].lerp_(value, 1 - decay)
                else:
                    self.state[key].copy_(value)

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"updates": self.updates, "state": self.state}

    def from_dict(self, content: Mapping[str, Any]) -> None:
        """From a checkpoint."""
        self.updates = int(content["updates"])
        for key, value in content["state"].items():
            self.state[key].copy_(value)
