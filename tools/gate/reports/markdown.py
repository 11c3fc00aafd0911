"""Markdown for a comment on a change or the summary of a CI job."""

from __future__ import annotations

from ..records import Judgement, Results
from .common import (
    LOUD,
    change,
    counts,
    evidence,
    footer,
    one_line,
    self_checks,
    value,
    worst_first,
)

_HEAD = (
    "| model | device | metric | baseline | candidate | change [interval] | limit | verdict | evidence |",
    "|---|---|---|---:|---:|---:|---|---|---|",
)


def to_markdown(results: Results) -> str:
    """Counts, a table with what is bad first, passes folded away, where it ran."""
    ordered = worst_first(results)
    loud = [j for j in ordered if j.verdict.word in LOUD]
    quiet = [j for j in ordered if j.verdict.word not in LOUD]
    lines = [f"## edgepress gate: {counts(results)}", ""]
    if loud:
        lines += [*_HEAD, *(_row(j) for j in loud), ""]
        lines += [f"- **{_cell(j.name)}**: {_cell(j.verdict.reason)}" for j in loud] + [""]
    if quiet:
        lines += [f"<details><summary>{len(quiet)} passed</summary>", "", *_HEAD]
        lines += [*(_row(j) for j in quiet), "", "</details>", ""]
    lines += [f"{_cell(note)}\n" for note in (*results.notes, *self_checks(results))]
    return "\n".join([*lines, f"<sub>{_cell(footer(results))}</sub>"]) + "\n"


def _row(judgement: Judgement) -> str:
    model, device, engine, threads, metric = judgement.key
    place = f"{device}/{engine}" if engine else device
    cells = [
        model,
        place if threads == 1 else f"{place} x{threads}",
        metric,
        value(judgement.baseline),
        value(judgement.candidate),
        change(judgement),
        judgement.limit,
        judgement.verdict.word,
        evidence(judgement),
    ]
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """Text that neither ends a cell nor becomes markup."""
    for raw, safe in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "\\|"),
        ("`", "\\`"),
        ("*", "\\*"),
    ):
        text = text.replace(raw, safe)
    return one_line(text)
