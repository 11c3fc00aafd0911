"""Charts as inline SVG: a scatter and horizontal bars. Colours are the page's CSS classes, so both themes work.

Pure functions of their points; every text goes through `html.escape`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 36, 48
LETTER = 7.4
"""Width of a letter of a callout, on the safe side."""

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
    places = [(x(point.x), y(point.y)) for point in points]
    for point, (at, height) in zip(points, places, strict=True):
        parts.append(_mark(point, at, height))
    for point, place in zip(points, places, strict=True):
        if point.callout:
            parts.append(_callout(point.callout, place, places))
    return _svg(parts, HEIGHT, title)


def _mark(point: Point, x: float, y: float) -> str:
    tip, look = f"<title>{escape(point.label)}</title>", f'class="dot g{point.group}"'
    if point.square:
        place = f'x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" rx="2"'
        return f"<rect {look} {place}>{tip}</rect>"
    return f'<circle {look} cx="{x:.1f}" cy="{y:.1f}" r="7">{tip}</circle>'


def _callout(text: str, place: tuple[float, float], marks: Sequence[tuple[float, float]]) -> str:
    """Text beside a mark, where it covers no other mark and stays inside the axes."""
    width, (x, y) = len(text) * LETTER, place
    left = min(max(x - width / 2, LEFT + 4), WIDTH - RIGHT - width)
    spots = [(x + 13, y + 4), (x - 13 - width, y + 4), (left, y + 26), (left, y - 16)]
    spots += [(left, y + 46), (left, y - 36)]
    at, base = next((s for s in spots if _free(s, width, marks)), spots[2])
    return f'<text class="callout" x="{at:.1f}" y="{base:.1f}">{escape(text)}</text>'


def _free(spot: tuple[float, float], width: float, marks: Sequence[tuple[float, float]]) -> bool:
    at, base = spot
    inside = at >= LEFT and at + width <= WIDTH and TOP + 12 <= base <= HEIGHT - BOTTOM - 4
    covers = any(at - 8 < x < at + width + 8 and base - 20 < y < base + 12 for x, y in marks)
    return inside and not covers


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
    parts.append(f'<text class="axis" x="{LEFT - 44}" y="{TOP - 16}">{escape(y_name)}</text>')
    return parts


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    inner = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{inner}</svg>"
    )
