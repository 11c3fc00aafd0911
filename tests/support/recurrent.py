"""A recurrent layer with a dense layer behind it, in float and, its steps written out, in int8."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from edgepress.export.onnx.decompose import decompose

from .families import node, values
from .lowering import make_hub
from .quantized import quantize as quantize_hub
from .quantized import ranges

STEPS, INPUTS, HIDDEN, CLASSES = 40, 6, 12, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
SHAPES = {"x": (STEPS, 1, INPUTS)}


@functools.cache
def classifier(kind: str, direction: str = "forward") -> Any:
    """A recurrent layer over STEPS x INPUTS and a dense layer on its last state."""
    rng = np.random.default_rng(0)
    ways = 2 if direction == "bidirectional" else 1
    rows = GATES[kind] * HIDDEN

    def draw(*shape: int) -> np.ndarray:
        return rng.uniform(-0.4, 0.4, shape).astype(np.float32)

    constants = {
        "w": draw(ways, rows, INPUTS),
        "r": draw(ways, rows, HIDDEN),
        "b": draw(ways, 2 * rows),
        "shape": np.asarray([1, ways * HIDDEN]),
        "fc": draw(CLASSES, ways * HIDDEN),
        "fb": draw(CLASSES),
    }
    reset = {"linear_before_reset": 1} if kind == "GRU" else {}
    nodes = [
        node(
            kind, ["x", "w", "r", "b"], ["", "h"], hidden_size=HIDDEN, direction=direction, **reset
        ),
        node("Reshape", ["h", "shape"], ["flat"]),
        node("Gemm", ["flat", "fc", "fb"], ["y"], transB=1),
    ]
    nodes[0].name = "cells"
    return make_hub(nodes, SHAPES, ["y"], constants)


@functools.cache
def quantized(kind: str) -> Any:
    """The int8 form of the layer with its steps written out."""
    written_out = decompose(classifier(kind), for_int8=True)
    samples = values(SHAPES, seed=1, count=4)
    return quantize_hub(written_out, samples, params=ranges(written_out, samples))
