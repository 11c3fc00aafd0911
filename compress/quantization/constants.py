"""Weights, biases and other constants as integers, with the guards that keep int32 accumulators from overflowing.

Weights are symmetric and narrow, one scale per output channel; biases are int32 at s_x * s_w. A channel whose
bias would not fit beside the largest possible sum gets a larger weight scale: its weights are next to nothing
compared with the bias, so the resolution it loses does not matter (spec 8.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError
from .graph import GraphView, NodeView
from .qparams import QParams, affine, symmetric
from .records import QuantizedConstant

Array = NDArray[Any]

WEIGHT_RANGES = ("minmax", "mse")
"""How the range of a weight channel is chosen: its extremes, or the share of them with the least squared error."""

_INT32 = 2**31
_LARGEST_PRODUCT = 255 * 127  # |q_x - z_x| <= 255, |q_w| <= 127
_GRID = 100


@dataclass(frozen=True)
class WeightLayout:
    """Axis of the output channels in ONNX layout, and how many products one output sums up."""

    channel_axis: int | None
    products: int


def weight_layout(view: GraphView, node: NodeView, fc_granularity: str) -> WeightLayout:
    """Layout of the weight at input 1 of a convolution, Gemm or MatMul with a constant matrix."""
    shape = view.shape(node.input(1))
    groups = int(node.attributes.get("group", 1))
    if node.op == "Conv":
        return WeightLayout(0, int(np.prod(shape[1:])))
    if node.op == "ConvTranspose":
        axis = 1 if groups == 1 else None  # with groups a channel of axis 1 occurs once per group
        return WeightLayout(axis, int(shape[0] // groups * np.prod(shape[2:])))
    axis = 0 if node.op == "Gemm" and node.attributes.get("transB") else len(shape) - 1
    products = shape[1] if axis == 0 else shape[-2]
    one_scale = fc_granularity == "tensor" or len(shape) > 2
    return WeightLayout(None if one_scale else axis, int(products))


def quantize_layer(
    weight: Array,
    bias: Array | None,
    input_scale: float,
    layout: WeightLayout,
    weight_range: str = "minmax",
    where: str = "",
) -> tuple[QuantizedConstant, QuantizedConstant | None]:
    """(int8 weight, int32 bias at float32(s_x) * float32(s_w)) of one layer.

    Args:
        weight: float32 in ONNX layout.
        bias: one number per output channel (any shape with that many elements), or None.
        input_scale: s_x of the activation this layer reads.
        layout: see `weight_layout`.
        weight_range: one of `WEIGHT_RANGES`.
        where: layer name for messages.

    Raises:
        InputError: more products per output than an int32 can sum up.
    """
    bound = layout.products * _LARGEST_PRODUCT
    if bound >= _INT32:
        raise InputError(
            f"{layout.products} products per output may overflow an int32 accumulator",
            where=where,
            hint="keep this layer float (--keep-float)",
        )
    params = weight_parameters(weight, layout.channel_axis, weight_range)
    if bias is not None:
        params = _room_for_bias(params, bias.reshape(-1), input_scale, bound)
    integers = params.quantize(weight).astype(np.int8)
    return QuantizedConstant(integers, params), _bias(bias, params, input_scale)


def weight_parameters(weight: Array, axis: int | None, weight_range: str = "minmax") -> QParams:
    """Symmetric narrow int8 parameters per channel of `axis` (or one scale)."""
    rows = _rows(weight, axis)
    magnitude = np.abs(rows).max(axis=1, initial=0.0)
    if weight_range == "mse":
        magnitude = magnitude * _best_shares(rows, magnitude)
    return symmetric(magnitude, axis=axis)


def _rows(weight: Array, axis: int | None) -> Array:
    """[channels, rest] in float64."""
    values = np.asarray(weight, np.float64)
    return (
        values.reshape(1, -1)
        if axis is None
        else np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    )


def _best_shares(rows: Array, magnitude: Array) -> Array:
    """Per channel the k/100 of its largest magnitude with the least squared rounding and clipping error."""
    best, share = np.full(len(rows), np.inf), np.ones(len(rows))
    for k in range(_GRID, _GRID // 2, -1):
        scale = np.maximum(magnitude * (k / _GRID) / 127.0, 1e-30)[:, None]
        error = np.square(np.clip(np.rint(rows / scale), -127, 127) * scale - rows).sum(axis=1)
        better = error < best
        best, share = np.where(better, error, best), np.where(better, k / _GRID, share)
    return share


def _room_for_bias(params: QParams, bias: Array, input_scale: float, bound: int) -> QParams:
    """Parameters with larger scales where |b| / (s_x s_w) would not fit beside the largest sum.

    int32 holds |q_b| <= 2^31 - 1 - bound; the channel's scale rises to |b| / (s_x * limit), limit <= 2^30.
    """
    scale = np.broadcast_to(np.asarray(params.scale, np.float64), bias.shape)
    limit = float(min(_INT32 // 2, _INT32 - 1 - bound))
    needed = np.abs(bias.astype(np.float64)) / (float(input_scale) * limit)
    if params.axis is None:
        needed = np.max(needed, initial=0.0, keepdims=True)
    raised = np.maximum(scale[: len(needed)], needed)
    if np.array_equal(raised, scale[: len(needed)]):
        return params
    # one step up, so that rounding to float32 cannot bring the quotient over the limit again
    values = np.nextafter(raised.astype(np.float32), np.float32(np.inf))
    values = np.where(raised > scale[: len(needed)], values, raised).astype(np.float32)
    return QParams(
        tuple(float(s) for s in values), params.zero_point, narrow=True, axis=params.axis
    )


def _bias(bias: Array | None, weight: QParams, input_scale: float) -> QuantizedConstant | None:
    if bias is None:
        return None
    scale = np.float32(input_scale) * np.asarray(weight.scale, np.float32)
    axis = None if weight.axis is None else bias.ndim - 1
    params = QParams(tuple(scale.tolist()), (0,) * len(scale), bits=32, axis=axis)
    real = bias.astype(np.float64) / scale.astype(np.float64)
    limit = _INT32 - 1
    return QuantizedConstant(np.clip(np.rint(real), -limit, limit).astype(np.int32), params)


def quantize_constant(values: Array, params: QParams | None = None) -> QuantizedConstant:
    """A constant operand of an elementwise operator as int8: under `params`, else under its own range."""
    if params is None:
        params = affine(float(values.min(initial=0.0)), float(values.max(initial=0.0)))
    return QuantizedConstant(params.quantize(values).astype(np.int8), params)
