"""A small vision transformer for 32x32 images (Dosovitskiy et al., ICLR 2021, section 3.1, pre-norm).

    4x4 patches -> 64 tokens of `width`, learned positions; `depth` times (LayerNorm, attention, add, LayerNorm,
    two linear layers with GELU, add); LayerNorm, mean over the tokens, linear layer.

Attention is written out, softmax(q k' / sqrt(d)) v, so that exporters see MatMul, Softmax and Add. The mean
over tokens replaces the class token (Beyer et al., 2022).

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention: [N,tokens,width] -> the same."""

    def __init__(self, tokens: int, width: int, heads: int):
        super().__init__()
        self.shape = (tokens, heads, width // heads)
        self.scale = (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attended tokens."""
        tokens, heads, size = self.shape
        query = self.query(x).reshape(-1, tokens, heads, size).transpose(1, 2)
        key = self.key(x).reshape(-1, tokens, heads, size).permute(0, 2, 3, 1)
        value = self.value(x).reshape(-1, tokens, heads, size).transpose(1, 2)
        weights = torch.softmax(torch.matmul(query, key) * self.scale, dim=-1)
        mixed = torch.matmul(weights, value).transpose(1, 2).reshape(-1, tokens, heads * size)
        return self.output(mixed)


class Block(nn.Module):
    """Attention and two linear layers, each behind a LayerNorm and beside a shortcut."""

    def __init__(self, tokens: int, width: int, heads: int, hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(tokens, width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """[N,tokens,width] -> the same."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """[N,channels,32,32] -> [N,classes] logits."""

    def __init__(self, classes: int, channels: int, width: int, depth: int, heads: int, patch: int):
        super().__init__()
        tokens = (32 // patch) ** 2
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        blocks = (Block(tokens, width, heads, 2 * width) for _ in range(depth))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.linear(self.norm(self.blocks(x)).mean(1))


def vit_tiny(classes: int = 10, channels: int = 3) -> VisionTransformer:
    """Width 64, depth 4, 4 heads, patches of 4x4 pixels."""
    return VisionTransformer(classes, channels, width=64, depth=4, heads=4, patch=4)
