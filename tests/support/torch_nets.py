"""Small float networks as people write them, one for each kind of architecture. Import inside tests that need torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MobileBlock(nn.Module):
    """MobileNetV3: expand, depthwise, squeeze and excite with a hard sigmoid, hard swish, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish())
        self.expand = nn.Sequential(nn.Conv2d(8, 24, 1), nn.BatchNorm2d(24), nn.Hardswish())
        self.depthwise = nn.Conv2d(24, 24, 5, 1, 2, groups=24)
        self.squeeze = nn.Conv2d(24, 8, 1)
        self.excite = nn.Conv2d(8, 24, 1)
        self.project = nn.Conv2d(24, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = F.hardswish(self.depthwise(self.expand(x)))
        gate = F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))
        y = y * F.hardsigmoid(self.excite(gate))
        return self.head((x + self.project(y)).mean((2, 3)))


class ShuffleUnit(nn.Module):
    """ShuffleNetV2: split the channels, work on one half, join, shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.units = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(8, 8, 1),
                nn.ReLU(),
                nn.Conv2d(8, 8, 3, 1, 1, groups=8),
                nn.Conv2d(8, 8, 1),
            )
            for _ in range(2)
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for unit in self.units:
            kept, worked = x.chunk(2, dim=1)
            x = torch.cat([kept, F.relu(unit(worked))], 1)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(x.mean((2, 3)))


class Unet(nn.Module):
    """Down, up by every kind of resize, skip connections; an image comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 16, 3, 1, 1)])
        self.middle = nn.Conv2d(16, 16, 3, 1, 1)
        self.up = nn.ModuleList([nn.Conv2d(32, 8, 3, 1, 1), nn.Conv2d(16, 8, 3, 1, 1)])
        self.transposed = nn.ConvTranspose2d(8, 4, 2, 2)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for layer in self.down:
            x = F.leaky_relu(layer(x), 0.1)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = F.relu(self.middle(F.pad(x, (1, 1, 1, 1), mode="reflect")))[:, :, 1:-1, 1:-1]
        modes: list[dict] = [
            {"mode": "nearest"},
            {"mode": "bilinear", "align_corners": False},
        ]
        for layer, how in zip(self.up, modes, strict=True):
            x = F.interpolate(x, scale_factor=2, **how)
            x = F.relu(layer(torch.cat([x, skips.pop()], 1)))
        return self.head(
            F.interpolate(self.transposed(x), size=(9, 7), mode="bilinear", align_corners=True)
        )


class Vit(nn.Module):
    """Patches, a class token, one transformer block written out, LayerNorm, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.position = nn.Parameter(torch.randn(1, 17, 16))
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 5)

    def attention(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, 4, c // 4).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-2, -1) * (c // 4) ** -0.5, -1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, t, c))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


class Encoder(nn.Module):
    """torch's own transformer layer, attention over a series."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(3, 16, 3, padding=1)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.enter(x).transpose(1, 2)).mean(1))


class Recurrent(nn.Module):
    """A recurrent classifier over 40 steps of 6 values; takes [N, C, T] as the watch windows come."""

    def __init__(self, kind: str, **options: object) -> None:
        super().__init__()
        self.cells = getattr(nn, kind)(6, 12, batch_first=True, **options)
        self.head = nn.Linear(24 if options.get("bidirectional") else 12, 5)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cells(x.transpose(1, 2))
        return self.head(states[:, -1])


class Pieces(nn.Module):
    """Pixel shuffle and unshuffle, group and instance normalisation, roll, flip, comparison, where, stack."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.group = nn.GroupNorm(2, 8)
        self.instance = nn.InstanceNorm2d(8, affine=True)
        self.b = nn.Conv2d(8, 12, 1)
        self.c = nn.Conv2d(12, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.group(self.a(x)))
        x = torch.where(x > 0.1, x, x.abs() * 0.5)
        x = self.instance(torch.roll(x, 1, dims=2)).flip(3)
        x = F.pixel_unshuffle(F.pixel_shuffle(self.b(x), 2), 2)
        x = F.pad(self.c(x), (2, 1, 0, 1), mode="replicate")
        pair = torch.stack([x.amax((2, 3)), x.amin((2, 3)), x.std((2, 3))], 1)
        return torch.clamp(pair, -2.0, 1.5) - F.normalize(pair, dim=2)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mobile": (MobileBlock, (1, 3, 16, 16)),
    "shuffle": (ShuffleUnit, (1, 3, 16, 16)),
    "unet": (Unet, (1, 3, 16, 16)),
    "vit": (Vit, (1, 3, 16, 16)),
    "encoder": (Encoder, (1, 3, 20)),
    "lstm": (lambda: Recurrent("LSTM"), (1, 6, 40)),
    "gru": (lambda: Recurrent("GRU"), (1, 6, 40)),
    "bi_gru": (lambda: Recurrent("GRU", bidirectional=True, num_layers=2), (1, 6, 10)),
    "pieces": (Pieces, (1, 3, 8, 8)),
}
"""Name -> (constructor, input shape)."""


def build(name: str) -> nn.Module:
    """The network with fixed weights and non-trivial batch statistics, in eval mode."""
    torch.manual_seed(0)
    net = NETS[name][0]()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()
