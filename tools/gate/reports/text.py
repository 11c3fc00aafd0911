"""Text: one line a number, then reasons and the command to repeat it."""

from __future__ import annotations

from ..records import Judgement, Results
from .common import LOUD, change, counts, evidence, footer, one_line, processes, value, worst_first


def to_text(results: Results) -> str:
    """The results for a terminal or a log."""
    ordered = worst_first(results)
    lines = [_line(j) for j in ordered]
    loud = [j for j in ordered if j.verdict.word in LOUD]
    if loud:
        told = (f"{j.verdict.word.upper()} {j.name}: {_reason(j)}" for j in loud)
        lines += ["", *(one_line(line) for line in told)]
        repeat = dict.fromkeys(j.reproduce for j in loud if j.reproduce)
        lines += [f"repeat with: {command}" for command in repeat]
    lines += [f"note: {one_line(note)}" for note in results.notes]
    return "\n".join([*lines, "", counts(results), footer(results)]) + "\n"


def _line(judgement: Judgement) -> str:
    """ "FAIL  kws @pi5 latency_ms  0.842 ms -> 0.951 ms  +12.9 % [...]  limit +5 %  (5+5 processes, measured)"."""
    old, new = value(judgement.baseline), value(judgement.candidate)
    parts = [f"{judgement.verdict.word.upper():<12}", one_line(judgement.name)]
    parts.append(f"{old} -> {new}" if judgement.baseline is not None else new)
    parts.append(change(judgement))
    parts.append(f"limit {judgement.limit}" if judgement.limit else "")
    told = ", ".join(
        part for part in (processes(judgement), evidence(judgement)) if part not in ("", "-")
    )
    parts.append(f"({told})" if told else "")
    return "  ".join(part for part in parts if part)


def _reason(judgement: Judgement) -> str:
    return (
        f"{judgement.verdict.reason} ({judgement.where})"
        if judgement.where
        else judgement.verdict.reason
    )
