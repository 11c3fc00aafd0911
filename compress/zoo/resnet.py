"""CIFAR residual networks of 6n + 2 layers (He et al., CVPR 2016, section 4.2), shortcut option A.

    3x3 conv 3 -> 16, batch norm, ReLU; three stages of n basic blocks, widths 16/32/64, the first block of
    stages two and three halves the image; global mean; linear layer.

Where the shape changes the shortcut takes every second pixel and pads the channels with zeros, equally in
front and behind: it has no weights. `shortcuts="conv"` gives every convolution a shortcut of its own (Bi-Real
networks, Liu et al., ECCV 2018, figure 3): the same keys and parameters, what binary networks need. Keys follow
the usual `conv1`, `bn1`, `layer1.0.conv1`, `linear`.
Published parameters (table 6): 0.27 M, 0.46 M, 0.66 M, 0.85 M for 20, 32, 44, 56 layers.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...runtime.errors import UsageError

WIDTHS = (16, 32, 64)
SHORTCUTS = ("block", "conv")


class PaddedShortcut(nn.Module):
    """Every second pixel, and `padding` zero channels on both sides: [N,C,H,W] -> [N,C+2*padding,H/2,W/2]."""

    def __init__(self, padding: int):
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """The shortcut's value."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


class BasicBlock(nn.Module):
    """conv3x3, BN, ReLU, conv3x3, BN, plus the shortcut, ReLU; or a shortcut around each convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, per_conv: bool = False):
        super().__init__()
        self.per_conv = per_conv
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        self.shortcut = PaddedShortcut((outputs - inputs) // 2) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs,H,W] -> [N,outputs,H/stride,W/stride]."""
        if self.per_conv:
            out = F.relu(self.bn1(self.conv1(x)) + self.shortcut(x))
            return F.relu(self.bn2(self.conv2(out)) + out)
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """[N,3,32,32] normalised pixels -> [N,classes] logits."""

    def __init__(self, blocks: int, classes: int = 10, shortcuts: str = "block"):
        super().__init__()
        if shortcuts not in SHORTCUTS:
            raise UsageError(
                f"a resnet has no shortcuts {shortcuts!r}", hint=f"it has {', '.join(SHORTCUTS)}"
            )
        per_conv = shortcuts == "conv"
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], blocks, 1, per_conv)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], blocks, 2, per_conv)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], blocks, 2, per_conv)
        self.linear = nn.Linear(WIDTHS[2], classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def _stage(inputs: int, outputs: int, blocks: int, stride: int, per_conv: bool) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride, per_conv)
    more = (BasicBlock(outputs, outputs, 1, per_conv) for _ in range(blocks - 1))
    return nn.Sequential(first, *more)


def resnet20(classes: int = 10, shortcuts: str = "block") -> CifarResNet:
    """3 blocks a stage, 269,722 parameters."""
    return CifarResNet(3, classes, shortcuts)


def resnet32(classes: int = 10, shortcuts: str = "block") -> CifarResNet:
    """5 blocks a stage, 464,154 parameters."""
    return CifarResNet(5, classes, shortcuts)


def resnet44(classes: int = 10, shortcuts: str = "block") -> CifarResNet:
    """7 blocks a stage, 658,586 parameters."""
    return CifarResNet(7, classes, shortcuts)


def resnet56(classes: int = 10, shortcuts: str = "block") -> CifarResNet:
    """9 blocks a stage, 853,018 parameters."""
    return CifarResNet(9, classes, shortcuts)
