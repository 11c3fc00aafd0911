"""Networks for two seconds of wrist movement: six channels (accelerometer, gyroscope), 40 samples at 20 Hz.

`har_cnn`: conv 5, BN, ReLU, max pool 2, conv 5, BN, ReLU, mean over time, linear: about 12,000 parameters.
`har_gru`: one GRU of 48 units, last state, linear: 8,407 parameters (GRU: Cho et al., EMNLP 2014).
Both take [N,channels,samples] (NCL).

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class HarCnn(nn.Module):
    """[N,channels,40] -> [N,classes] logits."""

    def __init__(self, classes: int, channels: int, width: int):
        super().__init__()
        self.conv1 = nn.Conv1d(channels, width, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm1d(width)
        self.pool = nn.MaxPool1d(2)
        self.conv2 = nn.Conv1d(width, 2 * width, 5, padding=2, bias=False)
        self.bn2 = nn.BatchNorm1d(2 * width)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = F.relu(self.bn2(self.conv2(x)))
        return self.fc(self.dropout(x.mean(2)))


class HarGru(nn.Module):
    """[N,channels,40] -> [N,classes] logits."""

    def __init__(self, classes: int, channels: int, units: int):
        super().__init__()
        self.gru = nn.GRU(channels, units, batch_first=True)
        self.fc = nn.Linear(units, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        states, _ = self.gru(x.transpose(1, 2))
        return self.fc(states[:, -1])


def har_cnn(classes: int = 7, channels: int = 6, width: int = 32) -> HarCnn:
    """The 1-D CNN of the demo."""
    return HarCnn(classes, channels, width)


def har_gru(classes: int = 7, channels: int = 6, units: int = 48) -> HarGru:
    """The recurrent network."""
    return HarGru(classes, channels, units)
