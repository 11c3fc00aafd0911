"""The rules: numbers and a limit -> a verdict. Pure functions, no files, no clocks.

Relative times, tolerance t, interval [low, high] of the ratio r, r_best the ratio of smallest samples:

    low > 1 and r > 1 + t and r_best > 1 + t/2   fail
    low > 1 and r > 1 + t, r_best below          inconclusive, "jitter-only"
    high <= 1 + t                                pass, "improved" if high < 1
    otherwise                                    inconclusive

A baseline whose halves differ by more than t/2 gives no verdict ("noisy"), unless the whole interval lies beyond
the tolerance and that noise together: a file twice as slow is slower on a noisy machine too.

Significance and size are both required: a test alone alarms on differences nobody minds, a threshold alone on
noise. The smallest samples tell slower code from a disturbed machine.
"""

from __future__ import annotations

from ...devices.verdict import Kind, Outcome, Verdict
from ..render import number
from .records import Change, Entry
from .statistics import RankTest

FEWEST_TO_FAIL = 5
"""Processes per arm below which nothing fails: the interval is too narrow then."""


def judge_ratio(
    change: Change, processes: int, tolerance: float, rank_test: RankTest | None = None
) -> Verdict:
    """A statistical metric against its baseline.

    Args:
        change: with interval, `ratio_best` and `self_ratio`.
        processes: of the smaller arm.
        tolerance: share, 0.05 for 5 %.
        rank_test: where given, its p-value decides in place of the interval whether the arms differ.
    """
    low, high = _interval(change)
    text = f"{percent(change.ratio - 1)} [{percent(low - 1)}, {percent(high - 1)}], tolerance {share(tolerance)}"
    if processes < 2:
        return Verdict(Outcome.INCONCLUSIVE, Kind.TOO_FEW, f"{text}: one process tells nothing")
    noise = change.self_ratio if change.self_ratio is not None else 1.0
    beyond_noise = low > 1.0 + tolerance + abs(noise - 1.0)
    if abs(noise - 1.0) > tolerance / 2 and not beyond_noise:
        reason = f"{text}: the baseline differs from itself by {percent(noise - 1)}"
        return Verdict(Outcome.INCONCLUSIVE, Kind.NOISY, reason)
    slower = low > 1.0
    if rank_test is not None:
        if rank_test.p is None:
            reason = f"{text}: the rank test cannot reach p = {_alpha(change):.3g} with {processes} processes"
            return Verdict(Outcome.INCONCLUSIVE, Kind.TOO_FEW, reason)
        slower = rank_test.p < _alpha(change) and change.ratio > 1.0
        text += f", p = {rank_test.p:.2g}"
    if slower and change.ratio > 1.0 + tolerance:
        return _slower(change, processes, tolerance, text)
    if high <= 1.0 + tolerance:
        return Verdict(Outcome.PASS, Kind.IMPROVED if high < 1.0 else Kind.PLAIN, text)
    reason = f"{text}: the interval reaches over the tolerance"
    return Verdict(Outcome.INCONCLUSIVE, Kind.WIDE, reason)


def _slower(change: Change, processes: int, tolerance: float, text: str) -> Verdict:
    """Beyond the tolerance: a fail unless the best case did not move, or too few looked."""
    ratio_best = change.ratio if change.ratio_best is None else change.ratio_best
    if not ratio_best > 1.0 + tolerance / 2:
        reason = f"{text}: at its best it is not slower ({percent(ratio_best - 1)}), something adds stalls"
        return Verdict(Outcome.INCONCLUSIVE, Kind.JITTER_ONLY, reason)
    if processes < FEWEST_TO_FAIL:
        reason = f"{text}: {processes} processes, a fail needs {FEWEST_TO_FAIL}"
        return Verdict(Outcome.INCONCLUSIVE, Kind.TOO_FEW, reason)
    return Verdict(Outcome.FAIL, Kind.REGRESSION, text)


def judge_time_budget(
    location: float, interval: tuple[float, float], processes: int, limit: float, unit: str
) -> Verdict:
    """A statistical metric against an absolute limit."""
    low, high = interval
    text = (
        f"{number(location, unit)} [{number(low)}, {number(high)}] of at most {number(limit, unit)}"
        f", margin {percent(_margin(location, limit))}"
    )
    if processes < 2:
        return Verdict(Outcome.INCONCLUSIVE, Kind.TOO_FEW, f"{text}: one process tells nothing")
    if high <= limit:
        return Verdict(Outcome.PASS, Kind.PLAIN, text)
    if low <= limit:
        return Verdict(Outcome.INCONCLUSIVE, Kind.WIDE, f"{text}: the limit lies in the interval")
    if processes < FEWEST_TO_FAIL:
        reason = f"{text}: {processes} processes, a fail needs {FEWEST_TO_FAIL}"
        return Verdict(Outcome.INCONCLUSIVE, Kind.TOO_FEW, reason)
    return Verdict(Outcome.FAIL, Kind.BUDGET, text)


def judge_estimate(entry: Entry, limit: float) -> Verdict:
    """An estimate against an absolute limit: the upper end of its band decides."""
    if entry.estimate is None:
        return Verdict(Outcome.ERROR, Kind.PLAIN, "an estimate without a band", exit_code=2)
    high = entry.estimate.band[1]
    text = f"at most {number(high, entry.unit)} ({entry.estimate.calibration}), limit {number(limit, entry.unit)}"
    if high <= limit:
        return Verdict(Outcome.PASS, Kind.PLAIN, text)
    return Verdict(Outcome.FAIL, Kind.BUDGET, text)


def judge_exact(
    base: float, value: float, tolerance: float, unit: str, *, higher_is_better: bool, points: bool
) -> Verdict:
    """A number that does not vary against its baseline.

    Args:
        tolerance: share of the baseline, or with `points` a difference in the metric's unit.
    """
    worse = (base - value) if higher_is_better else (value - base)
    allowed = tolerance if points else tolerance * abs(base)
    text = f"{number(base, unit)} -> {number(value, unit)}"
    if base and not points:
        text += f" ({percent(value / base - 1)})"
    told = f"{number(tolerance)} points" if points else share(tolerance)
    text += f", tolerance {told}"
    if worse > allowed:
        return Verdict(Outcome.FAIL, Kind.REGRESSION, text)
    return Verdict(Outcome.PASS, Kind.IMPROVED if worse < 0 else Kind.PLAIN, text)


def judge_exact_budget(
    value: float, unit: str, at_most: float | None, at_least: float | None
) -> Verdict:
    """A number that does not vary against absolute limits."""
    text = number(value, unit)
    if at_most is not None:
        text += f" of at most {number(at_most, unit)}, margin {percent(_margin(value, at_most))}"
    if at_least is not None:
        text += f", at least {number(at_least, unit)}"
    broken = (at_most is not None and value > at_most) or (
        at_least is not None and value < at_least
    )
    return Verdict(*((Outcome.FAIL, Kind.BUDGET) if broken else (Outcome.PASS, Kind.PLAIN)), text)


def percent(value: float) -> str:
    """ "+12.9 %", "+0.04 %"; a change that would round to nothing keeps two digits."""
    digits = 1 if abs(value) >= 0.001 or value == 0 else 3
    return f"{100 * value:+.{digits}f} %"


def share(value: float) -> str:
    """ "5 %", "0.5 %"."""
    return f"{100 * value:.4g} %"


def _interval(change: Change) -> tuple[float, float]:
    return (
        change.ratio if change.low is None else change.low,
        change.ratio if change.high is None else change.high,
    )


def _alpha(change: Change) -> float:
    return 1.0 - (0.95 if change.level is None else change.level)


def _margin(value: float, limit: float) -> float:
    return (limit - value) / limit if limit else 0.0
