"""The result of the benchmark as a terminal table, Markdown, CSV, JSON and one SVG page of bars.

Pure functions of the figures. Every table says budget, data, split, samples and seeds; "overall" columns are
quadratic means of ratios to the float network, after BiBench: 1 is as good as float.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from typing import Any

from ...runtime.codec import to_json
from ..render import number, table
from ..report import svg
from .records import FLOAT, OVERALL, TRACKS, Budget, Figure

SCHEMA = "edgepress-bench-binary/1"
HEADINGS = {
    "task": "learning task",
    "architecture": "architecture",
    "corruption": "corruption",
    "training": "training",
    "complexity": "complexity (computed)",
    "hardware": "hardware (host)",
}
READ = (
    "Overall figures: quadratic means of ratios to the float network, after BiBench; 1 is as good as float, more is "
    "better. Their formulas are ours, so they do not compare with that paper's tables."
)
MADE_UP = "**The data is made up: the figures show that the command works, and nothing about any operator.**"
COLUMNS, PANEL = 2, 560
"""Panels beside each other in the plot, and the width of one."""


@dataclass(frozen=True)
class Result:
    """Everything that a run of the benchmark gave."""

    budget: Budget
    operators: tuple[str, ...]
    tracks: tuple[str, ...]
    figures: tuple[Figure, ...]
    data: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def overall(self, operator: str, track: str) -> Figure | None:
        """The overall figure of an operator on a track, if there is one."""
        found = (
            f for f in self.figures if (f.operator, f.track, f.item) == (operator, track, OVERALL)
        )
        return next(found, None)

    def shown(self) -> tuple[str, ...]:
        """Tracks that were asked for, in their order."""
        return tuple(track for track in TRACKS if track in self.tracks)


def cell(value: float | None) -> str:
    """A ratio for people."""
    return "-" if value is None or math.isnan(value) else number(float(f"{value:.3f}"))


def overall_rows(result: Result) -> tuple[list[str], list[list[str]]]:
    """Headers and one row per operator."""
    headers = ["operator", *(HEADINGS[track] for track in result.shown())]
    rows = []
    for operator in result.operators:
        found = [result.overall(operator, track) for track in result.shown()]
        rows.append([operator, *(cell(f.value if f else None) for f in found)])
    return headers, rows


def terminal(result: Result) -> str:
    """The overall table, and what to know about it."""
    headers, rows = overall_rows(result)
    text = table(headers, rows, tuple(range(1, len(headers))))
    return "\n".join([text, "", READ, *(f"note: {note}" for note in result.notes)])


def markdown(result: Result) -> str:
    """The whole report."""
    headers, rows = overall_rows(result)
    lines = ["# Binarization operators compared", "", _budget_line(result.budget), "", READ, ""]
    if any("synthetic" in line for line in result.data):
        lines += [MADE_UP, ""]
    lines += [*_table(headers, rows), "", "Data:", "", *(f"- {line}" for line in result.data), ""]
    for track in result.shown():
        lines += [f"## {HEADINGS[track].capitalize()}", "", *_track(result, track), ""]
    if result.notes:
        lines += ["## Notes", "", *(f"- {note}" for note in result.notes), ""]
    return "\n".join(lines).rstrip() + "\n"


def _budget_line(budget: Budget) -> str:
    samples = f"{budget.samples:,}" if budget.samples else "all"
    tests = f"{budget.test_samples:,}" if budget.test_samples else "all"
    seeds = ", ".join(map(str, budget.seeds))
    return (
        f"Budget `{budget.name}`: {samples} training samples, {tests} test samples at most, "
        f"{budget.float_epochs} epochs float, {budget.binary_epochs} epochs binary (half of them with real "
        f"weights, distilled from the float network), batches of {budget.batch_size}, seeds {seeds}. "
        "Accuracies are of the test split; nothing was chosen by it."
    )


def _track(result: Result, track: str) -> list[str]:
    """Operators down, items across; a metric a table."""
    found = [f for f in result.figures if f.track == track and f.item != OVERALL]
    if max((f.seeds for f in found), default=0) < 2:
        found = [f for f in found if f.metric != "accuracy_range"]
    lines: list[str] = []
    for metric in dict.fromkeys(f.metric for f in found):
        of_metric = [f for f in found if f.metric == metric]
        lines += [*_metric_table(result, of_metric), "", *_remarks(of_metric)]
    return lines[:-1] if lines else ["nothing measured"]


def _metric_table(result: Result, figures: Sequence[Figure]) -> list[str]:
    """Caption and table; what all items begin with stands in the caption once."""
    items = list(dict.fromkeys(f.item for f in figures))
    common = {item.partition(" ")[0] for item in items}
    where = common.pop() if len(items) > 1 and len(common) == 1 else ""
    operators = [o for o in (FLOAT, *result.operators) if any(f.operator == o for f in figures)]
    values = {(f.operator, f.item): f for f in figures}
    headers = [item.removeprefix(where).strip() for item in items]
    rows = [[o, *(_value(values.get((o, item))) for item in items)] for o in operators]
    return [_caption(figures, where), "", *_table(["operator", *headers], rows)]


def _remarks(figures: Sequence[Figure]) -> list[str]:
    """What stands beside figures of a metric, operators with the same remark together."""
    told: dict[str, list[str]] = {}
    for figure in figures:
        if figure.note and figure.metric != "refused":
            told.setdefault(f"{figure.item}: {figure.note}", []).append(figure.operator)
    lines = [f"- {remark} ({', '.join(names)})" for remark, names in told.items()]
    return [*lines, ""] if lines else []


def _caption(figures: Sequence[Figure], where: str) -> str:
    first = figures[0]
    name = f"`{first.metric}`{f' in {first.unit}' if first.unit else ''}"
    parts = [f"{name}{f' on {where}' if where else ''}, evidence: {first.evidence}"]
    if any(f.samples for f in figures):
        counts = sorted({f.samples for f in figures})
        parts.append(f"test samples: {', '.join(f'{n:,}' for n in counts)}")
    if any(f.seeds for f in figures):
        parts.append(f"seeds: {max(f.seeds for f in figures)}")
    return "; ".join(parts) + "."


def _value(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.metric == "refused":
        return figure.note
    return number(figure.value) if figure.unit == "ms" else cell(figure.value)


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(headers) + " |", "|---" * len(headers) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def csv_text(result: Result) -> str:
    """One line per figure."""
    stream = io.StringIO()
    names = [field.name for field in fields(Figure)]
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(figure) for figure in result.figures)
    return stream.getvalue()


def document(result: Result) -> dict[str, Any]:
    """The JSON document; figures that are no number are null."""
    figures = [to_json(figure) for figure in result.figures]
    for figure in figures:
        if not math.isfinite(figure["value"]):
            figure["value"] = None
    return {
        "schema": SCHEMA,
        "budget": to_json(result.budget),
        "operators": list(result.operators),
        "tracks": list(result.tracks),
        "data": list(result.data),
        "notes": list(result.notes),
        "figures": figures,
    }


def plot(result: Result) -> str:
    """A panel of bars per track: the overall figure of every operator."""
    panels: list[tuple[str, str, int]] = []
    for track in result.shown():
        bars = []
        for operator in result.operators:
            found = result.overall(operator, track)
            if found is not None and not math.isnan(found.value):
                bars.append(svg.Bar(operator, found.value, cell(found.value), len(panels) % 6))
        if bars:
            panels.append((HEADINGS[track], svg.bars(bars, HEADINGS[track]), 44 * len(bars)))
    return _page(panels)


def _page(panels: Sequence[tuple[str, str, int]]) -> str:
    tall = max((height for _, _, height in panels), default=0) + 60
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * (PANEL + 40) + 20, rows * tall + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text class="mark" x="20" y="24">Overall figures, after BiBench: 1 is as good as float</text>',
    ]
    for index, (heading, inner, size) in enumerate(panels):
        x, y = 20 + index % COLUMNS * (PANEL + 40), 40 + index // COLUMNS * tall
        place = f'<svg x="{x}" y="{y + 24}" width="{PANEL}" height="{size + 4}"'
        parts.append(f'<text class="head" x="{x}" y="{y + 14}">{escape(heading)}</text>')
        parts.append(inner.replace("<svg", place, 1))
    return "".join([*parts, "</svg>"]) + "\n"


_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b2330}.head{font-weight:700;font-size:15px}"
    ".value{font-weight:600}.g0{fill:#3d5a80}.g1{fill:#7d5ba6}.g2{fill:#e0662f}.g3{fill:#2a9d8f}"
    ".g4{fill:#c99a1c}.g5{fill:#7b8794}"
)
