"""Weights and biases as constants of a TFLite file, in the form the chosen precision asks for.

int8 nodes take integers verbatim from the hub. Float nodes take float32, or what the precision says:

    fp16         float16 constant + DEQUANTIZE          weight-only  int8 constant + DEQUANTIZE
    dynamic      int8 constant read by a hybrid kernel, which quantizes activations as it runs; where an
                 operator has no such kernel, as weight-only

Source of the hybrid rules: tensorflow/lite/kernels (conv.cc, depthwise_conv.cc, fully_connected.cc), and
trials in both engines: convolutions take one scale per channel, FULLY_CONNECTED one per tensor.
"""

from __future__ import annotations

import numpy as np

from ...compress.quantization.qparams import QParams, symmetric
from ...runtime.errors import InputError
from .context import Lowering, lite_quantization
from .ir import LiteQuantization, LiteTensor
from .neutral import Array, Node, Value

SMALLEST_COMPRESSED = 128
"""Constants with fewer elements stay float32: the DEQUANTIZE would cost more bytes than it saves."""

_RELATIVE_SCALE_ERROR = 1e-6  # a few float32 roundings of the product of two scales


def store_weight(
    low: Lowering,
    node: Node,
    value: Value,
    data: Array,
    dimension: int,
    *,
    suffix: str = "",
    scales: slice | None = None,
    hybrid: str = "",
) -> int:
    """A weight laid out for TFLite (`data`, from `value.data`); gives its tensor.

    Args:
        low: the lowering.
        node: the operator it belongs to; `node.int8` decides.
        value: the hub's constant.
        data: its elements (integers or floats) in TFLite's layout.
        dimension: output channels in that layout.
        suffix: told apart by this where a weight is cut into groups.
        scales: part of the per-channel scales that belongs to `data`.
        hybrid: "channel" or "tensor": what the operator's hybrid kernel takes; "" if it has none.
    """
    name = value.name + suffix
    params = value.quantization
    if node.int8:
        return low.constant(name, data, weight_quantization(node, value, dimension, scales))
    if params is not None and low.precision not in ("weight-only", "int8"):
        data, params = _real(value, data, dimension, scales), None
    if params is not None:
        quantization = weight_quantization(node, value, dimension, scales)
        return _dequantized(low, node, low.constant(name, data, quantization))
    return store_float(low, node, name, data, dimension, hybrid)


def store_float(
    low: Lowering, node: Node, name: str, data: Array, dimension: int, hybrid: str = ""
) -> int:
    """A float constant of a float node, compressed as the precision says if that saves bytes."""
    data = np.asarray(data, np.float32)
    if low.precision not in ("fp16", "dynamic", "weight-only") or data.size < SMALLEST_COMPRESSED:
        return low.constant(name, data)
    if low.precision == "fp16":
        return _dequantized(low, node, low.constant(name, _half(node, data)))
    by_kernel = low.precision == "dynamic" and hybrid != ""
    per_channel = not by_kernel or hybrid == "channel"
    axes = tuple(a for a in range(data.ndim) if a != dimension) if per_channel else None
    params = symmetric(np.abs(data).max(axis=axes), axis=dimension if per_channel else None)
    integers = params.quantize(data).astype(np.int8)
    index = low.constant(name, integers, lite_quantization(params))
    return index if by_kernel else _dequantized(low, node, index)


def weight_quantization(
    node: Node, value: Value, dimension: int, scales: slice | None = None
) -> LiteQuantization:
    """The hub's parameters of an int8 weight, verbatim; zero points must be 0."""
    params = value.quantization
    if params is None or any(params.zero_point):
        raise InputError(
            "int8 weights need zero point 0",
            where=f"node {node.name!r}, weight {value.name!r}",
            hint="quantize weights symmetrically",
        )
    part = scales if scales is not None and len(params.scale) > 1 else slice(None)
    return LiteQuantization(
        params.scale[part], params.zero_point[part], dimension if params.axis is not None else 0
    )


def _real(value: Value, data: Array, dimension: int, scales: slice | None) -> Array:
    params = value.quantization
    if params is None:
        return data
    part = scales if scales is not None and len(params.scale) > 1 else slice(None)
    axis = None if params.axis is None else dimension
    return QParams(params.scale[part], params.zero_point[part], axis=axis).dequantize(data)


def _half(node: Node, data: Array) -> Array:
    largest = float(np.abs(data).max())
    if largest > float(np.finfo(np.float16).max):
        raise InputError(
            f"a weight of {largest:g} does not fit float16",
            where=f"node {node.name!r}",
            hint="export as float32 or scale the layer",
        )
    return data.astype(np.float16)


def _dequantized(low: Lowering, node: Node, index: int) -> int:
    """The float32 tensor of a compressed constant (one DEQUANTIZE, shared)."""
    source = low.model.tensors[index]
    known = low.dequantized.get(index)
    if known is None:
        known = low.model.add_tensor(
            LiteTensor(low.unique(f"{source.name}/float32"), source.shape, "float32")
        )
        version = {"float16": 3, "int8": 2}[source.dtype]
        if source.quantization is not None and len(source.quantization.scale) > 1:
            version = 5
        low.emit(node, "DEQUANTIZE", [index], [known], version=version)
        low.dequantized[index] = known
    return known


def store_bias(
    low: Lowering,
    node: Node,
    name: str,
    channels: int,
    input_index: int,
    weight_index: int,
    part: slice | None = None,
    suffix: str = "",
) -> int:
    """The bias of a convolution or dense layer; zeros where the hub has none (`name` is "").

    int8: the hub's int32 values verbatim with scale float32(s_x * s_w); values held under other
    scales, or in float, are brought to these.
    """
    value = low.value(name) if name else None
    if value is not None and value.data is None:
        raise low.unsupported(node, "a bias computed at run time", "add it with Add instead")
    if not node.int8:
        if value is None:
            return low.constant("bias/zeros", np.zeros(channels, np.float32))
        return low.constant(name + suffix, _part(value.real().reshape(-1), part, channels))
    scale = product_scales(low, input_index, weight_index)
    zeros = (0,) * len(scale)
    quantization = LiteQuantization(tuple(scale.tolist()), zeros, 0)
    if value is None or value.data is None:
        integers = np.zeros(channels, np.int32)
        return low.constant(f"{node.outputs[0]}/bias", integers, quantization)
    integers = _bias_integers(low, node, value, scale, part, channels)
    return low.constant(name + suffix, integers, quantization)


def product_scales(low: Lowering, input_index: int, weight_index: int) -> Array:
    """float32(s_x * s_w) of each channel."""
    read = low.model.tensors[input_index].quantization
    weight = low.model.tensors[weight_index].quantization
    if read is None or weight is None:
        raise ValueError("an int8 layer without parameters")
    return np.float32(read.scale[0]) * np.asarray(weight.scale, np.float32)


def _part(data: Array, part: slice | None, channels: int) -> Array:
    data = data if part is None else data[part]
    return np.broadcast_to(data, (channels,)) if data.size == 1 else data


def _bias_integers(
    low: Lowering, node: Node, value: Value, scale: Array, part: slice | None, channels: int
) -> Array:
    held = value.quantization
    if held is not None and value.data is not None and not any(held.zero_point):
        own = np.asarray(held.scale, np.float32)
        own = own if part is None or own.size == 1 else own[part]
        if np.allclose(own, scale, rtol=_RELATIVE_SCALE_ERROR, atol=0.0):
            return _part(value.data.reshape(-1), part, channels).astype(np.int32)
        low.notes.append((value.name, f"bias of {node.name!r} brought to scale s_x * s_w"))
    real = _part(value.real().reshape(-1).astype(np.float64), part, channels)
    limits = np.iinfo(np.int32)
    return np.clip(np.rint(real / scale), limits.min, limits.max).astype(np.int32)
