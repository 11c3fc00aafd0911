"""Layouts of packed one-bit filters: how many outputs lie side by side, and whose kernels read them.

A filter of words [outputs, rows, columns, words of a pixel] becomes [outputs / lanes][words of a filter][lanes], or
[words / depth][outputs / lanes][depth][lanes] where there is a depth; filled up with 0, group by group. The numbers
are those of ep_bdots.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .layout import Layout
from .program import Array


@dataclass(frozen=True)
class BitLayout:
    """One form of ep_bdots.h.

    Attributes:
        lanes: EP_BITS_LANES, outputs side by side.
        depth: EP_BITS_DEPTH, words that are added before their ones are counted; 1: one by one.
        pixels: EP_BITS_PIXELS, windows that are multiplied at a time.
        source: what takes the place of ep_bdots.c; "" for none.
    """

    lanes: int
    depth: int
    pixels: int
    source: str = ""

    def filters(self, words: Array, groups: int) -> Array:
        """int32 [outputs, words of a filter] as `ep_bdots` reads them, one-dimensional."""
        outputs, count = words.shape
        each = outputs // groups
        rows, columns = -(-each // self.lanes), -(-count // self.depth)
        filled = np.zeros((groups, rows * self.lanes, columns * self.depth), np.int32)
        filled[:, :each, :count] = words.reshape(groups, each, count)
        blocks = filled.reshape(groups, rows, self.lanes, columns, self.depth)
        order = (0, 1, 3, 4, 2) if self.depth == 1 else (0, 3, 1, 4, 2)
        return blocks.transpose(order).reshape(-1)


_FORMS: Mapping[str, BitLayout] = {
    "EP_LAYOUT_BLOCKS16X4": BitLayout(16, 1, 8, "ep_bdots_blocks.c"),
    "EP_LAYOUT_NEON": BitLayout(16, 1, 4, "ep_bdots_neon.c"),
    "EP_LAYOUT_NEON_DOT": BitLayout(16, 1, 4, "ep_bdots_neon.c"),
    "EP_LAYOUT_MVE": BitLayout(4, 3, 2, "ep_bdots_mve.c"),
    "EP_LAYOUT_SMLAD": BitLayout(1, 3, 2, "ep_bdots_smlad.c"),
}
_SCALAR = BitLayout(1, 1, 4)


def bits_of(layout: Layout) -> BitLayout:
    """The form that goes with a layout of int8 weights."""
    return _FORMS.get(layout.macro, _SCALAR)


def variants(layout: Layout) -> dict[str, str]:
    """Kernel sources that take the place of others: those of the layout and of its one-bit filters."""
    source = bits_of(layout).source
    return {**dict(layout.sources), **({"ep_bdots.c": source} if source else {})}
