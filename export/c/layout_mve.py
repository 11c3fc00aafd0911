"""Layout of packed int8 weights for cores with Helium (Cortex-M55).

Products read steps of 16 elements of 4 outputs, [outputs / 4][steps][4][16]. What a depth has beyond whole steps is in
the first one, filled up with 0. Windows of convolutions are columns, [kernel_w][kernel_h][channels]: a strip of columns
holds overlapping windows, each as one run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layout import Layout, is_pointwise
from .program import Array, Fields

_STRIP_BYTES = 2048


@dataclass(frozen=True)
class MveLayout(Layout):
    """Weights as the kernels `ep_*_mve.c` read them; `depth` is the step."""

    def matrix(self, weights: Array) -> Array:
        """As `Layout.matrix`, the incomplete step in front."""
        first = weights.shape[1] % self.depth
        if not first:
            return super().matrix(weights)
        gap = np.zeros((len(weights), self.depth - first), np.int8)
        return super().matrix(np.concatenate([weights[:, :first], gap, weights[:, first:]], axis=1))

    def conv(self, weights: Array, window: Fields) -> Array:
        """As `Layout.conv`: windows are columns."""
        return self.matrix(weights.transpose(0, 2, 1, 3).reshape(len(weights), -1))

    def depthwise_window(self, weights: Array, window: Fields) -> Array:
        """As `Layout.depthwise_window`: pieces of 4 columns of 4 lines."""
        height, width, outputs = weights.shape
        down, across = -(-height // 4), -(-width // 4)
        filled = np.zeros((down * 4, across * 4, outputs), np.int8)
        filled[:height, :width] = weights
        return filled.reshape(down, 4, across, 4, outputs).transpose(4, 0, 2, 3, 1).reshape(-1)

    @property
    def folds_depthwise(self) -> bool:
        """As `Layout.folds_depthwise`."""
        return True

    def conv_scratch(self, window: Fields, depth: int) -> int:
        """As `Layout.conv_scratch`: the strip, by the rules of ep_conv_s8_mve.c."""
        if is_pointwise(window) or _is_inside(window):
            return 0
        piece = window["kernel_h"] * window["channels"]
        apart = window["dilation_w"] != 1 or window["stride_w"] >= window["kernel_w"]
        step = (window["kernel_w"] if apart else window["stride_w"]) * piece
        one = window["kernel_w"] * piece
        most = min(max((_STRIP_BYTES - one) // step + 1, 2), window["out_w"])
        return int((most - 1) * step + one)


def _is_inside(window: Fields) -> bool:
    """True if all windows are multiplied where they lie: in one line, and in the image."""
    reach = [
        (window[f"out_{axis}"] - 1) * window[f"stride_{axis}"]
        + (window[f"kernel_{axis}"] - 1) * window[f"dilation_{axis}"]
        + 1
        for axis in "hw"
    ]
    fits = reach[0] <= window["in_h"] and reach[1] <= window["in_w"]
    one_line = window["kernel_h"] == window["dilation_w"] == 1
    return bool(one_line and fits and not window["pad_h"] and not window["pad_w"])


MVE = MveLayout(
    "EP_LAYOUT_MVE",
    rows=4,
    outputs=4,
    depth=16,
    sources=(
        ("ep_gemm_s8.c", "ep_gemm_s8_mve.c"),
        ("ep_conv_s8.c", "ep_conv_s8_mve.c"),
        ("ep_depthwise_s8.c", "ep_depthwise_s8_mve.c"),
    ),
)
