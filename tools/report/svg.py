"""Charts as inline SVG: a scatter and horizontal bars. Colours are the page's CSS classes, so both themes work.

Pure functions of their points; every text goes through `html.escape`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 22, 48
Scale = Callable[[float], float]
"""A value -> its place on the page."""


@dataclass(frozen=True)
class Point:
    """A mark: `group` picks its colour (CSS class gN), `square` its form; `callout` is written beside it."""

    x: float
    y: float
    label: str
    group: int
    square: bool = False
    callout: str = ""


@dataclass(frozen=True)
class Bar:
    """A bar from zero; `text` stands behind it and holds value, unit and evidence."""

    label: str
    value: float
    text: str
    group: int


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten) that cover low to high."""
    if not high > low:
        high = low + 1
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def scatter(points: Sequence[Point], x_name: str, y_name: str, title: str) -> str:
    """Marks; x starts at zero, y shows the range of the points and says so by its numbers."""
    if not points:
        return ""
    ys = [p.y for p in points]
    pad = max((max(ys) - min(ys)) * 0.25, abs(max(ys)) * 0.002, 1e-9)
    x_ticks = ticks(0, max(p.x for p in points) * 1.05)
    y_ticks = ticks(min(ys) - pad, max(ys) + pad)
    x = _scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT)
    y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = _axes(x_ticks, y_ticks, x, y, x_name, y_name)
    for point in points:
        parts += _mark(point, x(point.x), y(point.y))
    return _svg(parts, HEIGHT, title)


def _mark(point: Point, x: float, y: float) -> list[str]:
    tip = f"<title>{escape(point.label)}</title>"
    look = f'class="dot g{point.group}"'
    if point.square:
        place = f'x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" rx="2"'
        form = f"<rect {look} {place}>{tip}</rect>"
    else:
        form = f'<circle {look} cx="{x:.1f}" cy="{y:.1f}" r="7">{tip}</circle>'
    if not point.callout:
        return [form]
    right = x < WIDTH * 0.6
    at, anchor = (x + 4, "start") if right else (x - 4, "end")
    below = y + 26 < HEIGHT - BOTTOM
    text_y = y + 24 if below else y - 16
    words = f'<text class="callout" x="{at:.1f}" y="{text_y:.1f}" text-anchor="{anchor}">{escape(point.callout)}</text>'
    return [form, words]


def bars(rows: Sequence[Bar], title: str) -> str:
    """Horizontal bars, label above, text behind."""
    if not rows:
        return ""
    top = max((row.value for row in rows), default=0.0)
    room, step = WIDTH - 190, 44
    parts = []
    for index, row in enumerate(rows):
        y = 4 + index * step
        width = max(room * row.value / top, 2.0) if top > 0 else 2.0
        parts.append(f'<text class="mark" x="0" y="{y + 12}">{escape(row.label)}</text>')
        parts.append(
            f'<rect class="g{row.group}" x="0" y="{y + 18}" width="{width:.1f}" height="16" rx="3"/>'
        )
        parts.append(
            f'<text class="value" x="{width + 8:.1f}" y="{y + 31}">{escape(row.text)}</text>'
        )
    return _svg(parts, 4 + step * len(rows), title)


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _axes(
    x_ticks: Sequence[float], y_ticks: Sequence[float], x: Scale, y: Scale, x_name: str, y_name: str
) -> list[str]:
    parts = []
    for tick in x_ticks:
        at = x(tick)
        parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{tick:g}</text>'
        )
    for tick in y_ticks:
        at = y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="axis" x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(f'<text class="axis" x="{LEFT - 44}" y="{TOP - 8}">{escape(y_name)}</text>')
    return parts


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    inner = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{inner}</svg>"
    )
