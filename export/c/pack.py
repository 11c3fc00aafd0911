"""Layouts of packed int8 weights: what `--device` decides, and how matrices become what the kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...runtime.errors import UsageError
from .program import Array


@dataclass(frozen=True)
class Layout:
    """One layout of ep_base.h.

    Attributes:
        macro: its name there.
        rows: EP_GEMM_ROWS, the rows a convolution gathers.
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

    def matrix(self, weights: Array) -> Array:
        """[outputs, depth] int8 as the kernels read it, one-dimensional."""
        if self.outputs == 1:
            return weights.reshape(-1)
        rows, columns = (-(-n // m) for n, m in zip(weights.shape, self._block, strict=True))
        filled = np.zeros((rows * self.outputs, columns * self.depth), np.int8)
        filled[: weights.shape[0], : weights.shape[1]] = weights
        blocks = filled.reshape(rows, self.outputs, columns, self.depth)
        return blocks.transpose(0, 2, 1, 3).reshape(-1)

    def vector(self, values: Array) -> Array:
        """One value an output, filled up."""
        missing = -len(values) % self.outputs
        return np.concatenate([values, np.zeros(missing, values.dtype)])

    @property
    def _block(self) -> tuple[int, int]:
        return self.outputs, self.depth


ROWS = Layout("EP_LAYOUT_ROWS", rows=4)
BLOCKS = Layout(
    "EP_LAYOUT_BLOCKS16X4",
    rows=8,
    outputs=16,
    depth=4,
    offset=128,
    sources=(
        ("ep_gemm_s8.c", "ep_gemm_s8_blocks.c"),
        ("ep_depthwise_s8.c", "ep_depthwise_s8_blocks.c"),
    ),
)

DEVICES: dict[str, Layout] = {"generic": ROWS, "x86-64": BLOCKS}
"""Device -> layout. "generic" suits scalar cores; "x86-64" the vector units of hosts, and runs everywhere."""


def layout_of(device: str) -> Layout:
    """The layout of a device; an unknown one is a `UsageError`."""
    if device not in DEVICES:
        raise UsageError(f"device is {device!r}", hint=f"C is packed for {', '.join(DEVICES)}")
    return DEVICES[device]


def target_header(device: str) -> str:
    """ep_target.h of a device."""
    return f"""/* Weights are packed for device {device}. */
#ifndef EP_TARGET_H
#define EP_TARGET_H

#define EP_LAYOUT {layout_of(device).macro}

#endif
"""
