"""Numbers and tables as text: the same everywhere a person reads them.

Floats have at most four significant digits, counts are exact with separators, bytes are in KiB (1024 bytes).
JSON never passes through here: it holds full precision.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

NOTHING = "-"


def number(value: float | int | None, unit: str = "") -> str:
    """A count in full ("12,505,748"), or a float with at most four significant digits ("0.8421")."""
    if value is None:
        return NOTHING
    tail = f" {unit}" if unit else ""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}{tail}"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}{tail}"
    return f"{_four_digits(float(value))}{tail}"


def _four_digits(value: float) -> str:
    if 0 < abs(value) < 1e-3:
        return f"{value:.3g}"
    exponent = math.floor(math.log10(abs(value))) if value else 0
    text = f"{round(value, 3 - exponent):,.{max(3 - exponent, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def kib(size: float | int | None) -> str:
    """Bytes in KiB ("96.19 KiB"), below one KiB in bytes."""
    if size is None:
        return NOTHING
    return f"{int(size)} B" if abs(size) < 1024 else f"{_four_digits(size / 1024)} KiB"


def value_with_unit(value: float | None, unit: str) -> str:
    """A metric as text: bytes in KiB, "%" and others behind the number."""
    if unit == "B":
        return kib(value)
    if value is not None and abs(value) == 1 and unit == "points":
        unit = "point"
    return number(value, unit)


def shape(dimensions: Sequence[int]) -> str:
    """ "1x32x32x3"; a free dimension is "?", a scalar "scalar"."""
    return "x".join("?" if n < 0 else str(n) for n in dimensions) or "scalar"


def shapes(many: Iterable[Sequence[int]]) -> str:
    """Several shapes, comma separated."""
    return ", ".join(shape(one) for one in many)


def seconds(value: float) -> str:
    """ "3.2 s", "2 min 05 s", "1 h 02 min"."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(count: int, word: str) -> str:
    """ "1 error", "2 errors"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """An aligned text table; columns whose index is in `right` are flush right."""
    body = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(headers), *body]) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        parts = (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(headers), rule, *(line(row) for row in body)])


def verdict(outcome: str) -> str:
    """PASS, FAIL, ... in colour where a person reads it on a terminal (click drops colours elsewhere)."""
    import click

    colours = {"pass": "green", "fail": "red", "error": "red", "warning": "yellow"}
    word = outcome.upper()
    if "NO_COLOR" in os.environ or outcome not in colours:
        return word
    return click.style(word, fg=colours[outcome], bold=True)
