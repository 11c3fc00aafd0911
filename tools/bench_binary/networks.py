"""The networks of the benchmark: those of the zoo, a dense one and a transformer for any image or series.

    model = build(Case("watch-har", "transformer"), task)

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...compress import zoo
from ...compress.binarization.binarize import binarize
from ...compress.binarization.records import BinarizeConfig
from ...compress.task import Task
from ...compress.zoo.vit import Block
from .records import Case

HIDDEN, WIDTH, DEPTH, HEADS, PATCH = 256, 48, 2, 4, 4


class Mlp(nn.Module):
    """[N,...] -> [N,classes] logits: three dense layers, the one in the middle binary later."""

    def __init__(self, values: int, classes: int):
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(values, HIDDEN), nn.BatchNorm1d(HIDDEN)
        self.fc2, self.bn2 = nn.Linear(HIDDEN, HIDDEN), nn.BatchNorm1d(HIDDEN)
        self.fc3 = nn.Linear(HIDDEN, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = torch.relu(self.bn1(self.fc1(x.flatten(1))))
        return self.fc3(torch.relu(self.bn2(self.fc2(x))))


class PatchTransformer(nn.Module):
    """[N,C,L] or [N,C,H,W] -> [N,classes] logits: patches of 4, attention and dense layers as the zoo's transformer."""

    def __init__(self, shape: tuple[int, ...], classes: int):
        super().__init__()
        kind = nn.Conv1d if len(shape) == 2 else nn.Conv2d
        self.patches = kind(shape[0], WIDTH, PATCH, stride=PATCH)
        tokens = math.prod(n // PATCH for n in shape[1:])
        self.positions = nn.Parameter(torch.randn(1, tokens, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*(Block(tokens, WIDTH, HEADS, 2 * WIDTH) for _ in range(DEPTH)))
        self.norm, self.linear = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.linear(self.norm(self.blocks(x)).mean(1))


def build(case: Case, task: Task) -> nn.Module:
    """The float network of a case; weights come from torch's global generator."""
    shape, classes = task.input_shapes[0], len(task.labels)
    if case.network == "mlp":
        return Mlp(math.prod(shape), classes)
    if case.network == "transformer":
        return PatchTransformer(shape, classes)
    return zoo.build_for(case.network, task)


def example_of(task: Task) -> tuple[Tensor, ...]:
    """A batch of two."""
    return tuple(torch.zeros(2, *shape) for shape in task.input_shapes)


def binary(case: Case, model: nn.Module, task: Task, operator: str) -> Any:
    """A binary copy of `model`: first and last layer real, borders of +1, hardtanh for ReLU."""
    config = BinarizeConfig(operator=operator, last=case.network == "toy_cnn")
    return binarize(model, example_of(task), config)
