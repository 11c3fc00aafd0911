"""Typed access to one mapping of a configuration: every complaint names file, line and what to do.

table = Table(document, ("gates", 0))
table.only("model", "device")
model = table.text("model")
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

from ...runtime.errors import UsageError
from ..recipe_yaml import Document, Place
from .metrics import nearest

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "kib": 1 << 10, "mib": 1 << 20}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")


class Table:
    """One mapping of the document."""

    def __init__(self, document: Document, place: Place, values: Any):
        self.document, self.place = document, place
        if not isinstance(values, dict):
            raise UsageError(
                f"expected a mapping of keys, got {_kind(values)}", where=document.where(place)
            )
        self.values: dict[str, Any] = values

    def where(self, key: str | int | None = None) -> str:
        """ "file:line" of a key, or of the mapping."""
        return self.document.where(self.place if key is None else (*self.place, key))

    def fault(self, key: str, what: str, hint: str | None = None) -> UsageError:
        """An error at a key."""
        return UsageError(f"{key}: {what}", where=self.where(key), hint=hint)

    def only(self, *known: str) -> None:
        """Refuse keys that are not known; the nearest one is named."""
        for key in self.values:
            if key not in known:
                raise UsageError(
                    f"unknown key {key!r}", where=self.where(key), hint=nearest(str(key), known)
                )

    def text(self, key: str, default: str | None = None) -> str | None:
        """A text, `default` if it is not there."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            raise self.fault(key, f"expected text, got {_kind(value)}", "quote it")
        return value

    def need(self, key: str) -> str:
        """A text that must be there."""
        value = self.text(key)
        if value is None:
            raise UsageError(f"{key!r} is missing", where=self.where())
        return value

    def choice(self, key: str, known: tuple[str, ...], default: str) -> str:
        """One of `known`."""
        value = self.text(key, default) or default
        if value not in known:
            raise self.fault(key, f"{value!r} is none of {', '.join(known)}", nearest(value, known))
        return value

    def count(self, key: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self.fault(key, f"expected a whole number from 1 to {most}, got {value!r}")
        return value

    def share(self, key: str, default: float | None) -> float | None:
        """A share written as "5%" or 0.05; a number from 1 on is a slip of the pen."""
        value = self.values.get(key)
        if value is None:
            return default
        match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
        if match:
            return float(match[1]) / 100
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1:
            return float(value)
        raise self.fault(key, f"expected a share such as 5% or 0.05, got {value!r}")

    def amount(self, key: str, unit: str) -> float | None:
        """A number of at least 0 in a metric's unit; bytes may be written "60KiB", "0.5 MB", percents "91.5%"."""
        value = self.values.get(key)
        if value is None:
            return None
        number = _amount(value, unit)
        if number is None or not 0 <= number < float("inf"):
            like = {"B": "61440 or 60KiB", "%": "91.5 or 91.5%"}.get(unit, "a number")
            raise self.fault(key, f"expected {like}, got {value!r}")
        return number

    def date(self, key: str) -> datetime.date:
        """A day written 2030-01-31."""
        value = self.values.get(key)
        if isinstance(value, datetime.date):
            return value
        try:
            return datetime.date.fromisoformat(str(value))
        except ValueError:
            raise self.fault(key, f"expected a date such as 2030-01-31, got {value!r}") from None

    def table(self, key: str) -> Table:
        """A mapping below; an absent or empty one has no keys."""
        return Table(self.document, (*self.place, key), self.values.get(key) or {})

    def items(self, key: str) -> list[Any]:
        """A list; an absent one is empty."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(key, f"expected a list, got {_kind(value)}")
        return value

    def tables(self, key: str) -> Iterator[Table]:
        """The mappings in a list."""
        for index, item in enumerate(self.items(key)):
            yield Table(self.document, (*self.place, key, index), item)


def _amount(value: Any, unit: str) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    size = _SIZE.fullmatch(value.strip())
    if unit == "B" and size and size[2].lower() in _SIZES:
        return float(round(float(size[1]) * _SIZES[size[2].lower()]))
    percent = _PERCENT.fullmatch(value.strip())
    if unit == "%" and percent:
        return float(percent[1])
    bare = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*" + re.escape(unit), value.strip())
    return float(bare[1]) if unit and bare else None


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value"}
    return "nothing" if value is None else names.get(type(value), f"the number {value}")
