"""Range observers: ranges against numpy on the same values, merging, order, and what each is for."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.compress.quantization.histogram import BINS, Histogram
from edgepress.compress.quantization.observers import (
    OBSERVERS,
    Entropy,
    HistogramObserver,
    MinMax,
    MovingAverageMinMax,
    Mse,
    Observer,
    Percentile,
    make_observer,
)
from edgepress.compress.quantization.qparams import affine
from edgepress.runtime.errors import UsageError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

settings.register_profile("quiet", deadline=None)
settings.load_profile("quiet")

REALS = st.floats(-1e6, 1e6, width=32)
BATCHES = st.lists(
    hnp.arrays(np.float32, st.integers(1, 40), elements=REALS), min_size=1, max_size=6
)


def seen(observer: Observer, batches: list[np.ndarray]) -> Observer:
    for batch in batches:
        observer.observe(batch)
    return observer


def laplace(count: int = 20_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).laplace(size=count).astype(np.float32)


# ------------------------------------------------------------------- histogram


@given(BATCHES)
def test_histogram_counts_every_value_in_its_bin(batches: list[np.ndarray]) -> None:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    values = np.concatenate(batches).astype(np.float64)
    rest = values[values != 0]
    assert histogram.total == values.size
    assert histogram.zeros == values.size - rest.size
    if rest.size:
        index = np.floor(rest / histogram.width).astype(int) + BINS
        assert np.array_equal(histogram.counts, np.bincount(index, minlength=2 * BINS))
        assert np.abs(rest).max() < BINS * histogram.width


@given(BATCHES)
def test_histogram_depends_on_values_not_on_batches(batches: list[np.ndarray]) -> None:
    forwards, backwards, merged = Histogram(), Histogram(), Histogram()
    for batch in batches:
        forwards.add(batch)
        single = Histogram()
        single.add(batch)
        merged.merge(single)
    backwards.add(np.concatenate(batches)[::-1])
    for other in (backwards, merged):
        assert np.array_equal(forwards.counts, other.counts)
        assert (forwards.width, forwards.low, forwards.high, forwards.zeros) == (
            (other.width, other.low, other.high, other.zeros)
        )


@given(BATCHES, st.floats(0.0, 1.0))
def test_quantile_is_within_a_bin_of_the_sorted_values(
    batches: list[np.ndarray], share: float
) -> None:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    values = np.sort(np.concatenate(batches)).astype(np.float64)
    position = share * values.size
    below = values[max(int(np.ceil(position - 1e-6)) - 1, 0)]
    above = values[min(int(np.floor(position + 1e-6)), values.size - 1)]
    found = histogram.quantile(share)
    slack = histogram.width + 1e-6 * max(abs(below), abs(above))
    assert below - slack <= found <= above + slack


def test_full_range_is_used_by_at_least_half_the_bins() -> None:
    for largest in (1e-30, 0.7, 1.0, 3.9, 1e30):
        histogram = Histogram()
        histogram.add(np.asarray([largest, -largest / 3]))
        assert BINS / 2 * histogram.width <= np.float32(largest) < BINS * histogram.width


# ------------------------------------------------------------------- observers


@given(BATCHES)
def test_minmax_is_the_extremes(batches: list[np.ndarray]) -> None:
    every = np.concatenate(batches)
    assert seen(MinMax(), batches).range() == (float(every.min()), float(every.max()))


@settings(max_examples=30)
@given(BATCHES, st.integers(0, 6))
@pytest.mark.parametrize("name", OBSERVERS)
def test_merging_equals_seeing_everything(name: str, batches: list[np.ndarray], cut: int) -> None:
    whole = seen(make_observer(name), batches)
    first, second = (
        seen(make_observer(name), batches[:cut]),
        seen(make_observer(name), batches[cut:]),
    )
    first.merge(second)
    np.testing.assert_allclose(first.range(), whole.range(), rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(BATCHES)
@pytest.mark.parametrize("name", OBSERVERS)
def test_range_lies_within_what_was_seen(name: str, batches: list[np.ndarray]) -> None:
    every = np.concatenate(batches).astype(np.float64)
    low, high = seen(make_observer(name), batches).range()
    slack = 1e-6 * np.abs(every).max()
    assert min(every.min(), 0) - slack <= low <= high + slack
    assert high <= max(every.max(), 0) + slack


def test_moving_average_follows_its_formula_and_lags_behind() -> None:
    batches = [np.asarray([-1.0, 1.0]), np.asarray([-3.0, 11.0]), np.asarray([0.0, 1.0])]
    low, high = seen(MovingAverageMinMax(), batches).range()
    assert low == pytest.approx((-1 * 0.99 - 0.03) * 0.99)
    assert high == pytest.approx((0.99 + 0.11) * 0.99 + 0.01)
    assert high < seen(MinMax(), batches).range()[1] / 5


def test_several_tensors_of_one_sample_are_one_step() -> None:
    together, apart = MovingAverageMinMax(0.5), MovingAverageMinMax(0.5)
    for values in ([0.0, 1.0], [2.0, 8.0]):
        together.observe(*(np.asarray([v]) for v in values))
        apart.observe(np.asarray(values))
    assert together.range() == apart.range() == (1.0, 4.5)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99])
def test_percentile_cuts_two_tails(percentile: float) -> None:
    values = laplace(200_000)
    observer = seen(Percentile(percentile), np.split(values, 10))
    wanted = np.percentile(values, [100 - percentile, percentile])
    np.testing.assert_allclose(observer.range(), wanted, atol=2 * observer.histogram.width)


def test_percentile_100_is_minmax() -> None:
    assert seen(Percentile(100.0), [laplace()]).range() == seen(MinMax(), [laplace()]).range()


def test_zeros_count_for_percentiles() -> None:
    values = np.concatenate([np.zeros(990), np.arange(1, 11)]).astype(np.float32)
    assert seen(Percentile(98.0), [values]).range() == (0.0, 0.0)
    assert seen(Percentile(99.5), [values]).range()[1] == pytest.approx(5, abs=0.02)


def test_entropy_cuts_an_outlier_minmax_keeps() -> None:
    values = laplace()
    with_outlier = np.append(values, np.float32(50 * values.std()))
    low, high = seen(Entropy(), [with_outlier]).range()
    assert high < 0.5 * with_outlier.max()
    assert high > 2.0  # not collapsed either
    assert low == pytest.approx(max(values.min(), -high))
    assert seen(MinMax(), [with_outlier]).range()[1] == with_outlier.max()


def test_entropy_is_the_smallest_divergence_written_out() -> None:
    values = np.abs(laplace(3000, seed=3))
    observer = seen(Entropy(), [values])
    assert isinstance(observer, HistogramObserver)
    counts, width = observer.histogram.magnitudes().astype(float), observer.histogram.width
    counts = counts[: int(np.flatnonzero(counts)[-1]) + 1]
    costs = {i: divergence(counts, i) for i in range(256, len(counts) + 1)}
    best = min(costs.values())
    lengths = [i for i, cost in costs.items() if cost <= best + 1e-12]
    found = observer.range()[1]
    assert any(abs(found - min((i + 0.5) * width, values.max())) < 1e-6 for i in lengths)


def divergence(counts: np.ndarray, length: int, levels: int = 256) -> float:
    """KL(P || Q) by loops, as the definition reads."""
    p = counts[:length].copy()
    p[-1] += counts[length:].sum()
    q = np.zeros(length)
    for level in range(levels):
        run = slice(level * length // levels, (level + 1) * length // levels)
        filled = np.flatnonzero(counts[run]) + run.start
        if len(filled):
            q[filled] = counts[run].sum() / len(filled)
    p, q = p / p.sum(), q / q.sum()
    empty = (p > 0) & (q == 0)
    q = np.where(empty, 1e-4, q * (1 - 1e-4 * empty.sum()))
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum())


def test_mse_is_the_best_of_the_grid_on_the_values_themselves() -> None:
    values = np.concatenate([laplace(200_000), np.asarray([18.0, -16.0], np.float32)])
    low, high = seen(Mse(), np.array_split(values, 7)).range()
    errors = {k: squared_error(values, k / 100) for k in range(1, 101)}
    best = min(errors, key=errors.__getitem__)
    assert best < 80  # clips
    assert errors[round(100 * high / 18.0)] <= errors[best] * 1.01
    assert low / high == pytest.approx(-16 / 18)


def squared_error(values: np.ndarray, share: float) -> float:
    params = affine(share * float(values.min()), share * float(values.max()))
    return float(np.square(params.fake_quantize(values) - values, dtype=np.float64).mean())


@pytest.mark.parametrize("name", OBSERVERS)
def test_zeros_and_constants(name: str) -> None:
    assert make_observer(name).range() == (0.0, 0.0)
    assert seen(make_observer(name), [np.zeros(9, np.float32)]).range() == (0.0, 0.0)
    low, high = seen(make_observer(name), [np.full(9, 3.0, np.float32)]).range()
    assert affine(low, high).fake_quantize(np.float32(3.0)) == pytest.approx(3.0, rel=0.02)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(UsageError, match="kl"):
        make_observer("kl")
    with pytest.raises(UsageError, match="percentile"):
        make_observer("percentile", percentile=40.0)
    with pytest.raises(UsageError, match="constant"):
        make_observer("moving-average", constant=0.0)
