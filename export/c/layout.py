"""`Layout`: how int8 weights lie in flash, and how matrices become what a layout's kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .program import Array, Fields


@dataclass(frozen=True)
class Layout:
    """One layout of ep_base.h.

    Attributes:
        macro: its name there.
        rows: EP_GEMM_ROWS, the int8 rows a convolution gathers.
        float_rows: EP_FLOAT_ROWS, the same of floats.
        outputs, depth: both are filled up to multiples of these, and lie in blocks of them.
        offset: what is added to inputs before they are multiplied.
        sources: kernel sources that take the place of others.
    """

    macro: str
    rows: int
    outputs: int = 1
    depth: int = 1
    offset: int = 0
    sources: tuple[tuple[str, str], ...] = ()
    float_rows: int = 4

    def matrix(self, weights: Array) -> Array:
        """[outputs, depth] int8 as convolutions and dense layers read it, one-dimensional."""
        if self.outputs == self.depth == 1:
            return weights.reshape(-1)
        rows, columns = (-(-n // m) for n, m in zip(weights.shape, self._block, strict=True))
        filled = np.zeros((rows * self.outputs, columns * self.depth), np.int8)
        filled[: weights.shape[0], : weights.shape[1]] = weights
        blocks = filled.reshape(rows, self.outputs, columns, self.depth)
        return blocks.transpose(0, 2, 1, 3).reshape(-1)

    def conv(self, weights: Array, window: Fields) -> Array:
        """[outputs, H, W, channels] int8 as convolutions of this `ep_window` read it, one-dimensional."""
        return self.matrix(weights.reshape(weights.shape[0], -1))

    def vector(self, values: Array) -> Array:
        """One value an output, filled up."""
        missing = -len(values) % self.outputs
        return np.concatenate([values, np.zeros(missing, values.dtype)])

    def vectors(
        self, bias: Array, multipliers: Array, shifts: Array, zero: int
    ) -> dict[str, Array]:
        """Argument -> values, one an output, of what is done to sums; `zero` is the result's zero point."""
        named = {"bias": bias, "multiplier": multipliers, "shift": shifts}
        return {key: self.vector(values) for key, values in named.items()}

    def product_vectors(
        self, bias: Array, multipliers: Array, shifts: Array, zero: int
    ) -> dict[str, Array]:
        """The same as convolutions and dense layers read it."""
        return self.vectors(bias, multipliers, shifts, zero)

    def depthwise(self, taps: Array) -> Array:
        """[taps, channels] int8 as depthwise convolutions read it, one-dimensional."""
        return self.matrix(taps.T) if self.offset else taps.reshape(-1)

    def depthwise_window(self, weights: Array, window: Fields) -> Array:
        """[H, W, outputs] int8 as depthwise convolutions of this `ep_window` read it, one-dimensional."""
        return self.depthwise(weights.reshape(-1, weights.shape[-1]))

    @property
    def folds_depthwise(self) -> bool:
        """True if depthwise convolutions, too, have the input's zero point in the bias."""
        return self.offset != 0

    def conv_scratch_bytes(self, depth: int) -> int:
        """Memory in which a convolution gathers windows of `depth` int8 elements."""
        return self.rows * depth

    def conv_scratch(self, window: Fields, depth: int) -> int:
        """Memory that a convolution of this `ep_window` needs, in bytes."""
        return 0 if is_pointwise(window) else self.conv_scratch_bytes(depth)

    def depthwise_scratch(self, window: Fields, multiples: int) -> int | None:
        """Memory that a depthwise convolution needs, in bytes; None if its kernel takes none."""
        return None

    def depthwise_fields(self, window: Fields, multiples: int) -> Fields:
        """Further arguments of a depthwise convolution."""
        return {}

    @property
    def _block(self) -> tuple[int, int]:
        return self.outputs, self.depth


def is_pointwise(window: Fields) -> bool:
    """As `ep_is_pointwise`."""
    ones = ("kernel_h", "kernel_w", "stride_h", "stride_w")
    return all(window[key] == 1 for key in ones) and not (window["pad_h"] or window["pad_w"])


ROWS = Layout("EP_LAYOUT_ROWS", rows=4)
