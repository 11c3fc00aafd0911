"""Read a FlexBuffers map of whole numbers, the form in which custom TFLite operators keep their options.

A FlexBuffer is read from its end: last byte the root's width, before it the root's type, before it the root. A type
byte is (kind << 2) | log2(width). A map is a vector of values with a vector of keys beside it; offsets count back
from where they stand (https://flatbuffers.dev/internals/, "FlexBuffers"). Every offset is checked.
"""

from __future__ import annotations

from typing import Dict

from .errors import InputError

_INT, _UINT, _INDIRECT_INT, _INDIRECT_UINT, _MAP, _BOOL = 1, 2, 6, 7, 9, 26
_SIGNED = (_INT, _INDIRECT_INT)
_INDIRECT = (_INDIRECT_INT, _INDIRECT_UINT)
_NUMBERS = (_INT, _UINT, _BOOL, *_INDIRECT)
_MAXIMUM_ENTRIES = 1000


def read_flexmap(data: bytes, where: str = "") -> Dict[str, int]:
    """Name -> number.

    Raises:
        InputError: the bytes are no such map, or an offset leads out of them.
    """
    return _Reader(data, where).root()


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where

    def fail(self, what: str) -> InputError:
        return InputError(
            f"damaged operator options: {what}",
            where=self.where or None,
            hint="the file may be truncated; export it again",
        )

    def number(self, position: int, width: int, signed: bool = False) -> int:
        if position < 0 or position + width > len(self.data):
            raise self.fail(f"an offset leads to byte {position} of {len(self.data)}")
        return int.from_bytes(self.data[position : position + width], "little", signed=signed)

    def root(self) -> Dict[str, int]:
        if len(self.data) < 3:
            raise self.fail(f"they have {len(self.data)} bytes")
        kind, width = self.data[-2], self.data[-1]
        place = len(self.data) - 2 - width
        if kind >> 2 != _MAP or width not in (1, 2, 4, 8):
            raise self.fail("they are no map")
        return self.map(place - self.number(place, width), 1 << (kind & 3))

    def map(self, start: int, width: int) -> Dict[str, int]:
        """The map whose first value lies at `start`; in front: keys' offset, keys' width, count."""
        count = self.number(start - width, width)
        if count > _MAXIMUM_ENTRIES:
            raise self.fail(f"{count} entries")
        keys_place = start - 3 * width
        keys = keys_place - self.number(keys_place, width)
        keys_width = self.number(start - 2 * width, width)
        if keys_width not in (1, 2, 4, 8):
            raise self.fail(f"keys of {keys_width} bytes")
        found = {}
        for index in range(count):
            place = keys + index * keys_width
            name = self.text(place - self.number(place, keys_width))
            kind = self.number(start + count * width + index, 1)
            found[name] = self.value(start + index * width, width, kind, name)
        return found

    def text(self, position: int) -> str:
        end = self.data.find(b"\0", position) if position >= 0 else -1
        if end < 0:
            raise self.fail("a name has no end")
        return self.data[position:end].decode("utf-8", errors="replace")

    def value(self, place: int, width: int, kind: int, name: str) -> int:
        sort = kind >> 2
        if sort not in _NUMBERS:
            raise self.fail(f"{name} is no whole number")
        if sort in _INDIRECT:
            place, width = place - self.number(place, width), 1 << (kind & 3)
        return self.number(place, width, signed=sort in _SIGNED)
