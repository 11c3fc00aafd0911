"""Layers whose weights and inputs are signs: `BinaryConv1d`, `BinaryConv2d`, `BinaryLinear`, and `RPReLU`.

A layer is made of a float one and an operator: y = output(product(input(x), weight(W)) * scale) + bias. `border`
is what the padding of a convolution holds: 0 (as in float networks; three values at the edge), +1 or -1 (still one
bit). Padding happens behind the sign. With `binary_weights` False the weights are real: the first training stage.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...runtime.errors import UnsupportedOperatorError, UsageError
from .operators import LayerShape, Operator, make_operator
from .operators_sign import RSign, XnorPaper

__all__ = ["BinaryConv1d", "BinaryConv2d", "BinaryLinear", "RPReLU", "RSign", "binary_layer"]

BORDERS = (0, 1, -1)


class BinaryLayer(nn.Module, ABC):
    """What the three layers share. `weight` is the latent weight, [outputs, inputs of a group, kernel...]."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layer: Any, operator: str, shape: LayerShape, scaled_gradient: bool):
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().clone())
        bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.register_parameter("bias", bias)
        self.operator_name = operator
        self.shape = shape
        self.operator: Operator = make_operator(operator, shape, scaled_gradient)
        self.binary_weights = True

    @abstractmethod
    def product(self, values: Tensor, weight: Tensor) -> Tensor:
        """The sum of products; an exact integer for signs."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, positions...] -> [N, outputs, positions...] (dense: the last axis)."""
        values = self.operator.input(x)
        if self.binary_weights:
            weight, scale = self.operator.weight(self.weight)
        else:
            weight, scale = self.weight, None
        return self.finish(self.product(values, weight), scale, x)

    def finish(self, y: Tensor, scale: Tensor | None, x: Tensor) -> Tensor:
        """What happens to the sum of products: scale, the operator's own factors, bias."""
        if scale is not None:
            y = y * self.shape.per_output(scale)
        y = self.operator.output(y, x)
        return y if self.bias is None else y + self.shape.per_output(self.bias)

    def signs(self) -> Tensor:
        """The +-1 that a packed file holds, of the weight's shape."""
        return self.operator.deployed_signs(self.weight)

    def extra_repr(self) -> str:
        """Operator and sizes."""
        return f"{self.operator_name}, {self.shape.inputs} -> {self.shape.outputs}, kernel {self.shape.kernel}"


class BinaryLinear(BinaryLayer):
    """Dense layer of signs: [..., inputs] -> [..., outputs]."""

    def __init__(self, layer: nn.Linear, operator: str = "react", scaled_gradient: bool = False):
        shape = LayerShape(layer.out_features, layer.in_features, layer.in_features)
        super().__init__(layer, operator, shape, scaled_gradient)

    def product(self, values: Tensor, weight: Tensor) -> Tensor:
        """The matrix product."""
        return F.linear(values, weight)


class BinaryConv(BinaryLayer):
    """What the convolutions share. Stride, padding, dilation and groups are those of the float layer."""

    def __init__(
        self,
        layer: Any,
        operator: str = "react",
        border: int = 0,
        scaled_gradient: bool = False,
        positions: tuple[int, ...] = (),
    ):
        _check_convolution(layer, border)
        shape = LayerShape(
            layer.out_channels,
            layer.in_channels,
            layer.in_channels // layer.groups,
            tuple(layer.kernel_size),
            positions,
        )
        super().__init__(layer, operator, shape, scaled_gradient)
        self.stride, self.dilation = tuple(layer.stride), tuple(layer.dilation)
        self.padding, self.groups, self.border = tuple(layer.padding), layer.groups, border
        if isinstance(self.operator, XnorPaper):
            self.operator.geometry = (self.stride, self.padding, self.dilation)

    def product(self, values: Tensor, weight: Tensor) -> Tensor:
        """The convolution, its border filled with `border`."""
        padding = self.padding
        if self.border and any(padding):
            pads = [size for length in reversed(padding) for size in (length, length)]
            values = F.pad(values, pads, value=float(self.border))
            padding = (0,) * len(padding)
        convolve = F.conv1d if len(padding) == 1 else F.conv2d
        return convolve(values, weight, None, self.stride, padding, self.dilation, self.groups)


class BinaryConv1d(BinaryConv):
    """[N, inputs, L] -> [N, outputs, L']."""


class BinaryConv2d(BinaryConv):
    """[N, inputs, H, W] -> [N, outputs, H', W']."""


class RPReLU(nn.Module):
    """f(x) = x + b1 + b2 where x + b1 > 0, else p (x + b1) + b2, per channel (ReActNet, equation 5).

    `spatial` axes follow the channels. Starts as a PReLU of slope 0.25.
    """

    def __init__(self, channels: int, spatial: int):
        super().__init__()
        self.before = nn.Parameter(torch.zeros(channels))
        self.after = nn.Parameter(torch.zeros(channels))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))
        self.spatial = spatial

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        shape = (-1, *(1,) * self.spatial)
        x = x + self.before.reshape(shape)
        if x.dim() == self.spatial + 2:  # channels on axis 1: one operator in exported graphs
            return F.prelu(x, self.slope) + self.after.reshape(shape)
        return torch.where(x > 0, x, x * self.slope.reshape(shape)) + self.after.reshape(shape)


def binary_layer(
    layer: nn.Module,
    operator: str,
    border: int = 0,
    scaled_gradient: bool = False,
    positions: tuple[int, ...] = (),
) -> BinaryLayer:
    """The binary layer with the weights of `layer`: a Conv1d, Conv2d or Linear (else UnsupportedOperatorError)."""
    made: BinaryLayer
    if type(layer) is nn.Linear:
        made = BinaryLinear(layer, operator, scaled_gradient)
    elif type(layer) is nn.Conv1d:
        made = BinaryConv1d(layer, operator, border, scaled_gradient, positions)
    elif type(layer) is nn.Conv2d:
        made = BinaryConv2d(layer, operator, border, scaled_gradient, positions)
    else:
        raise UnsupportedOperatorError(
            f"{type(layer).__name__} has no binary form", hint="it can stay float"
        )
    return made.train(layer.training)


def _check_convolution(layer: Any, border: int) -> None:
    if border not in BORDERS:
        raise UsageError(f"border is {border}", hint="it can be 0, 1 or -1")
    if isinstance(layer.padding, str):
        if layer.padding == "valid":
            layer.padding = (0,) * len(layer.kernel_size)
            return
        raise UnsupportedOperatorError(
            "a convolution with padding='same' has no binary form",
            hint="give the padding in numbers",
        )
    if any(layer.padding) and layer.padding_mode != "zeros":
        raise UnsupportedOperatorError(
            f"a convolution with padding_mode {layer.padding_mode!r} has no binary form",
            hint="it can stay float",
        )
