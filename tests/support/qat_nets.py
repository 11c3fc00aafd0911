"""Small float modules, written as people write them, that quantization-aware training must take unmodified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Call(nn.Module):
    """A function as a module, as CIFAR ResNets wrap their shortcut."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Sequential()
        if stride != 1:
            pad = (outputs - inputs) // 2
            self.shortcut = Call(
                lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, pad, pad), "constant", 0)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class Residual(nn.Module):
    """Two residual blocks, option-A shortcut, functional pooling with a traced size, view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 16, 2))
        self.linear = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer1(out)
        out = F.avg_pool2d(out, out.size()[3])
        out = out.view(out.size(0), -1)
        return self.linear(out)


class Depthwise(nn.Module):
    """Depthwise, pointwise and grouped convolutions, ReLU6 in three spellings, mean as a tensor method, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True),
            nn.Conv2d(8, 16, 3, 1, 1, groups=8, bias=False),
            nn.BatchNorm2d(16),
            nn.Hardtanh(0.0, 6.0),
            nn.Conv2d(16, 16, 1),
        )
        self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.features(x))
        x = F.relu(self.grouped(x)).mean((2, 3))
        return self.classifier(self.dropout(x))


class Concat(nn.Module):
    """A concatenation of three branches behind a normalisation that nothing in front can take, max-pooling, flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 1)
        self.bn = nn.BatchNorm2d(24)
        self.pool = nn.MaxPool2d(2)
        self.d = nn.Conv2d(24, 12, 3, padding="same")
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(x))
        y = self.b(x).relu()
        z = torch.cat([x, y, self.c(y)], 1)
        z = self.pool(F.relu(self.bn(z)))
        z = F.relu(self.d(z))
        return self.fc(F.adaptive_avg_pool2d(z, 1).flatten(1))


class Gated(nn.Module):
    """Squeeze-and-excitation whose gate also meets another tensor in a concatenation: one extra QUANTIZE."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x))
        gate = torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        x = x * gate
        both = torch.cat([F.adaptive_max_pool2d(x, 1), gate], dim=1)
        return self.fc(torch.flatten(both, 1))


class Shuffle(nn.Module):
    """chunk, channel shuffle by view and transpose, a layer called twice, arithmetic with numbers, SiLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.silu = nn.SiLU()
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.silu(self.stem(x))
        left, right = x.chunk(2, dim=1)
        right = self.twice(torch.relu(self.twice(right)) * 0.5 + 1)
        x = torch.cat((left, right), 1)
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
        return self.fc(F.max_pool2d(x, 2).mean(dim=[-2, -1]))


class Series(nn.Module):
    """1-D: strided and dilated convolutions, max-pooling, a transposed convolution, a linear layer on three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(6, 8, 5, stride=2, padding=2)
        self.bn = nn.BatchNorm1d(8)
        self.dilated = nn.Conv1d(8, 8, 3, padding=2, dilation=2)
        self.up = nn.ConvTranspose1d(8, 4, 2, stride=2)
        self.mix = nn.Linear(20, 6)
        self.fc = nn.Linear(24, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool1d(torch.relu(self.bn(self.conv(x))), 2)
        x = F.relu(self.dilated(x))
        x = self.mix(F.relu(self.up(x)))
        return self.fc(F.leaky_relu(x, 0.1).flatten(1))


class InPlace(nn.Module):
    """An in-place ReLU whose input is used again afterwards, so that the addition sees the rectified values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y = self.relu(x)
        y = y + x
        return self.fc(y.mean((2, 3)))


NETS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (3, 16, 16)),
    "depthwise": (Depthwise, (3, 16, 16)),
    "concat": (Concat, (3, 16, 16)),
    "gated": (Gated, (3, 8, 8)),
    "shuffle": (Shuffle, (3, 8, 8)),
    "series": (Series, (6, 40)),
    "in_place": (InPlace, (3, 8, 8)),
}


def build(name: str, seed: int = 0) -> Any:
    """A net in eval mode with seeded weights and lively normalisation statistics."""
    torch.manual_seed(seed)
    net = NETS[name][0]()
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            count = module.num_features
            module.running_mean.copy_(torch.randn(count) * 0.3)
            module.running_var.copy_(torch.rand(count) + 0.3)
            with torch.no_grad():
                module.weight.copy_(torch.rand(count) + 0.5)
                module.bias.copy_(torch.randn(count) * 0.3)
    return net.eval()


def batch(name: str, count: int, seed: int = 1) -> Tensor:
    """Normalised inputs of a net."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *NETS[name][1], generator=generator)
