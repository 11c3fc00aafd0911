"""Layout of packed int8 weights for cores with the DSP extension (Cortex-M4, M7, M33): pairs of 16-bit products.

    [outputs / 2][depth / 4][2] words of two lanes, a lane 256 * second + first of two outputs

A word's lanes are the elements (0, 2) of four, the next word's (1, 3): sign extension of every other byte takes inputs
apart in this order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...runtime.errors import UnsupportedOperatorError
from .layout import Layout
from .program import Array, Fields

_ORDER = (0, 2, 1, 3)


@dataclass(frozen=True)
class SmladLayout(Layout):
    """Kernels with SMLAD."""

    def matrix(self, weights: Array) -> Array:
        """As `Layout.matrix`.

        Raises:
            UnsupportedOperatorError: two weights that fit into no lane, -128 beside a negative one.
        """
        rows, columns = weights.shape
        filled = np.zeros((_up(rows, self.outputs), _up(columns, self.depth)), np.int32)
        filled[:rows, :columns] = weights
        ordered = filled.reshape(len(filled), -1, self.depth)[:, :, _ORDER].reshape(len(filled), -1)
        lanes = 256 * ordered[1::2] + ordered[::2]
        if lanes.min(initial=0) < -(2**15):
            raise UnsupportedOperatorError(
                "weights of -128 beside negative ones have no C form for cores with the DSP extension",
                hint="quantize weights to -127..127, as TFLite asks for, or use device generic",
            )
        return lanes.astype("<i2").view(np.int8).reshape(-1)

    def conv_scratch(self, window: Fields, depth: int) -> int:
        """As `Layout.conv_scratch`: four rows of int16, and of bytes where channels are no whole words."""
        filled = _up(depth, self.depth)
        return self.rows * filled * (2 if window["channels"] % self.depth == 0 else 3)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


SMLAD = SmladLayout(
    "EP_LAYOUT_SMLAD",
    rows=4,
    outputs=2,
    depth=4,
    sources=(
        ("ep_gemm_s8.c", "ep_gemm_s8_smlad.c"),
        ("ep_conv_s8.c", "ep_conv_s8_smlad.c"),
    ),
)
