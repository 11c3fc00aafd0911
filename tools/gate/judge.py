"""One gate's limit, its number and its baseline -> a judgement: evidence, validity, rules and caps in their order."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace

from ...devices.budget import Limit
from ...devices.measurement import Evidence
from ...devices.verdict import Kind, Outcome, Verdict, worst
from ...runtime.errors import UsageError
from ..render import number, value_with_unit
from . import metrics, verdict
from .config import Noisy
from .records import Change, Entry, Judgement, unsound
from .statistics import RankTest, change_of, location_interval, mann_whitney

STORED, REMEASURED = "stored", "re-measured"
TESTS = ("bootstrap", "mwu")
POLICIES = ("none", "warn", "fail", "pass")


@dataclass(frozen=True)
class Rules:
    """How strictly to judge. `level` of intervals, `paired`: both arms ran in turn, `today`: for expiry dates."""

    level: float = 0.95
    paired: bool = False
    test: str = "bootstrap"
    trust_stored: bool = False
    today: datetime.date = datetime.date.max


def judge(
    limit: Limit,
    candidate: Entry,
    baseline: Entry | None,
    origin: str = "",
    rules: Rules | None = None,
    noisy: Noisy | None = None,
) -> Judgement:
    """The judgement on one number.

    Args:
        origin: of the baseline, `STORED` or `REMEASURED`.
        noisy: what the gate says of itself.

    Raises:
        UsageError: the two do not compare (evidence, device, engine, version, threads), or the evidence allows no
            such limit.
    """
    rules = rules or Rules()
    old = baseline if limit.relative else None
    check_evidence(limit, candidate, old)
    change: Change | None = None
    problem = _problem(candidate, old)
    if problem is not None:
        found = problem
    else:
        parts = [_absolute(limit, candidate, rules)] if limit.absolute else []
        if limit.relative:
            relative, change = _relative(limit, candidate, old, origin, rules)
            parts.append(relative)
        found = worst(parts)
    return Judgement(
        key=candidate.key,
        verdict=_capped(found, candidate, noisy, rules),
        limit=limit_text(limit, candidate.unit),
        candidate=candidate,
        baseline=old,
        baseline_origin=origin if old else "",
        change=change,
    )


def check_evidence(limit: Limit, candidate: Entry, baseline: Entry | None) -> None:
    """Refuse what the evidence does not bear.

    Raises:
        UsageError: says which rule.
    """
    times = metrics.wall_time(candidate.metric)
    if times and candidate.evidence == Evidence.EMULATED:
        raise UsageError("milliseconds of an emulated device are no number", where=candidate.name)
    if candidate.evidence == Evidence.ESTIMATED and times and limit.relative:
        hint = "use max: with the budget; the upper end of the band is held to it"
        raise UsageError(
            "an estimate is gated against a budget only", where=candidate.name, hint=hint
        )
    if baseline is None:
        return
    names = ["evidence", "device", "engine", "engine_version", "threads", "metric", "unit"]
    names += ["statistic"] if metrics.statistical(candidate.metric) else ["fingerprint"]
    for name in names:
        mine, theirs = getattr(candidate, name), getattr(baseline, name)
        if mine != theirs:
            raise UsageError(
                f"candidate and baseline differ in {name}: {_differing(mine, theirs)}",
                where=candidate.name,
                hint="compare like with like: measure the baseline again, or update it",
            )


def _differing(mine: object, theirs: object) -> str:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        key = next(k for k in sorted({*mine, *theirs}) if mine.get(k) != theirs.get(k))
        return f"{key} {mine.get(key)!r} and {theirs.get(key)!r}"
    return f"{mine!r} and {theirs!r}"


def _problem(candidate: Entry, baseline: Entry | None) -> Verdict | None:
    """An error or `invalid` that no rule is needed for."""
    for entry, name in ((candidate, "candidate"), (baseline, "baseline")):
        reason = unsound(entry) if entry else ""
        if reason:
            return Verdict(Outcome.ERROR, Kind.PLAIN, f"{name}: {reason}", exit_code=2)
    for entry in (candidate, baseline):
        if entry is not None and entry.invalid:
            return Verdict(Outcome.INVALID, Kind.PLAIN, "; ".join(entry.invalid))
    return None


def _absolute(limit: Limit, entry: Entry, rules: Rules) -> Verdict:
    if entry.evidence == Evidence.ESTIMATED and metrics.wall_time(entry.metric):
        return verdict.judge_estimate(entry, limit.at_most or 0.0)
    if metrics.statistical(entry.metric):
        interval = location_interval(entry, rules.level)
        return verdict.judge_time_budget(
            entry.location, interval, len(entry.processes), limit.at_most or 0.0, entry.unit
        )
    return verdict.judge_exact_budget(entry.location, entry.unit, limit.at_most, limit.at_least)


def _relative(
    limit: Limit, candidate: Entry, baseline: Entry | None, origin: str, rules: Rules
) -> tuple[Verdict, Change | None]:
    if baseline is None:
        return Verdict(Outcome.PASS, Kind.NEW, "there is no baseline yet"), None
    tolerance = limit.max_regression if limit.max_drop is None else limit.max_drop
    if not metrics.statistical(candidate.metric):
        found = verdict.judge_exact(
            baseline.location,
            candidate.location,
            tolerance or 0.0,
            candidate.unit,
            higher_is_better=candidate.better == "higher",
            points=limit.max_drop is not None,
        )
        ratio = candidate.location / baseline.location if baseline.location else 1.0
        return found, Change(ratio)
    if origin == STORED and candidate.fingerprint != baseline.fingerprint:
        told = _differing(candidate.fingerprint, baseline.fingerprint)
        reason = f"the stored baseline comes from other conditions: {told}; measure it again beside the candidate"
        return Verdict(Outcome.INCONCLUSIVE, Kind.OTHER_CONDITIONS, reason), None
    change = change_of(baseline, candidate, rules.level, rules.paired)
    test: RankTest | None = None
    if rules.test == "mwu":
        test = mann_whitney(baseline.values(), candidate.values(), 1.0 - rules.level)
        change = replace(change, p_value=test.p)
    count = min(len(baseline.processes), len(candidate.processes))
    found = verdict.judge_ratio(change, count, tolerance or 0.0, test)
    if origin == STORED and not rules.trust_stored:
        found = found.as_warning("a stored baseline warns at most (--trust-stored-baseline)")
    return found, change


def _capped(found: Verdict, entry: Entry, noisy: Noisy | None, rules: Rules) -> Verdict:
    """What may not fail becomes a warning; what expired says so."""
    if entry.evidence == Evidence.HOST and metrics.wall_time(entry.metric):
        found = found.as_warning("times on this host warn at most")
    if noisy is None:
        return found
    if rules.today <= noisy.until:
        return found.as_warning(f"expected to be noisy until {noisy.until}: {noisy.reason}")
    return found.because(f"`expect: noisy` expired on {noisy.until} ({noisy.reason})")


def settle(found: Verdict, policy: str) -> Verdict:
    """What `--inconclusive` makes of no verdict. What is invalid becomes a warning at best, never a plain pass."""
    if found.outcome not in (Outcome.INCONCLUSIVE, Outcome.INVALID) or policy == "none":
        return found
    told = f"{found.outcome}, taken as {policy}: {found.reason}"
    if policy == "fail":
        return Verdict(Outcome.FAIL, found.kind, told)
    if policy == "pass" and found.outcome == Outcome.INCONCLUSIVE:
        return Verdict(Outcome.PASS, Kind.PLAIN, told)
    return Verdict(Outcome.PASS, Kind.WARN, told)


def limit_text(limit: Limit, unit: str) -> str:
    """ "at most 60 KiB, +0 %"."""
    parts = []
    if limit.at_most is not None:
        parts.append(f"at most {value_with_unit(limit.at_most, unit)}")
    if limit.at_least is not None:
        parts.append(f"at least {value_with_unit(limit.at_least, unit)}")
    if limit.max_regression is not None:
        parts.append(f"+{verdict.share(limit.max_regression)}")
    if limit.max_drop is not None:
        parts.append(f"-{number(limit.max_drop)} points")
    return ", ".join(parts)
