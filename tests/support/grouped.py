"""Hubs with a grouped convolution between two usual layers: groups of many sizes, with borders, strides, dilations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .families import node
from .lowering import make_hub


@dataclass(frozen=True)
class Grouped:
    """A grouped convolution over [channels, *size]."""

    groups: int
    channels: int
    outputs: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    attributes: dict[str, Any]
    activation: str = ""


CASES = {
    "square": Grouped(2, 8, 12, (7, 6), (3, 3), {"pads": [1] * 4}, "Relu"),
    "pointwise": Grouped(3, 24, 27, (5, 9), (1, 1), {}),
    "odd": Grouped(3, 9, 15, (9, 8), (3, 2), {"strides": [2, 3], "pads": [1, 0, 2, 1]}),
    "apart": Grouped(4, 16, 8, (9, 11), (3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
    "line": Grouped(2, 34, 38, (21,), (5,), {"pads": [2, 2], "strides": [2]}),
    "beyond": Grouped(5, 35, 5, (1, 3), (3, 3), {"pads": [1, 1, 1, 1]}),
}


def hub_of(case: Grouped, seed: int = 0) -> Any:
    """x, a pointwise layer, the grouped one, its mean."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    constants = {
        "w": normal(case.channels, 4, *[1] * len(case.size)),
        "v": normal(case.outputs, case.channels // case.groups, *case.kernel),
        "b": normal(case.outputs),
    }
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Conv", ["a", "v", "b"], ["c"], group=case.groups, **case.attributes),
        node(case.activation or "Identity", ["c"], ["y"]),
    ]
    return make_hub(nodes, {"x": (1, 4, *case.size)}, ["y"], constants)
