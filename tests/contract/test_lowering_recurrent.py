"""Recurrent layers, unrolled: float exact, int8 on integers throughout, in every engine, of a bounded size."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from edgepress.export.onnx.decompose import decompose
from edgepress.export.tflite.lower import lower
from edgepress.export.tflite.write import write
from support.families import node, operators, values
from support.lowering import ENGINES, assert_same_float, lsb_difference, make_hub
from support.quantized import quantize, ranges

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


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_float(kind: str, direction: str) -> None:
    assert_same_float(classifier(kind, direction), values(SHAPES)[0])


@functools.cache
def quantized(kind: str) -> Any:
    """The int8 form of the layer with its steps written out."""
    written_out = decompose(classifier(kind), for_int8=True)
    samples = values(SHAPES, seed=1, count=4)
    return quantize(written_out, samples, params=ranges(written_out, samples))


@pytest.mark.parametrize("kind", GATES)
def test_int8_computes_on_integers_from_end_to_end(kind: str) -> None:
    lowered = lower(quantized(kind))
    assert not {"DEQUANTIZE", "TRANSPOSE"} & set(operators(lowered))
    data = write(lowered.model)
    per_step = len(lowered.model.operators) / STEPS
    assert per_step <= {"RNN": 4, "GRU": 15, "LSTM": 17}[kind]
    assert len(data) / len(lowered.model.operators) < 200  # bytes: weights are stored once
    assert sum(t.data is not None and t.data.size >= HIDDEN**2 for t in lowered.model.tensors) <= 4


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", GATES)
def test_int8_stays_near_the_hub_over_all_steps(kind: str, engine: str) -> None:
    hub = quantized(kind)
    differences = [
        lsb_difference(hub, sample, engine) for sample in values(SHAPES, seed=1, count=4)
    ]
    # Every step rounds about ten times and hands its state on; the gates forget, so errors do not add up.
    assert np.max(differences) <= 2
    assert np.mean(differences) <= 0.5
