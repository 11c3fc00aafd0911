"""Distances, verdicts and axis orders that a parity proof rests on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from edgepress.export.parity_distance import Agreement, Gauge
from edgepress.export.parity_orders import axis_orders, fitting_orders, to_logical
from edgepress.export.parity_records import Distance, Outcome, ParityLimits, Rule, judge
from edgepress.export.parity_tflite import precision_of
from edgepress.runtime.tflite_model import (
    TfliteModel,
    TfliteOperator,
    TfliteOperatorCode,
    TfliteQuantization,
    TfliteSubgraph,
    TfliteTensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st

LIMITS = ParityLimits()


def gauge(a: Any, b: Any, step: float | None = None) -> Distance:
    made = Gauge(step)
    made.add(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return made.distance()


# ---------------------------------------------------------------- distances


def test_a_distance_by_hand() -> None:
    found = gauge([4.0, -2.0, 0.0], [4.0, -1.0, 0.0])
    assert (found.values, found.max_abs, found.mean_abs) == (3, 1.0, pytest.approx(1 / 3))
    assert found.relative == 0.25
    assert found.sqnr_db == pytest.approx(10 * math.log10(20))
    assert found.step is None and found.steps == {} and found.close is None


def test_steps_are_counted_by_size() -> None:
    found = gauge([0, 0, 0, 0, 0], [0.04, 0.1, 0.2, 0.31, -0.5], step=0.1)
    assert found.steps == {"0": 1, "1": 1, "2": 1, "3+": 2}
    assert found.close == pytest.approx(3 / 5)
    assert found.mean_steps == pytest.approx((0.4 + 1 + 2 + 3.1 + 5) / 5)


def test_samples_add_up() -> None:
    made = Gauge()
    for a, b in (([1.0], [1.0]), ([10.0], [12.0]), ([2.0], [1.0])):
        made.add(np.array(a), np.array(b))
    found = made.distance()
    assert (found.values, found.max_abs, found.mean_abs, found.relative) == (3, 2.0, 1.0, 0.2)


@pytest.mark.parametrize(
    ("a", "b"),
    [([1.0, 2.0], [1.0]), ([1.0], [math.nan]), ([math.nan], [1.0]), ([1.0], [math.inf])],
    ids=["shape", "nan", "nan in the reference", "inf"],
)
def test_what_cannot_be_compared_is_infinitely_far(a: Any, b: Any) -> None:
    found = gauge(a, b, step=0.5)
    assert found.max_abs == math.inf and found.steps["3+"] >= 1
    for rule in (Rule.FLOAT, Rule.FP16, Rule.INT8, Rule.EXACT):
        assert judge(rule, found, LIMITS)[0] is Outcome.FAIL


def test_equal_values_have_no_distance_even_nan_and_infinity() -> None:
    found = gauge([1.0, math.nan, math.inf], [1.0, math.nan, math.inf])
    assert found.max_abs == found.relative == 0 and found.sqnr_db is None
    assert judge(Rule.EXACT, found, LIMITS)[0] is Outcome.PASS


def test_nothing_gathered() -> None:
    assert Gauge().distance() == Distance(0, 0.0, 0.0, 0.0)


def test_agreement_of_the_largest_score() -> None:
    strict, lenient = Agreement(), Agreement(tolerance=0.2)
    for made in (strict, lenient):
        made.add(np.array([[0.1, 0.9]]), np.array([[0.2, 0.8]]))
        made.add(np.array([[0.5, 0.6]]), np.array([[0.6, 0.5]]))  # 0.1 apart in the reference
        made.add(np.array([[0.1, 0.9]]), np.array([[0.9, 0.1]]))
        made.add(np.array([[0.5]]), np.array([[0.1]]))  # one value is no vector of scores
        made.add(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)))
    assert strict.share() == pytest.approx(1 / 3)
    assert lenient.share() == pytest.approx(2 / 3)
    assert Agreement().share() is None


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("rule", "relative", "outcome"),
    [
        (Rule.FLOAT, 0.99e-4, Outcome.PASS),
        (Rule.FLOAT, 1.01e-4, Outcome.FAIL),
        (Rule.FP16, 0.99e-2, Outcome.PASS),
        (Rule.FP16, 1.01e-2, Outcome.FAIL),
        (Rule.EXACT, 1e-12, Outcome.FAIL),
        (Rule.REPORTED, 1e9, Outcome.REPORTED),
    ],
)
def test_verdicts_on_relative_differences(rule: Rule, relative: float, outcome: Outcome) -> None:
    assert judge(rule, Distance(10, 1.0, 1.0, relative), LIMITS)[0] is outcome


@pytest.mark.parametrize(
    ("close", "mean", "agreement", "outcome"),
    [
        (0.996, 0.5, None, Outcome.PASS),
        (0.994, 0.5, None, Outcome.FAIL),
        (1.0, 0.61, None, Outcome.FAIL),
        (1.0, 0.0, 0.98, Outcome.FAIL),
        (1.0, 0.0, 0.99, Outcome.PASS),
    ],
)
def test_verdicts_on_steps(
    close: float, mean: float, agreement: float | None, outcome: Outcome
) -> None:
    found = Distance(10, 1.0, 1.0, 0.1, step=0.5, close=close, mean_steps=mean)
    verdict, reason = judge(Rule.INT8, found, LIMITS, agreement)
    assert verdict is outcome
    assert "within 2 steps" in reason and ("top-1" in reason) == (agreement is not None)


# ---------------------------------------------------------------- axis orders


def tensor(index: int, name: str, shape: tuple[int, ...]) -> TfliteTensor:
    return TfliteTensor(index, name, shape, shape, "float32", 0)


def file_of(tensors: list[TfliteTensor], *operators: tuple[str, int, int]) -> TfliteModel:
    steps = tuple(
        TfliteOperator(i, TfliteOperatorCode(code, 1), (read,), (made,))
        for i, (code, read, made) in enumerate(operators)
    )
    graph = TfliteSubgraph("main", tuple(tensors), (0,), (len(tensors) - 1,), steps)
    return TfliteModel(3, "", (), (graph,), (), {}, 1)


def test_a_shape_that_fits_one_order_decides() -> None:
    model = file_of([tensor(0, "a", (1, 4, 5, 3)), tensor(1, "b", (1, 3, 4, 5))])
    found = axis_orders(model, {"a": (1, 3, 4, 5), "b": (1, 3, 4, 5)}, {})
    assert found == {"a": (0, 2, 3, 1), "b": (0, 1, 2, 3)}


def test_a_cube_is_open_until_a_kernel_or_the_lowering_tells() -> None:
    cube = (1, 4, 4, 4)
    tensors = [tensor(i, name, cube) for i, name in enumerate("abc")]
    shapes = dict.fromkeys("abc", cube)
    assert axis_orders(file_of(tensors), shapes, {}) == {}
    told = axis_orders(file_of(tensors), shapes, {"b": (0, 1, 2, 3)})
    assert told == {"b": (0, 1, 2, 3)}
    model = file_of(tensors, ("CONV_2D", 0, 1), ("RELU", 1, 2))
    assert axis_orders(model, shapes, {}) == dict.fromkeys("abc", (0, 2, 3, 1))


def test_flattened_memory_has_no_order() -> None:
    tensors = [tensor(0, "a", (1, 4, 5, 3)), tensor(1, "f", (1, 60)), tensor(2, "g", (1, 60))]
    model = file_of(tensors, ("RESHAPE", 0, 1), ("RELU", 1, 2))
    shapes = {"a": (1, 3, 4, 5), "f": (1, 60), "g": (1, 60)}
    assert set(axis_orders(model, shapes, {})) == {"a"}
    pooled = [tensor(0, "a", (1, 1, 1, 3)), tensor(1, "f", (1, 3))]
    model = file_of(pooled, ("RESHAPE", 0, 1))
    assert "f" in axis_orders(model, {"a": (1, 3, 1, 1), "f": (1, 3)}, {})


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.tuples(st.just(1), *[st.integers(1, 5)] * 3))
def test_logical_values_come_back_in_onnx_order(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape)
    physical = values.transpose(0, 2, 3, 1)
    orders = fitting_orders(shape, physical.shape)
    assert (0, 2, 3, 1) in orders
    np.testing.assert_array_equal(to_logical(physical, (0, 2, 3, 1), shape), values)


# ---------------------------------------------------------------- precision of a file


@pytest.mark.parametrize(
    ("activation", "constant", "dequantized", "precision"),
    [
        ("float32", "float32", False, "float32"),
        ("float32", "float16", False, "fp16"),
        ("float32", "int8", False, "dynamic"),
        ("float32", "int8", True, "weight-only"),
        ("int8", "int8", False, "int8"),
        ("uint8", "uint8", False, "int8"),
    ],
)
def test_precision_is_read_from_the_tensors(
    activation: str, constant: str, dequantized: bool, precision: str
) -> None:
    q = TfliteQuantization((0.5,), (0,))
    raw = np.zeros(8, np.uint8)
    x = TfliteTensor(
        0, "x", (1, 4), (1, 4), activation, 0, None, q if "int" in activation else None
    )
    w = TfliteTensor(1, "w", (2, 4), (2, 4), constant, 1, raw, q if "int" in constant else None)
    y = TfliteTensor(2, "y", (1, 2), (1, 2), activation, 0)
    code = TfliteOperatorCode("DEQUANTIZE" if dequantized else "FULLY_CONNECTED", 1)
    graph = TfliteSubgraph("g", (x, w, y), (0,), (2,), (TfliteOperator(0, code, (1,), (2,)),))
    assert precision_of(TfliteModel(3, "", (code,), (graph,), (), {}, 2)) == precision
