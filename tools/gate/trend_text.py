"""Trends as text."""

from __future__ import annotations

from collections.abc import Sequence

from ..render import table, value_with_unit
from .history import Trend
from .verdict import percent


def trend_text(trends: Sequence[Trend]) -> str:
    """A table, one number a row."""
    if not trends:
        return "the history holds no numbers"
    head = ("number", "points", "now", "steps", "against its best", "last step for the worse")
    return table(head, [_row(trend) for trend in trends], (1, 2, 3, 4))


def _row(trend: Trend) -> tuple[str, ...]:
    step = "none"
    if trend.since is not None:
        where = trend.since.commit or trend.since.created
        step = f"{percent(trend.change)} at {where} (line {trend.since.line})"
    now = value_with_unit(trend.points[-1].value, trend.unit) if trend.points else "-"
    return (
        trend.name,
        str(len(trend.points)),
        now,
        str(max(len(trend.segments) - 1, 0)),
        percent(trend.above_best),
        step,
    )
