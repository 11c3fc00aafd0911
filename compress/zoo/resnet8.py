"""ResNet-8 for 32x32 images, the topology of MLPerf Tiny's image classification (Banbury et al., 2021).

    conv 3 -> 16, then one block each of 16, 32 and 64 channels; the shortcut of the last two is a 1x1
    convolution with bias and without batch norm; global mean; linear layer.

Where the reference pads like TensorFlow ("same", one more behind at stride 2) this pads one pixel on both
sides; parameters and MACs are the same.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ProjectedBlock(nn.Module):
    """conv3x3, BN, ReLU, conv3x3, BN, plus the shortcut (1x1 convolution where the shape changes), ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs,H,W] -> [N,outputs,H/stride,W/stride]."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet8(nn.Module):
    """[N,channels,32,32] -> [N,classes] logits."""

    def __init__(self, classes: int = 10, channels: int = 3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.block1 = ProjectedBlock(16, 16, 1)
        self.block2 = ProjectedBlock(16, 32, 2)
        self.block3 = ProjectedBlock(32, 64, 2)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.linear(x.mean((2, 3)))


def resnet8(classes: int = 10, channels: int = 3) -> ResNet8:
    """77,360 trainable parameters less the convolution biases that batch norm makes useless."""
    return ResNet8(classes, channels)
