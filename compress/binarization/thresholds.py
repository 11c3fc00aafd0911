"""Batch norm, scale and sign behind a sum of signs become one integer compare per output channel.

    z = gamma (a y - mean) / sqrt(var + eps) + beta + shift,   bit = z >= 0
    T = (mean - (beta + shift) sqrt(var + eps) / gamma) / a
    gamma a > 0: y >= ceil(T)      gamma a < 0: -y >= ceil(-T)      gamma a = 0: constant

`fold_norm` is this closed form in float64. `probe` reads the same from any function of y, value by value over all
sums there can be, so float32 rounding of the network that was trained is part of it: nothing is left to differ.
A channel with q = -1 flips all its weight bits and then compares q y like the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError

Array = NDArray[Any]


class NoThreshold(Exception):
    """No threshold on the sum describes a level; the message says why."""


@dataclass(frozen=True)
class Staircase:
    """level(y) = values[number of k with q y >= at[:, k]].

    Attributes:
        values: levels in ascending order, (-1, 1) for signs.
        direction: int8 [channels], q: 1 where levels rise with the sum, -1 where they fall.
        at: int32 [channels, levels - 1], thresholds on q y, ascending; `reach` + 1 is never reached.
        reach: largest magnitude of a sum.
    """

    values: tuple[int, ...]
    direction: Array
    at: Array
    reach: int

    def apply(self, sums: Array, axis: int = 1) -> Array:
        """int8 levels of integer sums whose channels lie on `axis`."""
        shape = [1] * sums.ndim
        shape[axis] = -1
        turned = sums * self.direction.reshape(shape)
        count = np.zeros(sums.shape, np.int64)
        for step in range(self.at.shape[1]):
            count += turned >= self.at[:, step].reshape(shape)
        return np.asarray(np.asarray(self.values, np.int8)[count])

    @property
    def constant(self) -> Array:
        """bool [channels]: the level never changes."""
        low = (self.at <= -self.reach).all(1)
        return np.asarray(low | (self.at > self.reach).all(1))


def fold_norm(
    taps: int,
    gamma: Array,
    beta: Array,
    mean: Array,
    variance: Array,
    epsilon: float,
    scale: Array | float = 1.0,
    shift: Array | float = 0.0,
) -> Staircase:
    """The closed form for batch norm and sign; all arrays [channels].

    Args:
        taps: products per sum, K.
        scale: a, weight scale; may be negative.
        shift: added before the sign (a threshold of the next layer's RSign; its Hardtanh changes nothing while
            |shift| < 1).

    Raises:
        InputError: a variance is negative or a value is not finite.
    """
    values = [np.asarray(v, np.float64) for v in (gamma, beta, mean, variance, scale, shift)]
    g, b, m, v, a, s = np.broadcast_arrays(*np.atleast_1d(*values))
    if not all(np.isfinite(x).all() for x in (g, b, m, v, a, s)) or (v < 0).any():
        raise InputError("batch norm statistics must be finite, variances not negative")
    slope, deviation = g * a, np.sqrt(v + epsilon)
    moving = slope != 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        threshold = (m - (b + s) * deviation / g) / a
    direction = np.where(slope < 0, -1, 1)
    resting = np.where(b + s - g * m / deviation >= 0, -np.inf, np.inf)  # y does not matter
    at = np.where(moving, np.ceil(direction * threshold), resting)
    saturated = np.clip(at, -(taps + 1), taps + 1).astype(np.int32)
    return Staircase((-1, 1), direction.astype(np.int8), saturated[:, None], taps)


def probe(levels: Array, reach: int) -> Staircase:
    """The staircase of a function of the sum, from its levels at every integer of [-reach, reach].

    Args:
        levels: integers [2 reach + 1, channels].

    Raises:
        NoThreshold: a channel's levels rise and fall.
    """
    levels = np.asarray(levels)
    steps = np.diff(levels.astype(np.int64), axis=0)
    rises, falls = (steps > 0).any(0), (steps < 0).any(0)
    if (rises & falls).any():
        channel = int(np.argmax(rises & falls))
        raise NoThreshold(f"the level of channel {channel} rises and falls with the sum")
    direction = np.where(falls, -1, 1).astype(np.int8)
    turned = np.where(falls[None], levels[::-1], levels)  # along q y
    values = tuple(int(v) for v in np.unique(levels))
    if len(values) == 1:
        values = (-1, 1) if values[0] in (-1, 1) else (values[0], values[0] + 1)
    at = np.stack([reach + 1 - (turned >= v).sum(0) for v in values[1:]], axis=1)
    at = np.where(at == -reach, -(reach + 1), at)
    return Staircase(values, direction, at.astype(np.int32), reach)


def channel_blocks(reach: int, channels: int) -> list[slice]:
    """Channels in blocks of which `probe` holds about four million levels at a time."""
    step = max(1, (1 << 22) // (2 * reach + 1))
    return [slice(start, min(channels, start + step)) for start in range(0, channels, step)]


def join(parts: list[Staircase]) -> Staircase:
    """One staircase of the channels of several, which have the same levels and reach."""
    direction, at = ([getattr(p, name) for p in parts] for name in ("direction", "at"))
    return Staircase(parts[0].values, np.concatenate(direction), np.concatenate(at), parts[0].reach)


def pool_rule(values: Array, levels: Array) -> Array:
    """int8 [channels]: 1 (OR of bits) where the level rises with the value that is pooled, -1 (AND) where it falls.

    Args:
        values: what is pooled, [sums, channels], for every sum there can be.
        levels: what becomes of them, [sums, channels].

    Raises:
        NoThreshold: a channel's level rises and falls.
    """
    order = np.argsort(values, axis=0, kind="stable")
    steps = np.diff(np.take_along_axis(levels, order, axis=0).astype(np.int64), axis=0)
    rises, falls = (steps > 0).any(0), (steps < 0).any(0)
    if (rises & falls).any():
        raise NoThreshold("its bit rises and falls with the value that is pooled")
    return np.where(falls, -1, 1).astype(np.int8)


def popcount_sums(inputs: Array, weights: Array) -> Array:
    """Sums of signs by XOR and popcount: [rows, K] and [outputs, K] of +-1 -> int64 [rows, outputs].

    y = K - 2 popcount(x XOR w), bits 1 for -1 packed 8 to a byte; unused bits are 0 in both.
    """
    taps = inputs.shape[1]
    x = np.packbits(inputs < 0, axis=1, bitorder="little")
    w = np.packbits(weights < 0, axis=1, bitorder="little")
    table = np.array([bin(i).count("1") for i in range(256)], np.uint8)
    different = table[x[:, None, :] ^ w[None, :, :]].sum(2, dtype=np.int64)
    return np.asarray(taps - 2 * different)
