"""Latency by classes of operators: few published rows, so every parameter is held near a prior.

    ln(cycles x peak) = mean + core + software + arm + ln( sum over terms of exp(cost + deviation) x amount )

`amount` are MACs of a group of operator classes, values written or operators run; `cost` is shared by all rows,
`deviation` belongs to one software (its kernels decide what a class costs), `core`, `software` and `arm` (a board with
one software) to all rows that share them. All have normal priors; the fit is their maximum a posteriori by
Gauss-Newton: a ridge in log space, costs positive by construction. With all classes in one term it is the MAC-only
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .operator_features import MAC_CLASSES, NetworkFeatures

Array = NDArray[Any]


@dataclass(frozen=True)
class Structure:
    """Terms (names of `NetworkFeatures.value` that are added) and the prior cost of each, ln of MACs per unit."""

    name: str
    terms: tuple[tuple[str, ...], ...]
    prior: tuple[float, ...]


_OUTPUT_PRIOR = 1.0  # a value written costs about 3 MACs (scaling, clamping, storing)
_OPERATOR_PRIOR = 8.0  # starting an operator costs about 3,000 MACs
MAC_ONLY = Structure("macs", (MAC_CLASSES,), (0.0,))
STRUCTURES = (
    Structure(
        "classes",
        (("pointwise", "winograd", "spatial"), ("depthwise",), ("dense",), ("outputs",)),
        (0.0, 0.0, 0.0, _OUTPUT_PRIOR),
    ),
    Structure(
        "classes and overhead",
        (
            ("pointwise", "winograd", "spatial"),
            ("depthwise",),
            ("dense",),
            ("outputs",),
            ("operators",),
        ),
        (0.0, 0.0, 0.0, _OUTPUT_PRIOR, _OPERATOR_PRIOR),
    ),
    Structure(
        "classes and Winograd",
        (("pointwise", "spatial"), ("winograd",), ("depthwise",), ("dense",), ("outputs",)),
        (0.0, 0.0, 0.0, 0.0, _OUTPUT_PRIOR),
    ),
)


@dataclass(frozen=True)
class Settings:
    """A structure and how strongly costs keep to their prior, and a software's to the shared ones (precisions)."""

    structure: Structure
    cost_precision: float
    deviation_precision: float

    @property
    def name(self) -> str:
        """In words, for tables."""
        return f"{self.structure.name}, {self.cost_precision:g}/{self.deviation_precision:g}"


BASELINE = Settings(MAC_ONLY, 1.0, 100.0)
MEMBERS = tuple(
    Settings(structure, cost, deviation)
    for structure in STRUCTURES
    for cost in (0.3, 1.0, 4.0)
    for deviation in (1.0, 10.0)
)
"""Members of the committee. A dozen rows cannot tell which is best, so none is chosen: equal weights do better with
so little data (Timmermann 2006, section 7)."""


def amounts(features: NetworkFeatures, structure: Structure) -> Array:
    """Amount of each term."""
    return np.array([sum(features.value(name) for name in term) for term in structure.terms])
