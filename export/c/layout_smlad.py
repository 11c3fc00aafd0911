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
_MOST_RIGHT, _OTHER = 20, 64  # of ep_requant_dsp.h


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
        return lanes.reshape(-1).astype("<i2").view(np.int8)

    def product_vectors(
        self, bias: Array, multipliers: Array, shifts: Array, zero: int
    ) -> dict[str, Array]:
        """As `Layout.product_vectors`: bias and `ep_scale_dsp` of each output."""
        usual = (shifts < 0) & (shifts >= -_MOST_RIGHT)
        right = np.where(usual, -shifts, 0).astype(np.int64)
        offset = ((1 << right) >> 1) + (np.int64(zero) << right)
        right = np.where(usual, right, shifts.astype(np.int64) - _OTHER)
        members = [self.vector(v.astype(np.int32)) for v in (bias, multipliers, offset, right)]
        return {"scales": np.stack(members, axis=1).reshape(-1)}

    @property
    def folds_depthwise(self) -> bool:
        """As `Layout.folds_depthwise`."""
        return True

    def depthwise_window(self, weights: Array, window: Fields) -> Array:
        """As `Layout.depthwise_window`: of windows that go in bands [outputs][3] words (w0, w1, w1, w2)."""
        outputs = weights.shape[-1]
        if not _goes_in_bands(window, outputs // window["channels"]):
            return weights.reshape(-1)
        return np.ascontiguousarray(weights.transpose(2, 0, 1)[:, :, (0, 1, 1, 2)]).reshape(-1)

    def depthwise_fields(self, window: Fields, multiples: int) -> Fields:
        """As `Layout.depthwise_fields`."""
        return {"band": _band(window) if _goes_in_bands(window, multiples) else 0}

    def depthwise_scratch(self, window: Fields, multiples: int) -> int | None:
        """As `Layout.depthwise_scratch`: planes of four channels, int16."""
        if not _goes_in_bands(window, multiples):
            return 0
        return int(((_band(window) - 1) * window["stride_h"] + 3) * _line_bytes(window))

    def conv_scratch(self, window: Fields, depth: int) -> int:
        """As `Layout.conv_scratch`: four rows of int16, and of bytes where channels are no whole words."""
        filled = _up(depth, self.depth)
        return self.rows * filled * (2 if window["channels"] % self.depth == 0 else 3)


def _goes_in_bands(window: Fields, multiples: int) -> bool:
    ones = multiples == window["dilation_h"] == window["dilation_w"] == 1
    small = window["kernel_h"] == window["kernel_w"] == 3 and window["stride_w"] in (1, 2)
    return bool(ones and small and window["channels"] % 4 == 0)


def _line_bytes(window: Fields) -> int:
    return int(16 * (-(-window["out_w"] // 2) * window["stride_w"] + 1))


def _band(window: Fields) -> int:
    """Lines of results at once: those whose planes take a twentieth of what is read and written, one at least."""
    image = window["in_h"] * window["in_w"] + window["out_h"] * window["out_w"]
    lines = image * window["channels"] // 20 // _line_bytes(window)
    return int(min(max((lines - 3) // window["stride_h"] + 1, 1), window["out_h"]))


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
        ("ep_depthwise_s8.c", "ep_depthwise_s8_smlad.c"),
    ),
)
