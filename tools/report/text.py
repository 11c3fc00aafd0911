"""The report as text for a terminal: the closing table of `edgepress run`."""

from __future__ import annotations

from ..render import plural, seconds, table, verdict
from . import tables, views
from .tables import Table
from .views import Report


def to_text(report: Report) -> str:
    """Text of a report; pure but for colours, which NO_COLOR switches off and click drops off a terminal."""
    words = {"none": "no proof, no budget", "invalid": "NO VERDICT"}
    head = f"{report['name']}: {words.get(report['outcome']) or verdict(report['outcome'])}"
    parts = [head, _judged(report)]
    parts += [_table(tables.files_table(report)), _table(tables.latency_table(report))]
    parts += ["\n".join([*views.not_faster(report), views.disturbance(report)]).strip()]
    parts += [_parity(report), _table(tables.verdicts_table(report))]
    parts += [_steps(report), "\n".join(f"missing: {line}" for line in report["missing"])]
    remarks = len(views.remarks(report))
    parts += (
        [f"{plural(remarks, 'remark')} on proof and measurements: see report.md"] if remarks else []
    )
    return "\n\n".join(part for part in parts if part)


def _judged(report: Report) -> str:
    return "\n".join(
        sorted({f"scores on {views.where_scored(score)}" for score in report["scores"]})
    )


def _parity(report: Report) -> str:
    parity = report["parity"]
    if not parity:
        return ""
    word = verdict(parity["outcome"]) if parity["outcome"] != "none" else "NOT JUDGED"
    lines = [f"parity {word} against {parity['reference']} on {parity['samples']:,} samples"]
    lines += [
        f"  {row['candidate']} ({row['engine']}) against {row['against']}: {row['reason']}"
        for row in parity["outputs"]
        if row["outcome"] == "fail"
    ]
    return "\n".join(lines + [f"  {line}" for line in views.departures(report)])


def _steps(report: Report) -> str:
    lines = []
    for step in report["steps"]:
        told = [*views.transitions(step), *views.notes_of(step)]
        if told:
            lines.append(f"{step['number']:02d} {step['step']} ({seconds(step['seconds'])})")
            lines += [f"   {line}" for line in told]
    return "\n".join(lines)


def _table(view: Table) -> str:
    return table(view.headers, view.rows, view.right) if view.rows else ""
