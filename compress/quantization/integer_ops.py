"""Integer kernels of the reference engine, on numpy arrays in ONNX layout.

Every kernel takes operands (integers with parameters) and the parameters of its output, and gives int64 values before
the final clip. Formulas are those of TFLite's reference kernels (see `requantize`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import NodeView
from .qparams import QParams
from .requantize import divide_half_away, multiply, quantize_multiplier

Array = NDArray[Any]

_ADD_SHIFT = 20

SOFTMAX_BITS = 30
"""Of the exponentials in a softmax."""


@dataclass(frozen=True, eq=False)
class Operand:
    """A quantized tensor: int64 values and their parameters."""

    q: Array
    params: QParams

    @property
    def centred(self) -> Array:
        """q - zero point: real values in units of the scale."""
        return self.q - self.params.zero_point[0] if self.params.axis is None else self.q

    @property
    def scale(self) -> float:
        """The scale of a tensor with one."""
        return self.params.scale[0]

    def real(self) -> Array:
        """float32 values."""
        return self.params.dequantize(self.q)


@dataclass(frozen=True)
class Call:
    """What a kernel is asked: the node, its operands (None where omitted), output parameters, rounding."""

    node: NodeView
    operands: Sequence[Operand | None]
    out: QParams
    rounding: str

    def operand(self, index: int) -> Operand:
        """An operand that must be there."""
        found = self.operands[index]
        assert found is not None  # noqa: S101 (the caller picked a kernel that needs it)
        return found

    def optional(self, index: int) -> Operand | None:
        """An operand that may be omitted."""
        return self.operands[index] if index < len(self.operands) else None

    def finish(self, acc: Array, multiplier: Array | float) -> Array:
        """z_y + acc * multiplier."""
        factor = quantize_multiplier(multiplier)
        return multiply(acc, factor, self.rounding) + self.out.zero_point[0]


def requantize(source: Operand, out: QParams, rounding: str) -> Array:
    """The same real values under other parameters."""
    factor = quantize_multiplier(source.scale / out.scale[0])
    return multiply(source.centred, factor, rounding) + out.zero_point[0]


# ------------------------------------------------------------------- layers


def conv(call: Call) -> Array:
    """Convolution over any number of spatial axes: acc = sum (q_x - z_x) q_w + q_b."""
    x, weight = call.operand(0), call.operand(1)
    attributes, rank = call.node.attributes, weight.q.ndim - 2
    strides = tuple(attributes.get("strides", (1,) * rank))
    dilations = tuple(attributes.get("dilations", (1,) * rank))
    pads = _pads(call.node, x.q.shape[2:], weight.q.shape[2:], strides, dilations)
    padded = np.pad(x.centred, [(0, 0), (0, 0), *pads])
    acc = _correlate(padded, weight.q, strides, dilations, int(attributes.get("group", 1)))
    return _finish_layer(call, acc, 1)


def conv_transpose(call: Call) -> Array:
    """Transposed convolution: a convolution of the spread-out input with the turned kernel."""
    x, weight = call.operand(0), call.operand(1)
    attributes, rank = call.node.attributes, weight.q.ndim - 2
    groups = int(attributes.get("group", 1))
    strides = tuple(attributes.get("strides", (1,) * rank))
    dilations = tuple(attributes.get("dilations", (1,) * rank))
    pads = tuple(attributes.get("pads", (0,) * (2 * rank)))
    extra = tuple(attributes.get("output_padding", (0,) * rank))
    spread = np.zeros(
        (*x.q.shape[:2], *((n - 1) * s + 1 for n, s in zip(x.q.shape[2:], strides, strict=True))),
        np.int64,
    )
    spread[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = x.centred
    reach = [d * (k - 1) for d, k in zip(dilations, weight.q.shape[2:], strict=True)]
    around = [(reach[i] - pads[i], reach[i] - pads[rank + i] + extra[i]) for i in range(rank)]
    cropped = _pad_or_crop(spread, around)
    turned = np.flip(weight.q, axis=tuple(range(2, 2 + rank)))
    parts = turned.reshape(groups, -1, *turned.shape[1:]).swapaxes(1, 2)
    kernel = parts.reshape(-1, *parts.shape[2:])
    return _finish_layer(call, _correlate(cropped, kernel, (1,) * rank, dilations, groups), 1)


def gemm(call: Call) -> Array:
    """x W' + b."""
    x, weight = call.operand(0), call.operand(1)
    matrix = weight.q.T if call.node.attributes.get("transB") else weight.q
    return _finish_layer(call, _product(x.centred, matrix), -1)


def matmul(call: Call) -> Array:
    """Two activations, or an activation and a constant matrix."""
    a, b = call.operand(0), call.operand(1)
    acc = _product(a.centred, b.centred)
    return call.finish(acc, _scales(a) * _scales(b) / call.out.scale[0])


def _scales(operand: Operand) -> Array:
    return np.asarray(operand.params.scale, np.float64)


def _product(a: Array, b: Array) -> Array:
    """Integer matrix product; float64 holds all sums of int8 products exactly (below 2^53)."""
    return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def _finish_layer(call: Call, acc: Array, channel_axis: int) -> Array:
    """Add the bias, bring every channel to the output's scale."""
    x, weight, bias = call.operand(0), call.operand(1), call.optional(2)
    shape = [1] * acc.ndim
    shape[channel_axis] = -1
    products = x.scale * _scales(weight)
    if bias is not None:
        acc = acc + bias.q.reshape(-1).reshape(shape)
    factors = (products / call.out.scale[0]).reshape(shape)
    return call.finish(acc, factors)


def _correlate(
    x: Array, weight: Array, strides: Sequence[int], dilations: Sequence[int], groups: int
) -> Array:
    """[1,C,...] with [O,C/groups,...] -> [1,O,...], exact."""
    rank = weight.ndim - 2
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, weight.shape[2:], strict=True)]
    windows = _windows(x, reach)
    steps = [slice(None, None, s) for s in strides]
    inner = [slice(None, None, d) for d in dilations]
    windows = windows[(slice(None), slice(None), *steps, *inner)]
    spatial = windows.shape[2 : 2 + rank]
    # [N, groups, positions, C/groups * kernel] @ [groups, C/groups * kernel, O/groups]
    order = (0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank))
    rows = windows.transpose(order).reshape(len(x), int(np.prod(spatial)), groups, -1)
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1)
    sums = _product(rows.swapaxes(1, 2), kernels.swapaxes(1, 2))
    return sums.swapaxes(2, 3).reshape(len(x), weight.shape[0], *spatial)


def _pads(
    node: NodeView,
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:
    """(before, after) of each spatial axis."""
    rank = len(kernel)
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic in ("NOTSET", "VALID"):
        pads = tuple(node.attributes.get("pads", (0,) * (2 * rank)))
        return [(pads[i], pads[rank + i]) for i in range(rank)]
    found = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = dilation * (k - 1) + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        less, more = total // 2, total - total // 2
        found.append((less, more) if automatic == "SAME_UPPER" else (more, less))
    return found


def _pad_or_crop(x: Array, around: Sequence[tuple[int, int]]) -> Array:
    x = np.pad(x, [(0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in around)])
    cuts = [slice(max(-a, 0), x.shape[2 + i] - max(-b, 0)) for i, (a, b) in enumerate(around)]
    return x[(slice(None), slice(None), *cuts)]


# ------------------------------------------------------------------- elementwise


def add(call: Call) -> Array:
    """Both sides brought to twice the larger scale over 2^20, added, brought to the output's scale."""
    return _add(call, 1)


def subtract(call: Call) -> Array:
    """As `add`, the second side negative."""
    return _add(call, -1)


def _add(call: Call, sign: int) -> Array:
    a, b = call.operand(0), call.operand(1)
    twice = 2.0 * max(a.scale, b.scale)
    sides = [
        multiply(side.centred << _ADD_SHIFT, quantize_multiplier(side.scale / twice), call.rounding)
        for side in (a, b)
    ]
    return call.finish(sides[0] + sign * sides[1], twice / (2.0**_ADD_SHIFT * call.out.scale[0]))


def mul(call: Call) -> Array:
    """M = s_1 s_2 / s_y."""
    a, b = call.operand(0), call.operand(1)
    return call.finish(a.centred * b.centred, a.scale * b.scale / call.out.scale[0])


def rescale(call: Call) -> Array:
    """A Relu or Clip of its own: the clamp follows."""
    return requantize(call.operand(0), call.out, call.rounding)


def prelu(call: Call) -> Array:
    """x for x >= 0, slope * x below."""
    x, slope = call.operand(0), call.operand(1)
    values = x.centred
    right = call.finish(values, x.scale / call.out.scale[0])
    left = call.finish(values * slope.centred, x.scale * slope.scale / call.out.scale[0])
    return np.where(values >= 0, right, left)


def softmax(call: Call) -> Array:
    """exp(s (q - max)) as integers of 30 bits from a table of 256 entries, divided by their sum, rounded half up."""
    x, axis = call.operand(0), int(call.node.attributes.get("axis", -1))
    table = np.rint(np.exp(-x.scale * np.arange(256, dtype=np.float64)) * 2.0**SOFTMAX_BITS)
    parts = table.astype(np.int64)[x.q.max(axis=axis, keepdims=True) - x.q]
    total = parts.sum(axis=axis, keepdims=True)
    steps = round(1.0 / call.out.scale[0])
    return (parts * steps + total // 2) // total + call.out.zero_point[0]


# ------------------------------------------------------------------- pools and means


def average_pool(call: Call) -> Array:
    """Mean of the pixels under the window, half away from zero; padding counts as `count_include_pad` says."""
    x, attributes = call.operand(0), call.node.attributes
    kernel = tuple(attributes["kernel_shape"])
    strides = tuple(attributes.get("strides", (1,) * len(kernel)))
    ones = (1,) * len(kernel)
    pads = _pads(call.node, x.q.shape[2:], kernel, strides, ones)
    around = [(0, 0), (0, 0), *pads]
    total = _window_sums(np.pad(x.centred, around), kernel, strides)
    inside = np.ones_like(x.q)
    fill = 1 if attributes.get("count_include_pad") else 0
    count = _window_sums(np.pad(inside, around, constant_values=fill), kernel, strides)
    if x.params == call.out:
        return divide_half_away(total, count) + call.out.zero_point[0]
    return call.finish(total, x.scale / (call.out.scale[0] * count))


def _windows(x: Array, reach: Sequence[int]) -> Array:
    """All positions of a window of size `reach` over the spatial axes, its elements on new axes behind."""
    axes: Any = tuple(range(2, 2 + len(reach)))
    return np.lib.stride_tricks.sliding_window_view(x, tuple(reach), axis=axes)


def _window_sums(x: Array, kernel: Sequence[int], strides: Sequence[int]) -> Array:
    windows = _windows(x, kernel)
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]
    return np.asarray(windows.sum(axis=tuple(range(-len(kernel), 0))))


def mean(call: Call, axes: Sequence[int], keepdims: bool, divide: bool = True) -> Array:
    """M = s_x / (s_y count) on the sum over `axes`; a sum if not `divide`."""
    x = call.operand(0)
    total = x.centred.sum(axis=tuple(axes), keepdims=keepdims)
    count = x.q.size // max(total.size, 1) if divide else 1
    return call.finish(total, x.scale / (call.out.scale[0] * count))


KERNELS: dict[str, Callable[[Call], Array]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "Add": add,
    "Sub": subtract,
    "Mul": mul,
    "Relu": rescale,
    "PRelu": prelu,
    "Softmax": softmax,
    "AveragePool": average_pool,
}
"""ONNX operator -> kernel. Reductions, table lookups and same-scale operators are in `integer`."""
