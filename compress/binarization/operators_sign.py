"""Operators that take signs of weights as they are: BNN, XNOR-Net, DoReFa, Bi-Real, XNOR-Net++, ReActNet.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...runtime.errors import UsageError
from .gradients import Identity, Poly, sign_through, zero_or_one
from .operators import LayerShape, Operator, channel_mean, layer_mean


class Bnn(Operator):
    """BNN: signs, straight through inside [-1, 1], no scale."""


class Xnor(Operator):
    """XNOR-Net without input scale, and DoReFa of BiBench: scale a_o."""

    def scale(self, latent: Tensor) -> Tensor:
        """a_o."""
        return channel_mean(latent)


class XnorBibench(Xnor):
    """XNOR-Net with one input scale per sample: b = mean |X|."""

    def output(self, y: Tensor, x: Tensor) -> Tensor:
        """y b."""
        return y * x.detach().abs().mean(tuple(range(1, x.dim())), keepdim=True)


class XnorPaper(Xnor):
    """XNOR-Net with the paper's map K: mean |X| over channels, averaged over each window.

    The layer tells stride, padding and dilation in `geometry`; a dense layer's window is its whole input.
    """

    geometry: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None

    def output(self, y: Tensor, x: Tensor) -> Tensor:
        """y K; border windows average over zeros beyond the edge."""
        kernel, size = self.shape.kernel, x.detach().abs()
        if not kernel:
            return y * size.mean(-1, keepdim=True)
        mean = size.mean(1, keepdim=True)
        ones = (1,) * len(kernel)
        stride, padding, dilation = self.geometry or (ones, (0,) * len(kernel), ones)
        box = torch.full((1, 1, *kernel), 1.0 / math.prod(kernel), dtype=x.dtype, device=x.device)
        convolve = F.conv1d if len(kernel) == 1 else F.conv2d
        return y * convolve(mean, box, None, stride, padding, dilation)


class DorefaPaper(Operator):
    """DoReFa-Net at one bit as printed: one scale per layer, inputs of 0 and 1."""

    weight_slope = Identity()

    def scale(self, latent: Tensor) -> Tensor:
        """a."""
        return layer_mean(latent)

    def input(self, x: Tensor) -> Tensor:
        """round(clip(x, 0, 1))."""
        return zero_or_one(x)


class Bireal(Xnor):
    """Bi-Real: the polynomial surrogate for inputs."""

    input_slope = Poly()


class XnorPlusPlus(Operator):
    """XNOR-Net++ with a learned scale alpha per output channel."""

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.alpha = nn.Parameter(torch.ones(shape.outputs))

    def output(self, y: Tensor, x: Tensor) -> Tensor:
        """y alpha."""
        return y * self.shape.per_output(self.alpha)


class XnorPlusPlusPaper(XnorPlusPlus):
    """XNOR-Net++ with scales per channel, row and column; the layer's output lengths must be known."""

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        if len(shape.positions) != len(shape.kernel):
            raise UsageError(
                "operator 'xnorpp-paper' has a scale per position and needs the layer's output lengths",
                hint="binarize a whole model, or use 'xnorpp'",
            )
        self.positions = nn.ParameterList(nn.Parameter(torch.ones(n)) for n in shape.positions)

    def output(self, y: Tensor, x: Tensor) -> Tensor:
        """y alpha beta gamma."""
        y = super().output(y, x)
        for axis, scale in enumerate(self.positions, 2):
            shape = [1] * y.dim()
            shape[axis] = y.shape[axis]
            y = y * scale.reshape(shape)
        return y


class RSign(nn.Module):
    """sgn(x + t) with a learned threshold per channel (ReActNet writes x - alpha: t = -alpha).

    Args:
        channels: length of axis 1 (or of the last axis where `spatial` is 0).
        spatial: axes behind the channels.
    """

    def __init__(self, channels: int, spatial: int):
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(channels))
        self.spatial = spatial

    def forward(self, x: Tensor) -> Tensor:
        """+-1, with the polynomial surrogate at x + t."""
        return sign_through(x + self.threshold.reshape(-1, *(1,) * self.spatial), Poly())


class React(Bireal):
    """ReActNet: a learned threshold in front of the sign."""

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.rsign = RSign(shape.inputs, len(shape.kernel))

    def input(self, x: Tensor) -> Tensor:
        """sgn(x + t_c)."""
        result: Tensor = self.rsign(x)
        return result


CLASSES: dict[str, type[Operator]] = {
    "bnn": Bnn,
    "xnor": Xnor,
    "xnor-bibench": XnorBibench,
    "xnor-paper": XnorPaper,
    "dorefa": Xnor,
    "dorefa-paper": DorefaPaper,
    "bireal": Bireal,
    "xnorpp": XnorPlusPlus,
    "xnorpp-paper": XnorPlusPlusPaper,
    "react": React,
}
"""Name -> class."""
