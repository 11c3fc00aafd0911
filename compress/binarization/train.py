"""Training a binarized model: two stages, the operators' schedules, who decays, batch norms estimated anew.

    results = train_binary(model, task, config, teacher=float_model, first_stage=0.5)

First the activations are binary and the weights real, then the weights as well (Martinez et al., ICLR 2020; Liu et
al., ReActNet, 2020). Latent weights of straight-through operators are held in [-1, 1] and never decay.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...runtime.errors import UsageError
from ..progress import Progress
from ..task import Task
from ..training import Moment, TrainConfig, TrainResult, train
from .binarize import binary_layers, set_binary_weights
from .bop import to_signs
from .catalogue import OPERATORS

NORM_BATCHES, NORM_BATCH = 50, 128


@dataclasses.dataclass(frozen=True)
class StageResult:
    """One stage: "activations" (weights real) or "weights" (both binary)."""

    name: str
    result: TrainResult


def train_binary(
    model: nn.Module,
    task: Task,
    config: TrainConfig,
    *,
    teacher: nn.Module | None = None,
    first_stage: float = 0.5,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[StageResult, ...]:
    """Train `model` in place; `first_stage` is the share of the epochs with real weights.

    A checkpoint belongs to each stage ("NAME" and "NAME.first"); batch norms are estimated anew at the end.
    """
    if not 0 <= first_stage < 1:
        raise UsageError(f"first_stage is {first_stage}, it must be in [0, 1)")
    early = min(round(config.epochs * first_stage), config.epochs - 1)
    results = []
    for name, epochs in (("activations", early), ("weights", config.epochs - early)):
        if not epochs:
            continue
        set_binary_weights(model, name == "weights")
        if name == "weights" and config.optimizer == "bop":
            to_signs(layer.weight for layer in binary_layers(model).values())
        results.append(
            StageResult(
                name,
                train(
                    model,
                    task,
                    _stage_config(config, epochs, name),
                    teacher=teacher,
                    checkpoint=_stage_checkpoint(checkpoint, name),
                    progress=progress,
                    on_epoch=set_schedules,
                    on_step=clip_latents if name == "weights" else None,
                    parameter_groups=parameter_groups,
                ),
            )
        )
    for layer in binary_layers(model).values():
        layer.operator.at(config.epochs - 1, config.epochs)
    reestimate_norms(model, task, config.seed, device=config.device)
    return tuple(results)


def _stage_config(config: TrainConfig, epochs: int, name: str) -> TrainConfig:
    """Warm-up belongs to the first stage that runs; real weights are not moved by Bop."""
    warmup = min(config.warmup_epochs, max(0.0, epochs - 1))
    optimizer = "adam" if name == "activations" and config.optimizer == "bop" else config.optimizer
    return dataclasses.replace(config, epochs=epochs, warmup_epochs=warmup, optimizer=optimizer)


def _stage_checkpoint(checkpoint: Path | None, name: str) -> Path | None:
    if checkpoint is None or name == "weights":
        return checkpoint
    return checkpoint.with_name(f"{checkpoint.name}.first")


def set_schedules(moment: Moment) -> None:
    """Hook of every epoch: surrogates, bounds and noise of this moment."""
    for layer in binary_layers(moment.model).values():
        layer.operator.at(moment.epoch, moment.epochs)


@torch.no_grad()
def clip_latents(moment: Moment) -> None:
    """Hook of every step: latent weights stay where their surrogate's gradient is not 0."""
    for layer in binary_layers(moment.model).values():
        if OPERATORS[layer.operator_name].clip_latent:
            layer.weight.clamp_(-1, 1)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Latent weights (decay only where the operator renormalises them), other weights of layers, the rest."""
    latent: list[Any] = []
    decaying: list[Any] = []
    free: list[Any] = []
    layers = binary_layers(model).values()
    held = {id(layer.weight): OPERATORS[layer.operator_name].decay_latent for layer in layers}
    binary = {id(layer.weight) for layer in layers if layer.binary_weights}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_weight = name.rpartition(".")[2].startswith("weight") and parameter.dim() > 1
        if id(parameter) in binary and not held[id(parameter)]:
            latent.append(parameter)
        else:
            (decaying if is_weight and ".operator." not in name else free).append(parameter)
    groups = [
        {"params": latent, "weight_decay": 0.0, "binary": config.optimizer == "bop"},
        {"params": decaying, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def reestimate_norms(
    model: nn.Module,
    task: Task,
    seed: int = 0,
    batches: int = NORM_BATCHES,
    device: str = "cpu",
) -> int:
    """Batch norm statistics as the plain mean over training batches with the weights as they are now.

    Gives the number of batches seen; 0 where the model has no batch norm.
    """
    import numpy as np

    from ..evaluation import as_tensors

    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return 0
    split = task.load("train")
    order = np.random.default_rng(seed).permutation(len(split))[: batches * NORM_BATCH]
    home = next(model.parameters()).device
    model.to(device)
    with _estimating(model, norms):
        seen = 0
        for start in range(0, len(order), NORM_BATCH):
            rows = order[start : start + NORM_BATCH]
            if len(rows) > 1:
                model(*(x.to(device) for x in as_tensors(task, split, np.sort(rows))))
                seen += 1
    model.to(home)
    return seen


@contextmanager
def _estimating(model: nn.Module, norms: list[Any]) -> Iterator[None]:
    """Everything in eval mode but batch norms, which average from nothing."""
    modes = [(m, m.training) for m in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training
