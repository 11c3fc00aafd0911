"""Run all gates of a configuration: measure, look, judge; one gate's trouble does not stop the others.

results = run_gates(load_config(Path("gates.yml")), Settings())
exit_code(results.judgements)
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ... import __version__
from ...devices.budget import Limit
from ...devices.conditions import fingerprint
from ...devices.verdict import Kind, Outcome, Verdict
from ...runtime.errors import EdgepressError, InputError
from ..exit_codes import ExitCode, worst
from . import metrics
from .baseline import commit_of, read_baseline
from .config import Gate, GateConfig
from .entries import Taken, entry_of
from .judge import REMEASURED, STORED, Rules, judge, limit_text, settle
from .measure import Job, Measurer, find_measurer, take
from .measurers import measurers_of
from .records import Entry, Judgement, Results
from .statistics import looks

if TYPE_CHECKING:
    from ..cache import Cache


class Progress(Protocol):
    """Told how far the gates are."""

    def stage(self, name: str, total: int) -> None:
        """A part of `total` steps begins."""

    def advance(self, count: int = 1, **facts: object) -> None:
        """`count` steps are done."""


@dataclass(frozen=True)
class Settings:
    """How to run. `measurers`: those of each gate's kind of file if None; `cache`: None measures everything again.

    `policy`: what `--inconclusive` says.
    """

    measurers: tuple[Measurer, ...] | None = None
    cache: Cache | None = None
    test: str = "bootstrap"
    trust_stored: bool = False
    policy: str = "none"
    data: Path | None = None
    user_code: bool = True
    progress: Progress | None = None
    today: datetime.date | None = None

    def rules(self, level: float, paired: bool) -> Rules:
        """The rules of one look."""
        today = self.today or datetime.datetime.now(datetime.UTC).date()
        return Rules(level, paired, self.test, self.trust_stored, today)


@dataclass(frozen=True)
class _Arms:
    """A gate's files: the new one, the old one if it is at hand, else stored numbers."""

    job: Job
    old: Job | None
    stored: Results | None


def run_gates(config: GateConfig, settings: Settings) -> Results:
    """Measure and judge every gate.

    Raises:
        InputError: the stored baseline cannot be read. Troubles of single gates become judgements.
    """
    stored = read_baseline(config.baseline.file)
    judgements: list[Judgement] = []
    for gate in config.gates:
        if settings.progress:
            settings.progress.stage(f"{gate.model} @{gate.device}", len(gate.budget.limits))
        measurers = settings.measurers
        if measurers is None:
            measurers = measurers_of(gate.path, config.boards)
        judgements += _gate(gate, config, stored, measurers, settings)
    judgements += missing(stored, judgements, config.removed)
    settled = tuple(replace(j, verdict=settle(j.verdict, settings.policy)) for j in judgements)
    return Results(
        created=now(),
        commit=commit_of(config.path.resolve().parent),
        tool=f"edgepress {__version__}",
        fingerprint=fingerprint(),
        entries=unique(j.candidate for j in judgements if j.candidate is not None),
        judgements=settled,
        notes=()
        if stored or not config.baseline.file
        else (f"no baseline at {config.baseline.file.name} yet",),
    )


def now() -> str:
    """UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unique(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """One entry per key: gates of two devices may ask for the same number of a file."""
    return tuple({entry.key: entry for entry in entries}.values())


def exit_code(judgements: Sequence[Judgement]) -> ExitCode:
    """0, 1, 3 or what an error brought: the worst of all by the precedence of exit codes."""
    codes = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.INVALID: 3}
    return worst(
        j.verdict.exit_code or 2 if j.verdict.outcome == Outcome.ERROR else codes[j.verdict.outcome]
        for j in judgements
    )


def _gate(
    gate: Gate,
    config: GateConfig,
    stored: Results | None,
    measurers: Sequence[Measurer],
    settings: Settings,
) -> list[Judgement]:
    """Judgements of one gate, one per limit; limits that one measurer serves share its processes."""
    groups: dict[int, tuple[Measurer, list[Limit]]] = {}
    found: list[Judgement] = []
    for limit in gate.budget.limits:
        try:
            measurer = find_measurer(measurers, gate.device, limit.metric)
            groups.setdefault(id(measurer), (measurer, []))[1].append(limit)
        except EdgepressError as error:
            found.append(failed(gate, limit, error))
    for measurer, limits in groups.values():
        try:
            arms = _arms(gate, config, stored, limits, settings)
            judged = _sequential(gate, limits, measurer, arms, settings)
        except EdgepressError as error:
            judged = [failed(gate, limit, error) for limit in limits]
        finally:
            measurer.close()
        found += judged
        if settings.progress:
            settings.progress.advance(len(limits))
    ordered = {limit.metric: index for index, limit in enumerate(gate.budget.limits)}
    # a gate of the pytest fixture has no file
    told = f"edgepress gate --config {config.path}" if config.path.is_file() else ""
    return [
        replace(j, where=gate.where, reproduce=told)
        for j in sorted(found, key=lambda j: ordered[j.key[4]])
    ]


def failed(gate: Gate, limit: Limit, error: EdgepressError) -> Judgement:
    """The judgement where there is no number."""
    key = (gate.model, gate.device, gate.engine or "", gate.threads, limit.metric)
    text = str(error).replace("\n  next:", "; next:")
    found = Verdict(Outcome.ERROR, Kind.PLAIN, text, exit_code=error.exit_code)
    return Judgement(key, found, limit_text(limit, metrics.unit(limit.metric)))


def _arms(
    gate: Gate, config: GateConfig, stored: Results | None, limits: list[Limit], settings: Settings
) -> _Arms:
    job = Job(
        path=gate.path,
        device=gate.device,
        engine=gate.engine,
        threads=gate.threads,
        metrics=tuple(limit.metric for limit in limits),
        inputs=gate.inputs,
        scored=gate.scored,
        data=settings.data,
        module_path=config.path.resolve().parent,
        user_code=settings.user_code,
    )
    path = _old_file(gate, config) if any(limit.relative for limit in limits) else None
    return _Arms(job, None if path is None else replace(job, path=path), stored)


def _old_file(gate: Gate, config: GateConfig) -> Path | None:
    """The file to measure again as baseline.

    Raises:
        InputError: it is named or demanded and not there.
    """
    remeasure, folder = config.baseline.remeasure, config.baseline.models
    if remeasure == "never":
        return None
    if gate.baseline is not None:
        if not gate.baseline.exists():
            raise InputError("the baseline file is not there", where=str(gate.baseline))
        return gate.baseline
    found = (
        [p for p in (folder / gate.model, folder / gate.path.name) if p.exists()] if folder else []
    )
    if not found and remeasure == "always":
        raise InputError(
            f"the old {gate.path.name} is to be measured again and is not there",
            where=gate.where,
            hint="put it into the folder `baseline: {models: ...}`, or use remeasure: auto",
        )
    return found[0] if found else None


def _sequential(
    gate: Gate, limits: list[Limit], measurer: Measurer, arms: _Arms, settings: Settings
) -> list[Judgement]:
    """Take processes look by look until every limit is decided."""
    plan = looks(1, 1) if measurer.exact else looks(gate.processes, gate.max_processes)
    new: list[Taken] = []
    old: list[Taken] = []
    judged: list[Judgement] = []
    for count in plan.counts:
        _take_until(count, measurer, arms, new, old, settings)
        rules = settings.rules(plan.level, paired=arms.old is not None)
        judged = [_judged(gate, limit, arms, new, old, rules) for limit in limits]
        if not any(j.verdict.undecided for j in judged):
            break
    return judged


def _take_until(
    count: int,
    measurer: Measurer,
    arms: _Arms,
    new: list[Taken],
    old: list[Taken],
    settings: Settings,
) -> None:
    """More processes of both arms up to `count` each, in the order A B B A A B B A ..."""
    for number in range(len(new), count):
        both = [(arms.old, old), (arms.job, new)]
        for job, taken in both if number % 2 == 0 else reversed(both):
            if job is not None:
                order = len(new) + len(old)
                taken.append(take(measurer, job, number, order, settings.cache))


def _judged(
    gate: Gate, limit: Limit, arms: _Arms, new: list[Taken], old: list[Taken], rules: Rules
) -> Judgement:
    candidate = entry_of(gate.model, new, limit.metric, limit.statistic)
    if arms.old is not None:
        base = entry_of(gate.model, old, limit.metric, limit.statistic)
        return judge(limit, candidate, base, REMEASURED, rules, gate.noisy)
    base_stored = arms.stored.find(candidate.key) if arms.stored else None
    return judge(limit, candidate, base_stored, STORED, rules, gate.noisy)


def missing(
    stored: Results | None, judgements: Sequence[Judgement], removed: Sequence[str]
) -> list[Judgement]:
    """Numbers of the baseline that nobody measured any more: a fail unless listed in `removed`."""
    if stored is None:
        return []
    seen = {j.key for j in judgements}
    in_trouble = {(j.key[0], j.key[4]) for j in judgements if j.candidate is None}
    found = []
    for entry in stored.entries:
        if entry.key in seen or (entry.model, entry.metric) in in_trouble:
            continue
        if entry.model in removed or entry.name in removed:
            said = Verdict(Outcome.PASS, Kind.REMOVED, "removed on purpose")
        else:
            reason = "in the baseline, but not measured any more; list it under `removed:` if that is meant"
            said = Verdict(Outcome.FAIL, Kind.MISSING, reason)
        found.append(Judgement(entry.key, said, "", baseline=entry, baseline_origin=STORED))
    return found
