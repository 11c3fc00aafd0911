"""The rule for times: known cases by hand, and false alarms and power on recorded noise."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.verdict import Kind, Outcome, Verdict
from edgepress.runtime.errors import UsageError
from edgepress.tools.bench.gate_noise import ONE_LOOK, SEQUENTIAL, rows_of, simulate, slower, trial
from edgepress.tools.bench.record_noise import Noise, read_noise
from edgepress.tools.gate.records import ProcessRow
from edgepress.tools.gate.statistics import change_of, looks, mann_whitney
from edgepress.tools.gate.verdict import (
    judge_exact,
    judge_exact_budget,
    judge_ratio,
    judge_time_budget,
)
from support.gates import timed

DATA = Path(__file__).parents[1] / "data"
TRIALS = 200


@pytest.fixture(scope="module")
def noise() -> Noise:
    return read_noise(DATA / "noise_40x300.npz")


@pytest.fixture(scope="module")
def rows(noise: Noise) -> list[ProcessRow]:
    return rows_of(noise)


@pytest.fixture(scope="module")
def rough() -> list[ProcessRow]:
    """A recording with three processes of 40 that were 2.6 times slower."""
    return rows_of(read_noise(DATA / "noise_40x300_outliers.npz"))


def verdict(base: list[float], candidate: list[float], tolerance: float = 0.05) -> Verdict:
    change = change_of(timed(base, "a"), timed(candidate, "b"), 0.95, paired=False)
    return judge_ratio(change, min(len(base), len(candidate)), tolerance)


STEADY = [1.0, 1.001, 0.999, 1.0, 1.002]


# ------------------------------------------------------------------- recorded noise


def test_the_recordings_are_real_noise(noise: Noise) -> None:
    assert noise.samples_us.shape == (40, 300) and noise.spread >= 0.01
    assert len(noise.about["model_sha256"]) == 64 and noise.about["evidence"] == "host"


@pytest.mark.parametrize("swapped", [False, True])
def test_an_unchanged_file_passes(rows: list[ProcessRow], swapped: bool) -> None:
    found = simulate(rows, 0.0, SEQUENTIAL, trials=TRIALS, swapped=swapped)
    assert found.fail <= 2 and found.passed >= 90


@pytest.mark.parametrize("swapped", [False, True])
def test_ten_per_cent_fails(rows: list[ProcessRow], swapped: bool) -> None:
    found = simulate(rows, 0.10, SEQUENTIAL, trials=TRIALS, swapped=swapped)
    assert found.fail >= 98 and found.passed == 0


def test_five_processes_alone(rows: list[ProcessRow]) -> None:
    ten = simulate(rows, 0.10, ONE_LOOK, trials=TRIALS)
    assert ten.fail >= 80 and ten.passed == 0
    assert simulate(rows, 0.20, ONE_LOOK, trials=TRIALS).fail >= 99
    assert simulate(rows, 0.0, ONE_LOOK, trials=500).fail <= 2


def test_noise_with_outliers(rough: list[ProcessRow]) -> None:
    unchanged = simulate(rough, 0.0, SEQUENTIAL, trials=TRIALS)
    assert unchanged.fail <= 2 and unchanged.passed >= 90
    ten = simulate(rough, 0.10, SEQUENTIAL, trials=TRIALS)
    assert ten.fail >= 98 and ten.passed == 0


def test_one_process_three_times_slower_is_no_fail(rows: list[ProcessRow]) -> None:
    for start, side in itertools.product(range(0, 30, 5), (0, 1)):
        arms = [rows[start : start + 5], rows[start + 5 : start + 10]]
        arms[side] = [slower(arms[side][0], 3.0), *arms[side][1:]]
        assert trial(*arms, ONE_LOOK, 0.05).outcome != Outcome.FAIL


def test_a_trial_can_be_repeated(rows: list[ProcessRow]) -> None:
    first, second = (simulate(rows, 0.05, SEQUENTIAL, trials=20) for _ in range(2))
    assert first == second


# ------------------------------------------------------------------- the rule by hand


def test_slower_fails_and_faster_is_improved() -> None:
    assert verdict(STEADY, [1.1 * x for x in STEADY]).word == "fail"
    assert verdict(STEADY, [0.9 * x for x in STEADY]).word == "improved"
    assert verdict(STEADY, STEADY).word == "pass"


def test_below_the_tolerance_is_no_fail() -> None:
    found = verdict(STEADY, [1.04 * x for x in STEADY])
    assert found.word == "pass" and "+4.0 %" in found.reason


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_processes_never_fail(count: int) -> None:
    found = verdict(STEADY[:count], [2 * x for x in STEADY[:count]])
    assert (found.outcome, found.kind) == (Outcome.INCONCLUSIVE, Kind.TOO_FEW)


def test_one_process_never_passes() -> None:
    assert verdict([1.0], [1.0]).outcome == Outcome.INCONCLUSIVE


def test_jitter_only() -> None:
    base, new = timed(STEADY, "a"), timed([1.2 * x for x in STEADY], "b")
    change = change_of(base, new, 0.95, paired=False)
    same_best = type(change)(**{**vars(change), "ratio_best": 1.02})
    found = judge_ratio(same_best, 5, 0.05)
    assert (found.outcome, found.kind) == (Outcome.INCONCLUSIVE, Kind.JITTER_ONLY)


def test_a_baseline_that_differs_from_itself_gives_no_verdict() -> None:
    restless = [1.0, 1.1, 1.0, 1.1, 1.0]
    assert verdict(restless, [1.0] * 5).kind == Kind.NOISY
    assert verdict(restless, [1.12] * 5).kind == Kind.NOISY
    assert verdict(restless, [3.0] * 5).outcome == Outcome.FAIL  # far beyond that noise


def test_constant_samples_are_exact() -> None:
    assert verdict([1.0] * 5, [1.0] * 5).outcome == Outcome.PASS
    assert verdict([1.0] * 5, [1.1] * 5).outcome == Outcome.FAIL
    assert verdict([1.0] * 5, [1.0] * 5, tolerance=0.0).outcome == Outcome.PASS
    assert verdict([1.0] * 5, [1.001] * 5, tolerance=0.0).outcome == Outcome.FAIL


def test_two_modes_are_not_decided() -> None:
    two = [1.0, 1.3, 1.0, 1.3, 1.3]
    assert verdict(two, [1.3, 1.0, 1.3, 1.0, 1.3]).outcome == Outcome.INCONCLUSIVE


def test_huge_and_tiny_values() -> None:
    for scale in (1e-12, 1e200):
        assert verdict([scale] * 5, [1.2 * scale] * 5).outcome == Outcome.FAIL
        assert verdict([scale] * 5, [scale] * 5).outcome == Outcome.PASS


def test_reversed_arms_give_the_reciprocal(rows: list[ProcessRow]) -> None:
    medians = [row.median for row in rows]
    a, b = timed(medians[:15], "a"), timed(medians[15:30], "b")
    there, back = change_of(a, b, 0.95, paired=False), change_of(b, a, 0.95, paired=False)
    assert there.ratio * back.ratio == pytest.approx(1.0, rel=1e-12)
    # 2,000 resamples: the ends of an interval vary by a few per mille
    assert there.low * back.high == pytest.approx(1.0, abs=0.005)  # type: ignore[operator]
    assert there.high * back.low == pytest.approx(1.0, abs=0.005)  # type: ignore[operator]


def test_looks_share_the_error() -> None:
    assert looks(5, 15).counts == (5, 10, 15) and looks(5, 5).counts == (5,)
    assert looks(4, 10).counts == (4, 8, 10) and looks(1, 1).counts == (1,)
    assert looks(5, 15).level == pytest.approx(1 - 0.05 / 3) and looks(5, 5).level == 0.95


# ------------------------------------------------------------------- budgets and exact numbers


@pytest.mark.parametrize(
    ("interval", "count", "outcome"),
    [
        ((0.9, 1.0), 5, Outcome.PASS),
        ((0.9, 1.01), 5, Outcome.INCONCLUSIVE),
        ((1.01, 1.1), 5, Outcome.FAIL),
        ((1.01, 1.1), 4, Outcome.INCONCLUSIVE),
        ((0.9, 0.9), 1, Outcome.INCONCLUSIVE),
    ],
)
def test_time_budget(interval: tuple[float, float], count: int, outcome: Outcome) -> None:
    found = judge_time_budget(0.95, interval, count, 1.0, "ms")
    assert found.outcome == outcome and "margin +5.0 %" in found.reason


@pytest.mark.parametrize(
    ("base", "value", "tolerance", "word"),
    [
        (100, 100, 0.0, "pass"),
        (100, 101, 0.0, "fail"),
        (100, 99, 0.0, "improved"),
        (1000, 1005, 0.005, "pass"),
        (1000, 1006, 0.005, "fail"),
        (0, 0, 0.0, "pass"),
        (0, 1, 0.5, "fail"),
    ],
)
def test_exact_numbers(base: float, value: float, tolerance: float, word: str) -> None:
    found = judge_exact(base, value, tolerance, "B", higher_is_better=False, points=False)
    assert found.word == word


def test_accuracy_counts_in_points() -> None:
    for value, word in ((91.0, "pass"), (90.5, "pass"), (90.4, "fail"), (91.1, "improved")):
        found = judge_exact(91.0, value, 0.5, "%", higher_is_better=True, points=True)
        assert found.word == word


def test_exact_budgets() -> None:
    assert judge_exact_budget(60.0, "B", 60.0, None).outcome == Outcome.PASS
    assert judge_exact_budget(61.0, "B", 60.0, None).kind == Kind.BUDGET
    assert judge_exact_budget(89.0, "%", None, 90.0).outcome == Outcome.FAIL


# ------------------------------------------------------------------- the rank test


def test_rank_test_against_all_orders() -> None:
    """p of every U by counting all 252 orders of 5 + 5 values."""
    orders = list(itertools.combinations(range(10), 5))
    counted = []
    for ranks in orders:
        others = [r for r in range(10) if r not in ranks]
        counted.append(sum(a > b for a in ranks for b in others))
    for ranks in orders[::17]:
        others = [r for r in range(10) if r not in ranks]
        u = sum(a > b for a in ranks for b in others)
        tail = sum(c <= min(u, 25 - u) for c in counted) / len(orders)
        found = mann_whitney(ranks, others, 0.05)
        assert found.p == pytest.approx(min(1.0, 2 * tail))


def test_rank_test_is_refused_where_it_cannot_reach_alpha() -> None:
    assert mann_whitney(range(5), range(5, 10), 0.05).p == pytest.approx(2 / math.comb(10, 5))
    assert mann_whitney(range(4), range(4, 8), 0.05).p == pytest.approx(2 / math.comb(8, 4))
    refused = mann_whitney(range(3), range(3, 6), 0.05)
    assert refused.p is None and refused.smallest == pytest.approx(0.1)
    with pytest.raises(UsageError, match="up to 40"):
        mann_whitney(range(41), range(5), 0.05)


def test_ties_count_as_least_significant() -> None:
    assert mann_whitney([1.0] * 5, [1.0] * 5, 0.05).p == 1.0
    tied = mann_whitney([1, 2, 3, 4, 5], [5, 6, 7, 8, 9], 0.05)
    clear = mann_whitney([1, 2, 3, 4, 5], [5.1, 6, 7, 8, 9], 0.05)
    assert tied.p is not None and clear.p is not None and tied.p > clear.p


def test_rank_test_decides_in_place_of_the_interval() -> None:
    base, new = timed(STEADY, "a"), timed([1.2 * x for x in STEADY], "b")
    change = change_of(base, new, 0.95, paired=False)
    sure = mann_whitney(base.values(), new.values(), 0.05)
    assert judge_ratio(change, 5, 0.05, sure).outcome == Outcome.FAIL
    unsure = type(sure)(0.2, sure.smallest)
    assert judge_ratio(change, 5, 0.05, unsure).outcome == Outcome.INCONCLUSIVE
    refused = type(sure)(None, 0.1)
    assert judge_ratio(change, 5, 0.05, refused).kind == Kind.TOO_FEW


def test_rank_test_on_many_values() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=15), random.normal(size=15) + 3
    found = mann_whitney(list(a), list(b), 0.05)
    assert found.p is not None and found.p < 1e-4
