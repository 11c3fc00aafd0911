"""Float convolution and linear layers -> brevitas layers with int8 weights and int32 biases.

The brevitas classes are narrowed in one point: the product is computed on plain tensors, so that brevitas does
not also derive the scale of the accumulator, which nothing here uses. Imports torch and brevitas at the top.
"""

from __future__ import annotations

from typing import Any

import torch
from brevitas.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantConvTranspose1d,
    QuantConvTranspose2d,
    QuantLinear,
)
from torch import Tensor, nn

from .qat_operators import NotKnown
from .qat_quantizers import Int8Weight, Int32Bias, dequantize

KINDS = ("Conv", "ConvTranspose", "Gemm")


class _PlainProduct:
    """Mixin: quantized values in, plain float32 accumulator out."""

    def inner_forward_impl(self, x: Any, quant_weight: Any, quant_bias: Any) -> Any:
        """The layer's own product on the real values."""
        values = (dequantize(x), dequantize(quant_weight), dequantize(quant_bias))
        return super().inner_forward_impl(*values)  # type: ignore[misc]


class Conv1d(_PlainProduct, QuantConv1d):
    """1-D convolution."""


class Conv2d(_PlainProduct, QuantConv2d):
    """2-D convolution."""


class ConvTranspose1d(_PlainProduct, QuantConvTranspose1d):
    """1-D transposed convolution."""


class ConvTranspose2d(_PlainProduct, QuantConvTranspose2d):
    """2-D transposed convolution."""


class Linear(_PlainProduct, QuantLinear):
    """Linear layer."""


QUANTIZED = (Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear)
_CLASSES: dict[type[Any], type[Any]] = {
    nn.Conv1d: Conv1d,
    nn.Conv2d: Conv2d,
    nn.ConvTranspose1d: ConvTranspose1d,
    nn.ConvTranspose2d: ConvTranspose2d,
    nn.Linear: Linear,
}


def from_float(layer: Any) -> Any:
    """The brevitas layer of a float one (or of a brevitas one); the float parameters are shared, not copied.

    Raises `NotKnown` for what int8 cannot express (padding modes, grouped transposed convolution).
    """
    quantizers = {"weight_quant": Int8Weight, "bias_quant": Int32Bias}
    plain = next(kind for kind in _CLASSES if isinstance(layer, kind))
    options = _linear_options(layer) if plain is nn.Linear else _convolution_options(layer)
    quantized = _CLASSES[plain](**options, bias=layer.bias is not None, **quantizers)
    quantized.weight = layer.weight
    if layer.bias is not None:
        quantized.bias = layer.bias
    return quantized


def _linear_options(layer: Any) -> dict[str, Any]:
    return {"in_features": layer.in_features, "out_features": layer.out_features}


def _convolution_options(layer: Any) -> dict[str, Any]:
    if layer.padding_mode != "zeros":
        raise NotKnown(f"padding mode {layer.padding_mode!r} has no int8 form")
    transposed = isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d))
    if transposed and layer.groups > 1:
        raise NotKnown("grouped transposed convolution has no int8 form")
    names = ["in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups"]
    options = {name: getattr(layer, name) for name in names}
    options["padding"] = _padding(layer)
    if transposed:
        options["output_padding"] = layer.output_padding
    return options


def _padding(layer: Any) -> tuple[int, ...]:
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    if layer.padding == "same":  # even totals only; uneven ones became a Pad operator before
        return tuple(
            d * (k - 1) // 2 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)
        )
    return tuple(layer.padding)


def float_product(layer: Any, x: Tensor) -> Tensor:
    """What the layer computes without quantizers."""
    result = layer.inner_forward_impl(x, layer.weight, layer.bias)
    return torch.as_tensor(result)


@torch.no_grad()
def weight_and_bias(layer: Any, input_scale: Tensor) -> tuple[Tensor, Tensor, Any, Any]:
    """Integers and scales as the brevitas quantizers give them: (weight, its scale, bias or None, its scale or None).

    `input_scale` is the scale of the layer's input; scales are 1-D, one per output channel.
    """
    weight = layer.quant_weight()
    weight_scale = weight.scale.reshape(-1)
    if layer.bias is None:
        return weight.int(), weight_scale, None, None
    value, scale, _, _ = layer.bias_quant.tensor_quant(layer.bias, input_scale * weight_scale)
    return weight.int(), weight_scale, torch.round(value / scale).to(torch.int64), scale.reshape(-1)
