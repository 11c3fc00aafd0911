"""What several formats say in the same words."""

from __future__ import annotations

import math
from collections import Counter

from ....devices.verdict import rank
from ...render import value_with_unit
from ..records import Entry, Judgement, Results
from ..verdict import percent

LOUD = ("error", "fail", "missing", "invalid", "inconclusive", "warn")
"""Words of verdicts that a reader has to look at, worst first."""


def worst_first(results: Results) -> list[Judgement]:
    """Judgements by how bad they are, else in the order of the configuration."""
    return sorted(results.judgements, key=lambda j: rank(j.verdict))


def value(entry: Entry | None) -> str:
    """A value with its unit, "-" where there is none."""
    return "-" if entry is None else value_with_unit(entry.location, entry.unit)


def change(judgement: Judgement) -> str:
    """ "+12.9 % [+10.8 %, +14.6 %]", "" where there is no baseline."""
    found = judgement.change
    if found is None:
        return ""
    text = percent(found.ratio - 1)
    if found.low is None or found.high is None:
        return text
    level = "" if found.level is None else f" at {100 * found.level:.4g} %"
    return f"{text} [{percent(found.low - 1)}, {percent(found.high - 1)}]{level}"


def processes(judgement: Judgement) -> str:
    """ "5+5 processes", "" for exact numbers."""
    counts = [
        str(len(entry.processes))
        for entry in (judgement.baseline, judgement.candidate)
        if entry is not None and entry.processes
    ]
    return f"{'+'.join(counts)} processes" if counts else ""


def evidence(judgement: Judgement) -> str:
    """Tier of the number."""
    entry = judgement.candidate or judgement.baseline
    return entry.evidence if entry else "-"


def counts(results: Results) -> str:
    """ "1 fail, 2 warn, 5 pass", worst first."""
    found = Counter(j.verdict.word for j in worst_first(results))
    order = [*LOUD, "new", "removed", "improved", "pass"]
    return ", ".join(f"{found[word]} {word}" for word in order if found[word]) or "no gates"


def footer(results: Results) -> str:
    """Where it ran, on one line."""
    facts = [f"{key} {value}" for key, value in sorted(results.fingerprint.items())]
    commit = f"commit {results.commit}, " if results.commit else ""
    return f"{commit}{results.tool}, {results.created}; {', '.join(facts)}"


def one_line(text: str) -> str:
    """Text without control characters, on one line: a name in a file cannot write to a terminal or end a row."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def self_checks(results: Results) -> list[str]:
    """How much each baseline differs from itself."""
    return [
        f"{j.name}: the baseline against itself {percent(j.change.self_ratio - 1)}"
        for j in results.judgements
        if j.change is not None
        and j.change.self_ratio is not None
        and math.isfinite(j.change.self_ratio)
    ]
