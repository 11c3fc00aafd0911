"""Scale, zero point and integer range of one tensor: the single source of truth that writers copy verbatim.

Convention of ONNX and TFLite (real zero is q = zero_point), quantization spec section 1:

    q = clip(round_half_even(x / scale) + zero_point, qmin, qmax)        x_hat = scale * (q - zero_point)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class QParams:
    """Quantization of one tensor; `scale` holds float32 values, one per tensor or per channel of `axis`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    bits: int = 8
    signed: bool = True
    narrow: bool = False
    axis: int | None = None

    @property
    def qmin(self) -> int:
        """Smallest integer value."""
        low = -(2 ** (self.bits - 1)) if self.signed else 0
        return low + 1 if self.narrow else low

    @property
    def qmax(self) -> int:
        """Largest integer value."""
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    def _broadcast(self, ndim: int) -> tuple[Array, Array]:
        scale = np.asarray(self.scale, np.float32)
        zero_point = np.asarray(self.zero_point, np.int64)
        if self.axis is None:
            return scale.reshape(()), zero_point.reshape(())
        shape = [1] * ndim
        shape[self.axis] = -1
        return scale.reshape(shape), zero_point.reshape(shape)

    def quantize(self, x: Array) -> Array:
        """int64 values of `x`; division in float32 as ONNX QuantizeLinear does it, saturating."""
        scale, zero_point = self._broadcast(np.ndim(x))
        with np.errstate(over="ignore"):
            steps = np.rint(np.asarray(x, np.float32) / scale)
        # Quotients beyond int64 (a tiny scale) must saturate before they are cast.
        whole = np.clip(steps, -(2.0**40), 2.0**40).astype(np.int64)
        return np.clip(whole + zero_point, self.qmin, self.qmax)

    def dequantize(self, q: Array) -> Array:
        """float32 values of integers `q`."""
        scale, zero_point = self._broadcast(np.ndim(q))
        return (np.asarray(q, np.int64) - zero_point).astype(np.float32) * scale

    def fake_quantize(self, x: Array) -> Array:
        """`dequantize(quantize(x))`."""
        return self.dequantize(self.quantize(x))


def affine(low: float, high: float, bits: int = 8, signed: bool = True) -> QParams:
    """Asymmetric per-tensor parameters of the range [low, high], widened to hold 0 exactly.

    s = (high - low) / (qmax - qmin), z = clip(round(qmin - low / s)); a range of width 0 gives s = 1, z = 0
    (spec section 1, degenerate range).
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    probe = QParams((1.0,), (0,), bits, signed)
    scale = np.float32((high - low) / (probe.qmax - probe.qmin))
    if not np.isfinite(scale) or scale < np.finfo(np.float32).tiny:
        return probe
    zero_point = int(np.clip(np.rint(probe.qmin - low / float(scale)), probe.qmin, probe.qmax))
    return QParams((float(scale),), (zero_point,), bits, signed)


def symmetric(magnitude: Array, bits: int = 8, axis: int | None = None) -> QParams:
    """Narrow symmetric weight parameters, zero point 0: s = max|w| / (2^(bits-1) - 1).

    `magnitude` is max|w| per channel (or one value). A dead channel gets the floor 1e-8 (spec 8.3).
    """
    values = np.atleast_1d(np.asarray(magnitude, np.float64)) / (2 ** (bits - 1) - 1)
    scale = np.maximum(values, 1e-8).astype(np.float32)
    return QParams(
        tuple(float(s) for s in scale), (0,) * len(scale), bits, signed=True, narrow=True, axis=axis
    )
