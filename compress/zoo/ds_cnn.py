"""DS-CNN for keyword spotting: the small network of Zhang et al., Hello Edge (2017), as MLPerf Tiny runs it.

    conv 10x4 stride 2, BN, ReLU; four times (depthwise 3x3, BN, ReLU, pointwise 1x1, BN, ReLU);
    global mean; linear layer.

Input [N,1,49,10]: 49 frames of 10 MFCCs; other sizes work, the mean takes what is left. Padding is symmetric
(5 and 1), the reference pads 4 and 5 in time; parameters and MACs are the same.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from torch import Tensor, nn


def _normalised(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


def separable(width: int) -> list[nn.Module]:
    """Depthwise 3x3 and pointwise 1x1 convolution, each with batch norm and ReLU."""
    depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
    return [*_normalised(depthwise), *_normalised(nn.Conv2d(width, width, 1, bias=False))]


class DsCnn(nn.Module):
    """[N,channels,frames,coefficients] -> [N,classes] logits."""

    def __init__(self, classes: int, channels: int, width: int, blocks: int, dropout: float):
        super().__init__()
        stem = nn.Conv2d(channels, width, (10, 4), stride=2, padding=(5, 1), bias=False)
        layers = [*_normalised(stem), nn.Dropout(dropout / 2)]
        for _ in range(blocks):
            layers += separable(width)
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.linear(self.dropout(self.features(x).mean((2, 3))))


def ds_cnn(
    classes: int = 12, channels: int = 1, width: int = 64, blocks: int = 4, dropout: float = 0.4
) -> DsCnn:
    """The MLPerf Tiny network by default. Narrow ones learn faster without dropout (half of it after the stem)."""
    return DsCnn(classes, channels, width, blocks, dropout)
