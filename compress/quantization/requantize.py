"""Fixed-point rescaling of int32 accumulators, as integer kernels do it; numpy int64, bit for bit.

    q_y = clip(z_y + MBQM(acc, M), qmin, qmax),   M = s_x s_w / s_y

Sources: gemmlowp (Jacob et al., CVPR 2018, section 2.2) and TFLite's reference kernels. Roundings:
"double" rounds in the doubling high multiplication and again in the shift, "single" once over 64 bits, "float"
multiplies by the float32 M and rounds half to even, as vector kernels do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import UsageError

Array = NDArray[Any]

ROUNDINGS = ("double", "single", "float")

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1


@dataclass(frozen=True, eq=False)
class Multiplier:
    """Real multipliers as m0 * 2^(shift - 31), m0 in [2^30, 2^31) or 0; arrays of equal shape."""

    real: Array
    m0: Array
    shift: Array


def quantize_multiplier(real: Array | float) -> Multiplier:
    """(f, e) = frexp(M); m0 = round(f 2^31), half away from zero; shift = e.

    m0 = 2^31 becomes 2^30 with e + 1; below 2^-32 nothing is left: m0 = 0, shift = 0.
    """
    values = np.asarray(real, np.float64)
    fraction, exponent = np.frexp(values)
    m0 = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    shift = exponent.astype(np.int64)
    full = m0 == 2**31
    m0, shift = np.where(full, 2**30, m0), shift + full
    tiny = shift < -31
    return Multiplier(values, np.where(tiny, 0, m0), np.where(tiny, 0, shift))


def saturating_rounding_doubling_high_mul(a: Array, b: Array) -> Array:
    """(a b + nudge) / 2^31 truncated, nudge = 2^30 or 1 - 2^30 by the sign of a b; INT32_MIN^2 saturates."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 2**30, 1 - 2**30)
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))
    return np.minimum(high, _INT32_MAX)


def rounding_divide_by_power_of_two(x: Array, exponent: Array) -> Array:
    """x / 2^exponent, rounded half away from zero."""
    x, exponent = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return np.asarray((x >> exponent) + ((x & mask) > threshold))


def multiply(acc: Array, multiplier: Multiplier, rounding: str = "double") -> Array:
    """acc * M as integers; `multiplier` broadcasts against `acc`, which holds int32 values.

    Raises:
        UsageError: unknown rounding.
    """
    acc = np.asarray(acc, np.int64)
    if rounding == "double":
        left, right = np.maximum(multiplier.shift, 0), np.maximum(-multiplier.shift, 0)
        high = saturating_rounding_doubling_high_mul(acc << left, multiplier.m0)
        return rounding_divide_by_power_of_two(high, right)
    if rounding == "single":
        total = 31 - multiplier.shift
        return np.asarray((acc * multiplier.m0 + (np.int64(1) << (total - 1))) >> total)
    if rounding == "float":
        scaled = acc.astype(np.float32) * multiplier.real.astype(np.float32)
        return np.rint(scaled).astype(np.int64)
    raise UsageError(f"rounding is {rounding!r}", hint=f"one of {', '.join(ROUNDINGS)}")


def divide_half_away(total: Array, count: Array | int) -> Array:
    """total / count, rounded half away from zero: averages of integers."""
    total, count = np.asarray(total, np.int64), np.asarray(count, np.int64)
    half = count // 2
    return np.where(total > 0, (total + half) // count, -((-total + half) // count))
