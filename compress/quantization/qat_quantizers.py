"""Quantizers of quantization-aware training, declared for brevitas: weights, activations and biases.

- Weights: int8, narrow, symmetric, per output channel, s = max|w| / 127 recomputed from the weights in
  every forward (the gradient passes straight through, none flows into the scale).
- Activations: uint8 with an integer zero point, per tensor, q = clip(round_half_even(x / s) + z). The scale
  is learned with the gradient of LSQ (arXiv 1902.08153), the zero point comes from calibration. One
  uint8 form serves all tensors: after a ReLU z is 0, and q - 128 is the exact int8 value.
- Biases: int32 with the scale of their accumulator, s = s_input * s_weight.

This module imports torch and brevitas: import it inside functions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from brevitas.core.function_wrapper import TensorClampSte
from brevitas.core.quant import IntQuant as BrevitasIntQuant
from brevitas.nn import QuantIdentity
from brevitas.quant.base import (
    NarrowIntQuant,
    PerChannelFloatScaling8bit,
    PerTensorFloatScaling8bit,
    UintQuant,
)
from brevitas.quant.scaled_int import Int32Bias
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver
from torch import Tensor, nn

from .qparams import QParams

__all__ = ["Int32Bias", "Int8Weight", "Uint8Activation", "activation_quantizer", "dequantize"]

SCALE_FLOOR = 1e-8
"""Smallest weight scale: a channel of zeros still needs a scale."""

BIAS_BITS = 28
"""A weight scale is raised until |bias| / (s_input * s_weight) fits in this many bits.

The accumulator has 31; three bits are left for the sum of products and for what training still changes.
"""


class ChannelScale(nn.Module):
    """s = max|w| / 127 per output channel, never below `floor` (one value per channel, or one for all)."""

    def __init__(self, scaling_shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("floor", torch.full(tuple(scaling_shape), SCALE_FLOOR))

    def forward(self, weight: Tensor, threshold: Tensor) -> Tensor:
        """Scale of `weight`, shaped to broadcast; `threshold` is the largest integer, 127."""
        others = [d for d, n in enumerate(self.floor.shape) if n == 1 and weight.shape[d] != 1]
        magnitude = weight.detach().abs()
        if others:
            magnitude = magnitude.amax(dim=others, keepdim=True)
        return torch.maximum(magnitude / threshold, self.floor)


class LearnedScale(nn.Module):
    """s = base * exp(ratio): `base` from calibration, `ratio` learned, 0 at first and kept within +-1.

    LSQ moves s by lr * g * dL/ds with g = 1 / sqrt(N * 255), N the features of one sample. The ratio moves by
    the same share of s: its gradient is g * dL/ds / s. So weight decay pulls towards the calibrated scale
    instead of towards zero, and an optimizer that normalises gradients makes relative steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("base", torch.tensor(1.0))
        self.ratio = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        """The scale; `x` gives N, `threshold` is not used."""
        scale = self.base * torch.exp(self.ratio.clamp(-1.0, 1.0))
        if scale.requires_grad:
            features = x.numel() // x.shape[0] if x.ndim else 1
            factor = 1.0 / (math.sqrt(max(features, 1) * 255) * float(scale.detach()) ** 2)
            scale.register_hook(lambda gradient: gradient * factor)
        return scale

    @torch.no_grad()
    def bake(self) -> None:
        """Move what was learned into `base`, so that the scale is one stored float32."""
        self.base.copy_(self.base * torch.exp(self.ratio.clamp(-1.0, 1.0)))
        self.ratio.zero_()


class StoredZeroPoint(nn.Module):
    """An integer zero point fixed by calibration, held as float32 because brevitas computes in it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(0.0))

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        """The zero point, whatever the arguments."""
        return self.value


class RoundThenShift(BrevitasIntQuant):
    """q = clip(round(x / s) + z): rounds before the zero point is added, as ONNX QuantizeLinear does.

    Brevitas adds first, which rounds ties to the other side when z is odd.
    """

    def to_int(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        """Integer values of `x` as float32."""
        q = self.float_to_int_impl(self.input_view_impl(x) / scale) + zero_point
        low, high = self.min_int(bit_width), self.max_int(bit_width)
        return self.tensor_clamp_impl(q, min_val=low, max_val=high)


class Int8Weight(NarrowIntQuant, PerChannelFloatScaling8bit, WeightQuantSolver):
    """int8 narrow symmetric weights, one scale per output channel."""

    scaling_impl = ChannelScale
    tensor_clamp_impl = TensorClampSte
    int_quant = RoundThenShift


class Uint8Activation(UintQuant, PerTensorFloatScaling8bit, ActQuantSolver):
    """uint8 activations with a zero point, one scale per tensor."""

    scaling_impl = LearnedScale
    zero_point_impl = StoredZeroPoint
    int_quant = RoundThenShift


def activation_quantizer() -> Any:
    """A brevitas `QuantIdentity` with `Uint8Activation`; its output carries scale and zero point."""
    return QuantIdentity(act_quant=Uint8Activation, return_quant_tensor=True)


def tensor_quantizer(module: Any) -> Any:
    """The part of an activation quantizer that holds scale and zero point."""
    return module.act_quant.fused_activation_quant_proxy.tensor_quant


def set_activation(module: Any, qparams: QParams, learned: bool) -> None:
    """Give an activation quantizer its uint8 parameters; `learned` lets training move the scale."""
    inner = tensor_quantizer(module)
    with torch.no_grad():
        inner.scaling_impl.base.fill_(qparams.scale[0])
        inner.scaling_impl.ratio.zero_()
        inner.zero_point_impl.value.fill_(qparams.zero_point[0])
    inner.scaling_impl.ratio.requires_grad_(learned)


def get_activation(module: Any) -> QParams:
    """The int8 parameters of an activation quantizer, read from its brevitas module (uint8 z - 128)."""
    inner = tensor_quantizer(module)
    with torch.no_grad():
        scale = inner.scaling_impl(torch.zeros(1), torch.tensor(255.0))
        zero_point = int(inner.zero_point_impl.value)
    return QParams((float(scale),), (zero_point - 128,))


def dequantize(x: Any) -> Any:
    """The real values of a brevitas QuantTensor; anything else is given back."""
    return getattr(x, "value", x)
