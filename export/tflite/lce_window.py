"""How borders of 0, which no bit can hold, come about with SAME and pad_values 0.

LCE pads with 0 only as TensorFlow's SAME does. Where a layer's pads are others, either the image gets `extra` rows
and columns behind it so that SAME has the right pads in front, and only the outputs that see none of them are kept;
or the layer runs with stride 1 and every n-th output is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from .window import Pair, Window, same_pads


@dataclass(frozen=True)
class ZeroBorders:
    """`extra` rows and columns behind; the operator's stride; sizes it makes, are wanted; every n-th is kept."""

    extra: Pair
    stride: Pair
    made: Pair
    wanted: Pair
    every: Pair


def zero_borders(window: Window) -> ZeroBorders | None:
    """How SAME gives the window's outputs with borders of 0; None if it cannot."""
    wanted = output_size(window)
    extra = tuple(_extra(window, axis, wanted[axis]) for axis in (0, 1))
    if extra[0] is not None and extra[1] is not None:
        pair = (extra[0], extra[1])
        made = (
            _ceil(window.size[0] + pair[0], window.stride[0]),
            _ceil(window.size[1] + pair[1], window.stride[1]),
        )
        return ZeroBorders(pair, window.stride, made, wanted, (1, 1))
    if all(_every(window, axis, wanted[axis]) for axis in (0, 1)):
        return ZeroBorders((0, 0), (1, 1), window.size, wanted, window.stride)
    return None


def _every(window: Window, axis: int, wanted: int) -> bool:
    """True if the wanted outputs are among those of stride 1."""
    in_front = same_pads(window.size[axis], window.reach[axis], 1)[0] == window.before[axis]
    return in_front and (wanted - 1) * window.stride[axis] < window.size[axis]


def _extra(window: Window, axis: int, wanted: int) -> int | None:
    """Fewest rows behind that give SAME the right pads in front and at least `wanted` outputs."""
    size, reach, stride = window.size[axis], window.reach[axis], window.stride[axis]
    last = (wanted - 1) * stride - window.before[axis] + reach  # behind the last row that is read
    for extra in range(reach + stride):
        if extra and last > size:
            return None  # it would read what was put behind, and that is no 0
        right = same_pads(size + extra, reach, stride)[0] == window.before[axis]
        if right and _ceil(size + extra, stride) >= wanted:
            return extra
    return None


def output_size(window: Window) -> Pair:
    """Spatial sizes of the result."""
    high, wide = (
        (window.size[i] + window.before[i] + window.after[i] - window.reach[i]) // window.stride[i]
        + 1
        for i in (0, 1)
    )
    return high, wide


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
