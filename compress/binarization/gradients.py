"""The sign function and what stands in for its derivative.

    signs(x)                    -1 where x < 0, else +1: 0, -0 and NaN are +1
    sign_through(x, Poly())     the same values; backward multiplies by the surrogate's slope at x

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

FOURIER_OMEGA = 0.1
RESTE_INNER, RESTE_OUTER = 0.1, 1.5


def signs(x: Tensor) -> Tensor:
    """+-1 in the type of `x`, never 0."""
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


class Slope(ABC):
    """The stand-in for the derivative of the sign."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Factor of the upstream gradient at `x`."""


@dataclass(frozen=True)
class Clip(Slope):
    """1 for |x| <= 1, else 0 (Hubara et al. 2016)."""

    def __call__(self, x: Tensor) -> Tensor:
        """The window."""
        return (x.abs() <= 1).to(x.dtype)


@dataclass(frozen=True)
class Identity(Slope):
    """1 everywhere."""

    def __call__(self, x: Tensor) -> Tensor:
        """Ones."""
        return torch.ones_like(x)


@dataclass(frozen=True)
class Poly(Slope):
    """max(0, 2 - 2|x|): derivative of Bi-Real's piecewise polynomial (Liu et al. 2018, equation 6)."""

    def __call__(self, x: Tensor) -> Tensor:
        """The triangle."""
        return (2 - 2 * x.abs()).clamp(min=0)


@dataclass(frozen=True)
class Fourier(Slope):
    """1[|x| <= 1] max(0, (4 w / pi) sum_{i=0..n} cos((2i + 1) w x)), w = 0.1 (FDA).

    From n = 12 on the sum turns negative near |x| = 1, which would push weights the wrong way: held at 0.
    """

    terms: int

    def __call__(self, x: Tensor) -> Tensor:
        """The truncated series in its closed form sum cos((2i+1)u) = sin(2(n+1)u) / (2 sin u)."""
        u = FOURIER_OMEGA * x
        count = self.terms + 1
        safe = torch.where(u.abs() < 1e-6, torch.full_like(u, 1e-6), u)
        total = torch.sin(2 * count * safe) / (2 * torch.sin(safe))
        return (4 * FOURIER_OMEGA / math.pi * total).clamp(min=0) * (x.abs() <= 1)


@dataclass(frozen=True)
class Tanh(Slope):
    """k t (1 - tanh(t x)^2), k = max(1/t, 1): IR-Net's error decay estimator."""

    steepness: float

    def __call__(self, x: Tensor) -> Tensor:
        """The bell."""
        t = self.steepness
        return max(1.0 / t, 1.0) * t * (1 - torch.tanh(t * x).square())


@dataclass(frozen=True)
class Reste(Slope):
    """|x|^((1-o)/o) / o for 0.1 < |x| <= 1.5, the chord 0.1^(1/o) / 0.1 inside, 0 outside (ReSTE)."""

    power: float

    def __call__(self, x: Tensor) -> Tensor:
        """The rectified power."""
        o, size = self.power, x.abs()
        outer = size.clamp(min=RESTE_INNER).pow((1 - o) / o) / o
        chord = RESTE_INNER ** (1 / o) / RESTE_INNER
        inner = torch.where(size <= RESTE_INNER, torch.full_like(x, chord), outer)
        return inner * (size <= RESTE_OUTER)


class _SignThrough(torch.autograd.Function):
    """signs(x) forward, `slope(x) * factor` backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Slope, factor: Tensor | None) -> Tensor:
        """Signs."""
        ctx.save_for_backward(x, factor)
        ctx.slope = slope
        return 1 - 2 * (x < 0).to(
            x.dtype
        )  # as `signs`, four times as fast, but not what graphs should hold

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The surrogate's gradient."""
        x, factor = ctx.saved_tensors
        grad = grads[0] * ctx.slope(x)
        return grad if factor is None else grad * factor, None, None


def sign_through(x: Tensor, slope: Slope, factor: Tensor | None = None) -> Tensor:
    """signs(x) whose gradient is `upstream * slope(x) * factor`; `factor` is a constant that broadcasts."""
    exporting = torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
    if exporting or not (torch.is_grad_enabled() and x.requires_grad):
        return signs(x)
    result: Tensor = _SignThrough.apply(x, slope, factor)
    return result


class _Threshold(torch.autograd.Function):
    """0 or 1 at a threshold of 0.5, straight through inside [0, 1]: DoReFa's one-bit activation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """round(clip(x, 0, 1)), ties to even: 0.5 gives 0."""
        ctx.save_for_backward(x)
        return (x > 0.5).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The window [0, 1]."""
        (x,) = ctx.saved_tensors
        return grads[0] * ((x >= 0) & (x <= 1))


def zero_or_one(x: Tensor) -> Tensor:
    """DoReFa's one-bit activation."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return (x > 0.5).to(x.dtype)
    result: Tensor = _Threshold.apply(x)
    return result
