"""Layouts of packed int8 weights for cores with NEON, without and with the dot product (Cortex-A53, A72; A76).

Both pack the runs of a window's lines in steps, so that a kernel walks weights and image together:

    NEON_DOT  [outputs / 16][depth / 4][16][4], the last block of 8 outputs if no more are left
    NEON      [outputs / 4][depth / 16][4][16], and the last eight of a run as [4][8]

Without the dot product two products of eight bits are added in sixteen, which holds unless both weights are -128.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ...runtime.errors import UnsupportedOperatorError
from .layout import Layout, is_pointwise
from .program import Array, Fields

_CHUNK = 16
_GATHERED_BYTES = 2048


@dataclass(frozen=True)
class NeonLayout(Layout, ABC):
    """What both have in common: `depth` is the step, runs that are no whole steps are gathered."""

    def matrix(self, weights: Array) -> Array:
        """As `Layout.matrix`: rows in one run."""
        return self._lines(weights[:, None, :])

    def conv(self, weights: Array, window: Fields) -> Array:
        """As `Layout.conv`: a run is a line of the window, or all of it if windows are gathered."""
        outputs, lines = weights.shape[:2]
        if self._is_whole(window) or is_pointwise(window):
            return self._lines(weights.reshape(outputs, lines, -1))
        return self._lines(_filled(weights.reshape(outputs, 1, -1), 1, _CHUNK))

    def conv_scratch(self, window: Fields, depth: int) -> int:
        """As `Layout.conv_scratch`; the rules of ep_conv_s8_neon.c."""
        spans = [(window[f"kernel_{a}"] - 1) * window[f"dilation_{a}"] + 1 for a in "hw"]
        reach = [
            (window[f"out_{a}"] - 1) * window[f"stride_{a}"] + spans[i] for i, a in enumerate("hw")
        ]
        beyond = window["pad_h"] or window["pad_w"]
        beyond = beyond or reach[0] > window["in_h"] or reach[1] > window["in_w"]
        whole = self._is_whole(window)
        if is_pointwise(window) or (whole and not beyond):
            return 0
        ring = int(spans[0] * reach[1] * window["channels"]) + _CHUNK
        return int(ring if whole else ring + self._gathered_bytes(window))

    def _is_whole(self, window: Fields) -> bool:
        run = int(window["kernel_w"] * window["channels"])
        return bool(window["dilation_w"] == 1) and run % self.depth == 0 and run >= _CHUNK

    def _gathered_bytes(self, window: Fields) -> int:
        pieces = 1 if window["dilation_w"] == 1 else window["kernel_w"]
        piece = window["kernel_w"] * window["channels"] // pieces
        row = _up((window["kernel_h"] * pieces - 1) * piece + _up(piece, _CHUNK), _CHUNK)
        return int(min(max(_GATHERED_BYTES // row, 4), window["out_w"]) * row)

    @abstractmethod
    def _lines(self, weights: Array) -> Array:
        """[outputs, lines, run] in the blocks of the kernels, zeros behind outputs and runs, one-dimensional."""

    def depthwise(self, taps: Array) -> Array:
        """[taps, outputs] in blocks of 8 outputs, the taps of each one behind the other."""
        filled = np.zeros((taps.shape[0], _up(taps.shape[1], 8)), np.int8)
        filled[:, : taps.shape[1]] = taps
        return filled.reshape(taps.shape[0], -1, 8).transpose(1, 0, 2).reshape(-1)

    @property
    def folds_depthwise(self) -> bool:
        """As `Layout.folds_depthwise`."""
        return True


@dataclass(frozen=True)
class _DotLayout(NeonLayout):
    def _lines(self, weights: Array) -> Array:
        """[outputs, lines, run] in blocks of 16 outputs or 8."""
        filled = _filled(weights, 8, self.depth)
        outputs = filled.shape[0]
        packed = []
        for first in range(0, outputs, 16):
            block = filled[first : first + 16].reshape(min(16, outputs - first), -1, self.depth)
            packed.append(block.transpose(1, 0, 2).reshape(-1))
        return np.concatenate(packed)

    def depthwise_window(self, weights: Array, window: Fields) -> Array:
        """3 x 3 windows as [outputs / 8][3 columns][8][4 lines], the last line 0; others by tap."""
        is_3x3 = weights.shape[:2] == (3, 3) and weights.shape[2] == window["channels"]
        if not is_3x3 or window["dilation_h"] != 1 or window["dilation_w"] != 1:
            return super().depthwise_window(weights, window)
        filled = np.zeros((4, 3, _up(weights.shape[2], 8)), np.int8)
        filled[:3, :, : weights.shape[2]] = weights
        return filled.reshape(4, 3, -1, 8).transpose(2, 1, 3, 0).reshape(-1)


@dataclass(frozen=True)
class _MultiplyLayout(NeonLayout):
    def _lines(self, weights: Array) -> Array:
        """[outputs, lines, run] in blocks of 4 outputs."""
        filled = _filled(weights, 4, self.depth)
        lines, run = filled.shape[1:]
        blocks = filled.reshape(-1, 4, lines, run).transpose(0, 2, 1, 3)
        parts = [blocks[..., k : k + 16] for k in range(0, run, 16)]
        for part in parts:
            _check(part[..., :8], part[..., 8:])
        joined: Array = np.concatenate([p.reshape(*p.shape[:2], -1) for p in parts], axis=2)
        return joined.reshape(-1)

    def depthwise(self, taps: Array) -> Array:
        """As `NeonLayout.depthwise`."""
        pairs = taps[: len(taps) // 2 * 2]
        _check(pairs[::2], pairs[1::2])
        return super().depthwise(taps)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _filled(weights: Array, outputs: int, depth: int) -> Array:
    """Zeros behind the outputs and behind each line, up to whole blocks."""
    rows, lines, run = weights.shape
    filled = np.zeros((_up(rows, outputs), lines, _up(run, depth)), np.int8)
    filled[:rows, :, :run] = weights
    return filled


def _check(first: Array, second: Array) -> None:
    """Refuse weights whose products are added in sixteen bits and may not fit: -128 in both."""
    if second.size and ((first == -128) & (second == -128)).any():
        raise UnsupportedOperatorError(
            "weights of -128 beside each other have no C form for cores without the dot product",
            hint="quantize weights to -127..127, as TFLite asks for, or use device generic",
        )


NEON = _MultiplyLayout(
    "EP_LAYOUT_NEON",
    rows=4,
    outputs=8,
    depth=8,
    sources=(
        ("ep_gemm_s8.c", "ep_gemm_s8_neon.c"),
        ("ep_conv_s8.c", "ep_conv_s8_neon.c"),
        ("ep_depthwise_s8.c", "ep_depthwise_s8_neon.c"),
    ),
)
NEON_DOT = _DotLayout(
    "EP_LAYOUT_NEON_DOT",
    rows=4,
    outputs=8,
    depth=4,
    sources=(
        ("ep_gemm_s8.c", "ep_gemm_s8_neon_dot.c"),
        ("ep_conv_s8.c", "ep_conv_s8_neon.c"),
        ("ep_depthwise_s8.c", "ep_depthwise_s8_neon.c"),
    ),
)
