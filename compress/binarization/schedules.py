"""How the operators change during training: pure functions of epoch e (from 0) of E."""

from __future__ import annotations

import math


def recu_tau(epoch: int, epochs: int) -> float:
    """ReCU: tau = A exp(e/E) + B, from 0.85 towards 0.99 (Xu et al. 2021, section 3.4)."""
    rise = (0.99 - 0.85) / (math.e - 1.0)
    return rise * math.exp(epoch / epochs) + (0.85 - rise)


def recu_bound(tau: float, mean_magnitude: float) -> float:
    """ReCU: the tau-quantile Q of Laplace weights whose magnitude averages `mean_magnitude`."""
    return -mean_magnitude * math.log(2.0 - 2.0 * tau)


def fda_terms(epoch: int, epochs: int) -> int:
    """FDA: n of the Fourier sum, 9 -> 17."""
    return 9 + (9 * epoch) // epochs


def fda_noise(epoch: int, epochs: int) -> float:
    """FDA: weight l of the noise branch, exactly 0 in the last epoch."""
    if epoch + 1 >= epochs:
        return 0.0
    return 0.05 * (1.0 + math.cos(math.pi * (epoch + 1) / epochs))


def ede_steepness(epoch: int, epochs: int, lowest: float = 1e-2, highest: float = 10.0) -> float:
    """IR-Net: t, geometrically from `lowest` towards `highest`."""
    low, high = math.log10(lowest), math.log10(highest)
    return float(10.0 ** (low + (high - low) * epoch / epochs))


def reste_power(epoch: int, epochs: int, end: float = 3.0) -> float:
    """ReSTE: o, from 1 (the identity) towards `end`."""
    return 1.0 + (end - 1.0) * (1.0 - math.cos(math.pi * epoch / (2.0 * epochs)))
