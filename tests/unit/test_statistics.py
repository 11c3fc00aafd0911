"""Comparing processes: known answers, symmetry, false alarms and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgepress.devices.statistics import (
    bootstrap,
    compare,
    seed_of,
    self_ratio,
    summarise_arm,
    summarise_process,
)
from edgepress.runtime.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st

MEDIANS = st.lists(st.floats(0.1, 10), min_size=1, max_size=8)


def noisy(random: np.random.Generator, processes: int, factor: float = 1.0) -> list[list[float]]:
    """Processes as on a shared machine: medians 3 % apart, samples with a long tail."""
    rows = []
    for shift in random.normal(1.0, 0.03, processes):
        samples = 0.66 * factor * shift * (1 + 0.03 * random.exponential(size=60))
        stalls = random.random(60) < 0.08
        rows.append((samples + stalls * random.uniform(1, 6, 60)).tolist())
    return rows


def test_a_process_by_hand() -> None:
    row = summarise_process([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (row.n, row.minimum, row.median) == (5, 1.0, 3.0)
    assert row.mad == pytest.approx(1.4826 * 1.0)
    assert row.p90 == pytest.approx(4 + 0.6 * 96)
    assert row.p95 is row.p99 is None
    assert summarise_process([1.0] * 100).p95 == 1.0
    assert summarise_process([1.0] * 499).p99 is None
    assert summarise_process([1.0] * 500).p99 == 1.0


def test_an_arm_by_hand() -> None:
    arm = summarise_arm([[2.0, 2.2, 2.4], [1.0, 2.0, 3.0], [2.5]])
    assert arm.medians == (2.2, 2.0, 2.5)
    assert (arm.location, arm.best) == (2.2, 1.0)
    assert arm.spread == pytest.approx(0.2 / 2.2)


@pytest.mark.parametrize(
    "samples", [[], [0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0]], ids=str
)
def test_impossible_samples_are_errors(samples: list[float]) -> None:
    with pytest.raises(InputError):
        compare([[1.0]], [samples], seed=0)


def test_no_processes_and_uneven_pairs() -> None:
    with pytest.raises(InputError, match="nothing was measured"):
        summarise_arm([])
    with pytest.raises(InputError, match="cannot be pairs"):
        compare([[1.0]], [[1.0], [2.0]], seed=0, paired=True)


def test_a_clear_slowdown_and_the_same_file() -> None:
    random = np.random.default_rng(0)
    base = noisy(random, 5)
    slower = compare(base, [[1.2 * v for v in row] for row in base], seed=1, paired=True)
    assert slower.ratio == pytest.approx(1.2)
    assert slower.low == pytest.approx(1.2) and slower.high == pytest.approx(1.2)
    assert slower.ratio_best == pytest.approx(1.2)
    same = compare(base, base, seed=1)
    assert same.ratio == 1 and same.low <= 1 <= same.high


def test_false_alarms_and_power_at_five_processes() -> None:
    """The rule: interval above 1 and ratio above 1.05 and the best above 1.025."""
    random = np.random.default_rng(5)

    def alarms(factor: float) -> int:
        count = 0
        for trial in range(200):
            found = compare(noisy(random, 5), noisy(random, 5, factor), seed=trial)
            count += found.low > 1 and found.ratio > 1.05 and found.ratio_best > 1.025
        return count

    assert alarms(1.0) <= 4
    assert alarms(1.2) >= 190


def test_one_outlying_process_does_not_alarm() -> None:
    base = [[1.0], [1.01], [0.99], [1.0], [1.02]]
    found = compare(base, [*base[:4], [3.0]], seed=0)
    assert found.ratio < 1.05


@settings(max_examples=100, deadline=None, derandomize=True)
@given(MEDIANS, MEDIANS, st.integers(0, 2**32))
def test_interval_holds_its_extremes(base: list[float], other: list[float], seed: int) -> None:
    low, high = bootstrap(base, other, seed=seed, paired=False)
    assert low <= high
    assert min(other) / max(base) * 0.999 <= low and high <= max(other) / min(base) * 1.001
    assert (low, high) == bootstrap(base, other, seed=seed, paired=False)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)), min_size=2, max_size=8))
def test_exchanged_arms_give_the_reciprocal(pairs: list[tuple[float, float]]) -> None:
    a, b = [[x] for x, _ in pairs], [[y] for _, y in pairs]
    seed = seed_of("aa", "bb")
    assert seed == seed_of("bb", "aa") != seed_of("aa", "bc")
    there, back = compare(a, b, seed=seed, paired=True), compare(b, a, seed=seed, paired=True)
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high, rel=0.05)


def test_a_single_process_has_no_width_but_an_answer() -> None:
    found = compare([[1.0]], [[1.5]], seed=0)
    assert (found.ratio, found.low, found.high) == (1.5, 1.5, 1.5)
    assert math.isnan(found.self_ratio)


def test_the_baseline_against_itself() -> None:
    assert self_ratio([1.0, 1.1]) == pytest.approx(1.1)
    assert self_ratio([1.0, 1.1, 1.2]) == pytest.approx(1.15 / 1.05)
    assert self_ratio([1.0, 2.0, 1.0, 2.0]) == 2.0
