"""The report as markdown for pull requests and job summaries: verdict first, long tables folded."""

from __future__ import annotations

from ..render import kib, number
from . import tables, views
from .tables import Table
from .views import Report, score_text

_WORDS = {"pass": "PASS", "fail": "FAIL", "none": "no proof and no budget", "invalid": "NO VERDICT"}


def to_markdown(report: Report) -> str:
    """Markdown text of a report; pure."""
    parts = [
        f"# {_cell(report['name'])}: {_WORDS[report['outcome']]}",
        _about(report),
        _headline(report),
    ]
    parts += _section("Budget", tables.verdicts_table(report))
    parts += _section("Files", tables.files_table(report), _judged_on(report))
    parts += _section("Latency", tables.latency_table(report), _latency_notes(report))
    parts += _section("Parity", tables.parity_table(report), _proof(report))
    parts += _section("Steps", tables.steps_table(report))
    parts += _bullets("Missing", report["missing"])
    parts += _folded(
        "Remarks", tables.Table(("remark",), tuple((r,) for r in views.remarks(report)))
    )
    parts += _folded("Sensitivity of the layers", tables.sensitivity_table(report))
    parts += _folded("Environment", tables.environment_table(report))
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(report: Report) -> str:
    facts = [
        ("model", report["model"]),
        ("task", report["task"]),
        ("seed", report["seed"]),
        ("run", report["created"]),
    ]
    return ", ".join(f"{name} {_cell(str(v))}" for name, v in facts if v not in ("", None))


def _headline(report: Report) -> str:
    artifact = views.headline_artifact(report)
    if artifact is None:
        return ""
    facts = [f"**{_cell(artifact['name'])}: {kib(artifact['file_bytes'])}**"]
    if views.ratio(artifact):
        facts.append(views.ratio(artifact))
    for score in views.scores_of(report, artifact["name"])[:1]:
        difference = views.change(score, views.reference_score(report, score))
        facts.append(score_text(score) + (f" ({difference} against float)" if difference else ""))
    facts += [
        f"{number(m['values'][views.LATENCY], 'ms')} in {m['engine']} ({m['evidence']})"
        for m in views.measurements_of(report, artifact["name"])[:1]
    ]
    return "; ".join(facts)


def _judged_on(report: Report) -> str:
    places = sorted({views.where_scored(score) for score in report["scores"]})
    return f"Scores: {'; '.join(map(_cell, places))}." if places else ""


def _latency_notes(report: Report) -> str:
    lines = [*views.not_faster(report), views.disturbance(report)]
    return "\n".join(f"- {_cell(line)}" for line in lines if line)


def _proof(report: Report) -> str:
    parity = report["parity"]
    if not parity:
        return ""
    word = {"pass": "PASS", "fail": "FAIL", "none": "NOT JUDGED"}[parity["outcome"]]
    head = f"{word} against {_cell(parity['reference'])} on {parity['samples']:,} samples"
    if parity["layers"]:
        head += f", {len(parity['layers'])} inner values on {parity['layer_samples']} of them"
    return "\n".join([f"{head}.", *(f"- {_cell(line)}" for line in views.departures(report))])


def _section(title: str, table: Table, text: str = "") -> list[str]:
    return [f"## {title}", text, _table(table)] if table.rows else []


def _folded(title: str, table: Table) -> list[str]:
    if not table.rows:
        return []
    return [f"<details><summary>{title}</summary>", _table(table), "</details>"]


def _bullets(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {_cell(line)}" for line in lines)] if lines else []


def _table(table: Table) -> str:
    marks = ["---:" if i in table.right else "---" for i in range(len(table.headers))]
    lines = [table.headers, marks, *(map(_cell, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text that cannot break out of a table cell or become markup."""
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, entity)
    for mark in "\\`*_[]|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
