"""The layout of x86 hosts: sixteen outputs beside each other, four products of each in a step.

Convolutions copy the lines they need, padded, into a ring, so that all windows lie alike: each line of a window, or
each pixel where pixels are apart, is a run, whose weights are filled up to whole steps. The ring has the columns of
`SEGMENT` outputs; `ep_ring_s8.h` computes the same sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layout import Layout, is_pointwise
from .program import Array, Fields

SEGMENT = 32
"""EP_SEGMENT: outputs of a line that are computed from one ring."""

_ALIGNMENT = 16
_BEHIND = 64
"""EP_BEHIND: bytes that may be read behind a ring."""
_CHUNK = 64
"""EP_CHUNK: channels of a depthwise convolution in one ring."""
_MOST_TAPS = 64
"""EP_MOST_TAPS: of a depthwise convolution with vectors."""


@dataclass(frozen=True)
class BlocksLayout(Layout):
    """EP_LAYOUT_BLOCKS16X4."""

    def conv(self, weights: Array, window: Fields) -> Array:
        """[outputs, H, W, channels] int8 by runs, one-dimensional."""
        if is_pointwise(window):
            return super().conv(weights, window)
        outputs, height, width, channels = weights.shape
        runs = (height, width * channels)
        if window["dilation_w"] != 1:
            runs = (height * width, channels)
        lines = weights.reshape(outputs, *runs)
        filled = np.pad(lines, ((0, 0), (0, 0), (0, -runs[1] % self.depth)))
        return self.matrix(filled.reshape(outputs, -1))

    def conv_scratch(self, window: Fields, depth: int) -> int:
        """Bytes of the ring of a convolution."""
        return 0 if is_pointwise(window) else ring_bytes(window, window["channels"], 1)

    def depthwise_scratch(self, window: Fields, multiples: int) -> int:
        """Bytes of the ring of a depthwise convolution."""
        taps = window["kernel_h"] * window["kernel_w"]
        if multiples != 1 or taps > _MOST_TAPS:
            return 0
        return ring_bytes(window, min(window["channels"], _CHUNK), window["stride_w"])


def ring_bytes(window: Fields, channels: int, phases: int) -> int:
    """As `ep_ring_of` lays it out: the lines under a window, every `phases`-th column beside each other."""
    lines = (window["kernel_h"] - 1) * window["dilation_h"] + 1
    outputs = min(window["out_w"], SEGMENT)
    reach = (window["kernel_w"] - 1) * window["dilation_w"] + 1
    columns = (outputs - 1) * window["stride_w"] + reach
    line = -(-columns // phases) * phases * channels
    return int(lines * (-(-line // _ALIGNMENT) * _ALIGNMENT) + _BEHIND)


BLOCKS = BlocksLayout(
    "EP_LAYOUT_BLOCKS16X4",
    rows=8,
    outputs=16,
    depth=4,
    offset=128,
    sources=(
        ("ep_conv_s8.c", "ep_conv_s8_blocks.c"),
        ("ep_gemm_s8.c", "ep_gemm_s8_blocks.c"),
        ("ep_depthwise_s8.c", "ep_depthwise_s8_blocks.c"),
    ),
    float_rows=8,
)
