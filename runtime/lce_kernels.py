"""The four operators of Larq Compute Engine in numpy, written from their definition: slow, exact, to compare with.

Bits: 32 channels to an int32, least significant bit first, 1 for -1; bits beyond the channels are 0.

    quantize      bit = x < 0 (float), q < zero point (int8), not x (bool)
    dequantize    0 -> 1, 1 -> -1; int8: zero point +- round(1 / scale), saturated; bool: 0 -> true
    max pool      AND of the words of a window; what lies outside the image does not count
    convolution   y = taps - 2 popcount(a xor w); then clamp(y) * multiplier + bias as float32 (int8: / scale, rounded
                  half away from zero, + zero point, saturated), or the bit popcount > threshold
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Tuple

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

WORD_BITS = 32

_CLAMPS = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""fused_activation_function -> range: NONE, RELU, RELU_N1_TO_1, RELU6."""

ACTIVATIONS = tuple(_CLAMPS)


@dataclass(frozen=True)
class Window:
    """How a kernel moves: sizes (rows, columns); `before` and `after` are rows and columns beyond the image."""

    kernel: Tuple[int, int]
    stride: Tuple[int, int]
    dilation: Tuple[int, int]
    before: Tuple[int, int]
    after: Tuple[int, int]


def make_window(
    size: Tuple[int, int],
    kernel: Tuple[int, int],
    stride: Tuple[int, int],
    dilation: Tuple[int, int],
    same: bool,
) -> Window:
    """The window with TensorFlow's SAME (`same`) or VALID padding of an image of `size`."""
    before, after = [0, 0], [0, 0]
    if same:
        for axis in (0, 1):
            reach = (kernel[axis] - 1) * dilation[axis] + 1
            steps = -(-size[axis] // stride[axis])
            total = max((steps - 1) * stride[axis] + reach - size[axis], 0)
            before[axis], after[axis] = total // 2, total - total // 2
    return Window(kernel, stride, dilation, (before[0], before[1]), (after[0], after[1]))


def quantize(x: Array, zero_point: int = 0) -> Array:
    """Bits of [..., channels]: int32 [..., words]."""
    bits = ~x if x.dtype == np.bool_ else x < zero_point
    return pack(bits)


def pack(bits: Array) -> Array:
    """bool [..., channels] -> int32 [..., words]."""
    channels = bits.shape[-1]
    words = -(-channels // WORD_BITS)
    padded = np.zeros((*bits.shape[:-1], words * WORD_BITS), bool)
    padded[..., :channels] = bits
    octets = np.packbits(padded, axis=-1, bitorder="little")
    packed: Array = octets.view("<i4").astype(np.int32)
    return packed


def unpack(words: Array) -> Array:
    """All bits of int32 [..., words] as uint8 [..., 32 words]."""
    octets = np.ascontiguousarray(words.astype("<i4")).view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little")


def dequantize(words: Array, channels: int, dtype: str, scale: float, zero_point: int) -> Array:
    """The signs of the first `channels` bits as numbers of `dtype`: float32, int8 or bool."""
    bits = unpack(words)[..., :channels]
    if dtype == "bool":
        return np.asarray(bits == 0)
    if dtype == "float32":
        return np.asarray(1 - 2 * bits.astype(np.float32), np.float32)
    step = int(np.floor(1.0 / scale + 0.5))
    low, high = max(-128, zero_point - step), min(127, zero_point + step)
    return np.asarray(np.where(bits, low, high), np.int8)


def max_pool(words: Array, window: Window) -> Array:
    """int32 [N, H, W, words] -> [N, H', W', words]."""
    patches = _patches(words, window, np.int32(-1))
    made: Array = np.bitwise_and.reduce(patches, axis=3)
    return made


def popcounts(words: Array, filters: Array, window: Window, zeros: bool) -> Tuple[Array, Array]:
    """popcount(a xor w) and the taps inside the image, per output: int64 [N, H', W', O] and [H', W'].

    Beyond the image lie bits 0; with `zeros` what lies there is no tap and counts nothing. Counted as
    (bits - sum of products of signs) / 2 by a matrix product, exact in the type that holds all its integers.
    """
    outputs, rows, columns, depth = filters.shape
    exact = np.float32 if rows * columns * depth * WORD_BITS < 1 << 24 else np.float64
    beyond = exact(0 if zeros else 1)
    moved = _patches(_signs(words, exact), window, beyond)
    inside = _patches(np.ones((1, *words.shape[1:3], 1), exact), window, beyond)
    taps: Array = inside.sum(axis=(3, 4))[0].astype(np.int64)
    products = moved.reshape(*moved.shape[:3], -1) @ _signs(filters, exact).reshape(outputs, -1).T
    bits = (taps * (depth * WORD_BITS))[None, :, :, None]
    return (bits - products.astype(np.int64)) // 2, taps


def _signs(words: Array, dtype: Any) -> Array:
    """+-1 of all bits."""
    return np.asarray(1 - 2 * unpack(words).astype(dtype), dtype)


def sums(counts: Array, taps: Array, channels: int) -> Array:
    """y = K - 2 popcount, K = taps inside the image x channels of a group."""
    return np.asarray((taps * channels)[None, :, :, None] - 2 * counts)


def affine(y: Array, multiplier: Array, bias: Array, activation: int) -> Array:
    """clamp(y) * multiplier + bias, each step rounded to float32."""
    low, high = _CLAMPS[activation]
    clamped = np.clip(y.astype(np.float32), np.float32(low), np.float32(high))
    with np.errstate(over="ignore", invalid="ignore"):  # as engines: infinite, no warning
        return np.asarray(clamped * multiplier + bias, np.float32)


def affine_folded(
    y: Array, beyond: Array, taps: int, multiplier: Array, bias: Array, activation: int
) -> Array:
    """The same value as LCE 0.16 rounds it: (taps - clamp(y)) * -multiplier + (bias + taps * multiplier).

    The second bracket is rounded once. Found by comparing with its interpreter, bit for bit.

    Args:
        y: sums.
        beyond: what borders of 0 take away from them yet: taken away behind, times the multiplier.
        taps: products of a whole window.
    """
    low, high = _CLAMPS[activation]
    away = np.float32(taps) - np.clip(y.astype(np.float32), np.float32(low), np.float32(high))
    whole = (bias.astype(np.float64) + taps * multiplier.astype(np.float64)).astype(np.float32)
    made = np.asarray(away * -multiplier + whole, np.float32)
    return np.where(beyond == 0, made, made - beyond.astype(np.float32) * multiplier)


def to_int8(values: Array, scale: float, zero_point: int) -> Array:
    """round(values / scale) + zero point, half away from zero, saturated."""
    steps = values / np.float32(scale)
    rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps))
    return np.asarray(np.clip(rounded + zero_point, -128, 127), np.int8)


def _patches(values: Array, window: Window, fill: Any) -> Array:
    """[N, H, W, C] -> [N, H', W', taps, C]; `fill` beyond the image."""
    (top, left), (bottom, right) = window.before, window.after
    pads = ((0, 0), (top, bottom), (left, right), (0, 0))
    wide = np.pad(values, pads, constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation)]
    high, broad = (
        (wide.shape[axis + 1] - reach[axis]) // window.stride[axis] + 1 for axis in (0, 1)
    )
    parts = []
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            y, x = row * window.dilation[0], column * window.dilation[1]
            parts.append(
                wide[
                    :,
                    y : y + (high - 1) * window.stride[0] + 1 : window.stride[0],
                    x : x + (broad - 1) * window.stride[1] + 1 : window.stride[1],
                ]
            )
    stacked: Array = np.stack(parts, axis=3)
    return stacked


def bits_beyond(words: Array, channels: int) -> bool:
    """True if a bit beyond the channels is set: popcounts would count it."""
    return bool(unpack(words)[..., channels:].any())
