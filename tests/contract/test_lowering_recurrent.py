"""Recurrent layers, unrolled: float exact, int8 on integers throughout, in every engine, of a bounded size."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.export.tflite.lower import lower
from edgepress.export.tflite.write import write
from support.families import operators, values
from support.lowering import ENGINES, assert_same_float, lsb_difference
from support.recurrent import GATES, HIDDEN, SHAPES, STEPS, classifier, quantized


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_float(kind: str, direction: str) -> None:
    assert_same_float(classifier(kind, direction), values(SHAPES)[0])


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
