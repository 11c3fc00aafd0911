"""A network of a few hundred parameters for smoke tests; no accuracy is ever claimed for it.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ToyCnn(nn.Module):
    """[N,channels,8,8] -> [N,classes] logits."""

    def __init__(self, classes: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.fc(F.relu(self.bn(self.conv(x))).mean((2, 3)))


def toy_cnn(classes: int = 3, channels: int = 1) -> ToyCnn:
    """One convolution and one linear layer."""
    return ToyCnn(classes, channels)
