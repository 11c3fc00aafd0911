"""Damage to test inputs, each kind at five severities: what robustness is measured with.

    worse = corrupt(images, "contrast", severity=3)         # uint8 or float [N,C,H,W]
    worse = corrupt(windows, "dropout", severity=5)         # float [N,C,L]

Our own set, in the manner of Hendrycks and Dietterich, Benchmarking Neural Network Robustness (ICLR 2019): the
kinds are alike, the code and the strengths are not theirs, so figures are not comparable with CIFAR-10-C. Random
kinds draw the same numbers at every severity (seeded by the kind and `seed`), so distortion grows with severity.
Images keep their type and their range of values; series have no range but their own spread.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...runtime.errors import UsageError
from ..task import Array

SEVERITIES = (1, 2, 3, 4, 5)
BLOCK = 8
"""Pixels of a side of what `jpeg` transforms."""

Damage = Callable[[Array, float, np.random.Generator], Array]
"""(values, strength, generator) -> values. Images are in 0..1, series have a deviation of 1 per channel."""


@dataclass(frozen=True)
class Corruption:
    """A kind of damage: `strengths` are those of the five severities."""

    name: str
    strengths: tuple[float, float, float, float, float]
    damage: Damage
    meaning: str


def kinds_for(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Kinds that fit inputs of this shape, without the batch: (C,H,W) images, (C,L) series.

    Raises:
        UsageError: neither of the two.
    """
    return tuple(_set_for(shape))


def corrupt(values: Array, kind: str, severity: int, seed: int = 0) -> Array:
    """Damaged copies of raw inputs [N,C,H,W] or [N,C,L]: same shape, type and, for images, range of values."""
    table = _set_for(values.shape[1:])
    if kind not in table:
        raise UsageError(f"there is no corruption {kind!r}", hint=f"there are {', '.join(table)}")
    if severity not in SEVERITIES:
        raise UsageError(f"severity is {severity}", hint="it can be 1 to 5")
    row = table[kind]
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(kind.encode())]))
    strength = row.strengths[severity - 1]
    if values.ndim == 3:
        mean = values.mean((0, 2), keepdims=True)
        spread = np.maximum(values.std((0, 2), keepdims=True), 1e-6)
        made = row.damage(((values - mean) / spread).astype(np.float32), strength, generator)
        return np.asarray(made * spread + mean, values.dtype)
    low, high = _range(values)
    made = row.damage(((values - low) / (high - low)).astype(np.float32), strength, generator)
    made = np.clip(made, 0, 1) * (high - low) + low
    return np.asarray(np.rint(made) if values.dtype == np.uint8 else made, values.dtype)


def _set_for(shape: tuple[int, ...]) -> dict[str, Corruption]:
    if len(shape) not in (2, 3):
        raise UsageError(
            f"no corruptions for inputs of shape {shape}",
            hint="there are some for images (channels, height, width) and series (channels, samples)",
        )
    return IMAGES if len(shape) == 3 else SERIES


def _range(values: Array) -> tuple[float, float]:
    if values.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


# ------------------------------------------------------------------ images


def _noise(x: Array, sigma: float, generator: np.random.Generator) -> Array:
    return x + sigma * generator.standard_normal(x.shape, np.float32)


def _shot(x: Array, photons: float, generator: np.random.Generator) -> Array:
    """Noise that grows with the root of the light: Gaussian limit of Poisson noise."""
    return x + np.sqrt(x / photons) * generator.standard_normal(x.shape, np.float32)


def _impulse(x: Array, share: float, generator: np.random.Generator) -> Array:
    where, salt = generator.random(x.shape), generator.random(x.shape) < 0.5
    return np.where(where < share, salt.astype(np.float32), x)


def _convolved(x: Array, taps: Array, axis: int) -> Array:
    """Correlation with odd `taps` along an axis, edges repeated."""
    half = len(taps) // 2
    pads = [(half, half) if a == axis % x.ndim else (0, 0) for a in range(x.ndim)]
    padded = np.pad(x, pads, mode="edge")
    length = x.shape[axis]
    parts = [t * np.take(padded, range(i, i + length), axis) for i, t in enumerate(taps)]
    return np.asarray(np.sum(parts, axis=0))


def _bell(sigma: float) -> Array:
    reach = max(1, math.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(taps / taps.sum())


def _blur(x: Array, sigma: float, _: np.random.Generator) -> Array:
    return _convolved(_convolved(x, _bell(sigma), -1), _bell(sigma), -2)


def _motion(x: Array, length: float, _: np.random.Generator) -> Array:
    return _convolved(x, np.full(int(length), 1.0 / int(length)), -1)


def _brightness(x: Array, added: float, _: np.random.Generator) -> Array:
    return x + added


def _darkness(x: Array, factor: float, _: np.random.Generator) -> Array:
    return x * factor


def _contrast(x: Array, factor: float, _: np.random.Generator) -> Array:
    mean = x.mean((1, 2, 3), keepdims=True)
    return (x - mean) * factor + mean


def _fog(x: Array, amount: float, generator: np.random.Generator) -> Array:
    """Bright, slowly varying veil: noise of four cells a side, interpolated."""
    coarse = generator.random((len(x), 1, 5, 5), np.float32)
    veil = _stretched(_stretched(coarse, x.shape[-2], -2), x.shape[-1], -1)
    return x * (1 - amount) + amount * (0.6 + 0.4 * veil)


def _stretched(x: Array, size: int, axis: int) -> Array:
    """Linear interpolation along an axis."""
    at = np.linspace(0, x.shape[axis] - 1, size)
    low = np.minimum(at.astype(int), x.shape[axis] - 2)
    shape = [1] * x.ndim
    shape[axis] = size
    part = (at - low).reshape(shape).astype(np.float32)
    return np.asarray(np.take(x, low, axis) * (1 - part) + np.take(x, low + 1, axis) * part)


def _pixelate(x: Array, share: float, _: np.random.Generator) -> Array:
    """Averages over cells, about `share` of the side many, each shown as a square."""
    for axis in (-1, -2):
        size = x.shape[axis]
        edges = np.unique(np.linspace(0, size, max(1, round(size * share)) + 1).astype(int))
        widths = np.diff(edges)
        shape = [1] * x.ndim
        shape[axis] = len(widths)
        means = np.add.reduceat(x, edges[:-1], axis) / widths.reshape(shape)
        x = np.repeat(means, widths, axis)
    return x


def _jpeg(x: Array, step: float, _: np.random.Generator) -> Array:
    """Coefficients of 8 x 8 cosine transforms rounded to steps that grow with the frequency."""
    height, width = x.shape[-2:]
    pads = [(0, 0), (0, 0), (0, -height % BLOCK), (0, -width % BLOCK)]
    padded = np.pad(x, pads, mode="edge")
    count, channels, tall, wide = padded.shape
    shape = (count, channels, tall // BLOCK, BLOCK, wide // BLOCK, BLOCK)
    index = np.arange(BLOCK)
    cosines = np.cos(math.pi * (2 * index[None] + 1) * index[:, None] / (2 * BLOCK))
    cosines *= np.sqrt(np.where(index == 0, 1, 2) / BLOCK)[:, None]
    steps = step * (1 + index[:, None] + index[None])[None, None, None, :, None, :]
    found = np.einsum("ui,ncaibj,vj->ncaubv", cosines, padded.reshape(shape), cosines)
    rounded = np.rint(found / steps) * steps
    back = np.einsum("ui,ncaubv,vj->ncaibj", cosines, rounded, cosines)
    return np.asarray(back.reshape(padded.shape)[..., :height, :width])


def _occlusion(x: Array, share: float, generator: np.random.Generator) -> Array:
    """A grey square whose side is `share` of the image's, around a random centre."""
    height, width = x.shape[-2:]
    centre = generator.random((2, len(x), 1))
    rows = np.abs(np.arange(height) + 0.5 - centre[0] * height) < share * height / 2
    columns = np.abs(np.arange(width) + 0.5 - centre[1] * width) < share * width / 2
    hidden = rows[:, None, :, None] & columns[:, None, None, :]
    return np.where(hidden, np.float32(0.5), x)


# ------------------------------------------------------------------ series


def _gain(x: Array, factor: float, _: np.random.Generator) -> Array:
    return x * factor


def _offset(x: Array, amount: float, generator: np.random.Generator) -> Array:
    """Every channel of every recording shifted one way or the other."""
    return x + amount * np.where(generator.random((*x.shape[:2], 1)) < 0.5, -1.0, 1.0)


def _drift(x: Array, amount: float, generator: np.random.Generator) -> Array:
    """A slow swing: less than one period over the window."""
    phase = 2 * math.pi * generator.random((*x.shape[:2], 1))
    time = np.linspace(0, 1, x.shape[-1])
    return x + amount * np.sin(0.75 * 2 * math.pi * time + phase)


def _dropout(x: Array, share: float, generator: np.random.Generator) -> Array:
    """A span of the window without data: the last value before it is held (zero at the start)."""
    length = x.shape[-1]
    start = (generator.random(len(x)) * length * 0.4).astype(int)[:, None, None]
    time = np.arange(length)
    lost = (time >= start) & (time < start + round(share * length))
    held = np.take_along_axis(x, np.broadcast_to(np.maximum(start - 1, 0), (*x.shape[:2], 1)), 2)
    return np.where(lost, np.where(start > 0, held, 0.0), x)


def _smooth(x: Array, sigma: float, _: np.random.Generator) -> Array:
    return _convolved(x, _bell(sigma), -1)


def _clipping(x: Array, limit: float, _: np.random.Generator) -> Array:
    """A sensor whose range ends at `limit` deviations."""
    return np.clip(x, -limit, limit)


def _spikes(x: Array, share: float, generator: np.random.Generator) -> Array:
    where, sign = generator.random(x.shape), generator.random(x.shape) < 0.5
    return np.where(where < share, np.where(sign, -4.0, 4.0), x)


def _cut(x: Array, share: float, _: np.random.Generator) -> Array:
    """The recording ends early: its last part is the mean."""
    kept = x.shape[-1] - round(share * x.shape[-1])
    return np.where(np.arange(x.shape[-1]) < kept, x, 0.0)


def _table(*rows: Corruption) -> dict[str, Corruption]:
    return {row.name: row for row in rows}


IMAGES = _table(
    Corruption("gaussian-noise", (0.04, 0.07, 0.10, 0.14, 0.19), _noise, "deviation, of the range"),
    Corruption("shot-noise", (400, 150, 80, 45, 25), _shot, "photons of white"),
    Corruption("impulse-noise", (0.01, 0.03, 0.06, 0.10, 0.16), _impulse, "share of the values"),
    Corruption("blur", (0.5, 0.75, 1.0, 1.3, 1.7), _blur, "deviation in pixels"),
    Corruption("motion-blur", (3, 5, 7, 9, 11), _motion, "length in pixels"),
    Corruption("brightness", (0.08, 0.16, 0.24, 0.32, 0.42), _brightness, "added, of the range"),
    Corruption("darkness", (0.8, 0.65, 0.5, 0.38, 0.26), _darkness, "factor"),
    Corruption("contrast", (0.75, 0.55, 0.4, 0.28, 0.18), _contrast, "factor around the mean"),
    Corruption("fog", (0.15, 0.27, 0.4, 0.52, 0.64), _fog, "share of the veil"),
    Corruption("pixelate", (0.8, 0.65, 0.5, 0.4, 0.3), _pixelate, "cells per pixel of a side"),
    Corruption("jpeg", (0.02, 0.04, 0.06, 0.09, 0.13), _jpeg, "first step, of the range"),
    Corruption("occlusion", (0.2, 0.3, 0.4, 0.5, 0.6), _occlusion, "side, of the image's"),
)
"""Kinds for images."""

SERIES = _table(
    Corruption("noise", (0.1, 0.2, 0.35, 0.5, 0.7), _noise, "deviation, of the channel's"),
    Corruption("gain", (1.1, 1.2, 1.35, 1.5, 1.8), _gain, "factor"),
    Corruption("offset", (0.1, 0.2, 0.35, 0.5, 0.7), _offset, "deviations"),
    Corruption("drift", (0.15, 0.3, 0.5, 0.75, 1.0), _drift, "amplitude in deviations"),
    Corruption("dropout", (0.1, 0.2, 0.3, 0.4, 0.5), _dropout, "share of the window"),
    Corruption("smoothing", (0.5, 0.8, 1.1, 1.5, 2.0), _smooth, "deviation in samples"),
    Corruption("clipping", (2.0, 1.6, 1.3, 1.0, 0.8), _clipping, "deviations"),
    Corruption("spikes", (0.005, 0.01, 0.02, 0.04, 0.07), _spikes, "share of the values"),
    Corruption("cut", (0.1, 0.2, 0.3, 0.4, 0.5), _cut, "share of the window"),
)
"""Kinds for recordings of sensors."""
