"""Signs and their surrogates: values at the edges, autograd against the printed formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from edgepress.compress.binarization import schedules
from edgepress.compress.binarization.gradients import (
    Clip,
    Fourier,
    Identity,
    Poly,
    Reste,
    Slope,
    Tanh,
    sign_through,
    signs,
    zero_or_one,
)

POINTS = torch.tensor(
    [-3.0, -1.6, -1.5, -1.2, -1.0, -0.7, -0.1, -0.05, -0.0, 0.0, 0.03, 0.1, 0.4, 1.0, 1.01, 1.5, 2],
    dtype=torch.float64,
)


def test_zero_and_nan_are_plus_one() -> None:
    x = torch.tensor([-0.0, 0.0, float("nan"), -1e-45, 1e-45, float("-inf"), float("inf")])
    assert signs(x).tolist() == [1, 1, 1, -1, 1, -1, 1]
    assert sign_through(x.requires_grad_(), Clip()).tolist() == [1, 1, 1, -1, 1, -1, 1]
    assert signs(x.double()).dtype == torch.float64


def _fourier(n: int) -> Callable[[float], float]:
    def slope(x: float) -> float:
        total = sum(math.cos((2 * i + 1) * 0.1 * x) for i in range(n + 1))
        return max(0.0, 0.4 / math.pi * total) if abs(x) <= 1 else 0.0

    return slope


def _reste(o: float) -> Callable[[float], float]:
    def slope(x: float) -> float:
        if abs(x) > 1.5:
            return 0.0
        if abs(x) <= 0.1:
            return float(0.1 ** (1 / o) / 0.1)
        return float(abs(x) ** ((1 - o) / o) / o)

    return slope


FORMULAS: list[tuple[Slope, Callable[[float], float]]] = [
    (Clip(), lambda x: float(abs(x) <= 1)),
    (Identity(), lambda x: 1.0),
    (Poly(), lambda x: max(0.0, 2 - 2 * abs(x))),
    (Fourier(9), _fourier(9)),
    (Fourier(17), _fourier(17)),
    (Tanh(0.01), lambda x: 100 * 0.01 * (1 - math.tanh(0.01 * x) ** 2)),
    (Tanh(10.0), lambda x: 10 * (1 - math.tanh(10 * x) ** 2)),
    (Reste(1.0), _reste(1.0)),
    (Reste(3.0), _reste(3.0)),
]


@pytest.mark.parametrize(("slope", "formula"), FORMULAS, ids=lambda v: repr(v)[:20])
def test_gradients_follow_the_formulas(slope: Slope, formula: Callable[[float], float]) -> None:
    x = POINTS.clone().requires_grad_()
    upstream = torch.linspace(-2, 3, len(POINTS), dtype=torch.float64)
    (sign_through(x, slope) * upstream).sum().backward()
    expected = [g * formula(v) for g, v in zip(upstream.tolist(), POINTS.tolist(), strict=True)]
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx(expected, abs=1e-9)


def test_the_polynomial_is_the_derivative_of_its_curve() -> None:
    x = torch.linspace(-1.4, 1.4, 57, dtype=torch.float64).requires_grad_()
    curve = torch.where(x < 0, 2 * x + x * x, 2 * x - x * x)
    curve = torch.where(x < -1, -torch.ones_like(x), torch.where(x >= 1, torch.ones_like(x), curve))
    (slope,) = torch.autograd.grad(curve.sum(), x)
    assert torch.allclose(slope, Poly()(x.detach()), atol=1e-12)


def test_the_fourier_slope_at_zero_and_at_the_edge() -> None:
    zero, edge = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert float(Fourier(9)(zero)) == pytest.approx(1.273, abs=1e-3)
    assert float(Fourier(17)(zero)) == pytest.approx(2.292, abs=1e-3)
    assert float(Fourier(17)(edge)) == 0.0  # the plain series gives -0.28 there


def test_a_factor_scales_the_gradient_only() -> None:
    x = torch.tensor([0.5, -0.5], requires_grad=True)
    y = sign_through(x, Clip(), torch.tensor([4.0, 0.25]))
    y.sum().backward()
    assert y.tolist() == [1, -1] and x.grad is not None and x.grad.tolist() == [4, 0.25]


def test_zero_or_one_rounds_half_to_even_and_passes_the_unit_interval() -> None:
    x = torch.tensor([-0.1, 0.0, 0.5, 0.51, 1.0, 1.1], requires_grad=True)
    y = zero_or_one(x)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0, 1, 1, 1]
    assert x.grad is not None and x.grad.tolist() == [0, 1, 1, 1, 1, 0]


def test_schedules_start_and_end_where_they_should() -> None:
    assert schedules.recu_tau(0, 100) == pytest.approx(0.85)
    assert schedules.recu_tau(100, 100) == pytest.approx(0.99)
    assert [schedules.fda_terms(e, 100) for e in (0, 99)] == [9, 17]
    assert schedules.fda_noise(99, 100) == 0.0 and schedules.fda_noise(0, 1) == 0.0
    assert schedules.fda_noise(0, 100) == pytest.approx(0.1, abs=1e-3)
    assert schedules.ede_steepness(0, 9, 1e-3) == pytest.approx(1e-3)
    assert schedules.ede_steepness(9, 9) == pytest.approx(10)
    assert schedules.reste_power(0, 9) == 1 and schedules.reste_power(9, 9) == pytest.approx(3)


def test_the_bound_of_recu_is_a_quantile_of_laplace_weights() -> None:
    """P(|w| <= Q) = 1 - exp(-Q / b) has two tails: the tau-quantile of w leaves 1 - tau above it."""
    for tau in (0.85, 0.99):
        bound = schedules.recu_bound(tau, 2.0)
        assert 0.5 * math.exp(-bound / 2.0) == pytest.approx(1 - tau)
