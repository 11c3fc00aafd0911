"""Read flatbuffer tables by their declared fields, every offset checked.

A flatbuffer is a tree of tables; a table starts with a signed offset to its vtable, which holds
the position of each field or 0 where the field has its default
(https://flatbuffers.dev/internals/). A hostile file can point anywhere or make one large table the
child of thousands of parents, so each access is checked against the file and the total amount read
is bounded by a multiple of the file's size.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, List, Tuple

import numpy as np

from .errors import InputError
from .tflite_tables import ENUMS, TABLES, UNIONS, WIDE_ENUMS, Field

_SCALARS: Dict[str, struct.Struct] = {
    "bool": struct.Struct("<B"),
    "byte": struct.Struct("<b"),
    "union": struct.Struct("<B"),
    "int": struct.Struct("<i"),
    "uint": struct.Struct("<I"),
    "long": struct.Struct("<q"),
    "ulong": struct.Struct("<Q"),
    "float": struct.Struct("<f"),
}
_ELEMENTS = {"bool": "u1", "ubyte": "u1", "int": "<i4", "long": "<i8", "float": "<f4"}
_U16 = struct.Struct("<H")
_I8 = struct.Struct("<b")
_REREAD_LIMIT = 16  # honest files share a few strings and vectors, never most of their content


class Flatbuffer:
    """A file's bytes, the name for messages and what is left of the reading budget."""

    def __init__(self, data: bytes, where: str = "") -> None:
        self.data = data
        self.where = where
        self.end = 0  # behind the last byte any table led to
        self._budget = _REREAD_LIMIT * len(data) + 4096

    def fail(self, what: str) -> InputError:
        """An `InputError` about this file, to be raised by the caller."""
        return InputError(
            f"damaged TFLite file: {what}",
            where=self.where or None,
            hint="the file may be truncated; export or download it again",
        )

    def spend(self, n_bytes: int) -> None:
        """Account for `n_bytes` read; raise once the file is read over and over."""
        self._budget -= n_bytes
        if self._budget < 0:
            raise self.fail("its tables refer to each other without end")

    def number(self, kind: struct.Struct, position: int) -> Any:
        """The number of type `kind` at `position`."""
        if position < 0 or position + kind.size > len(self.data):
            raise self.fail(f"an offset leads to byte {position} of {len(self.data)}")
        return kind.unpack_from(self.data, position)[0]

    def follow(self, position: int) -> int:
        """Target of the unsigned 32-bit offset stored at `position`."""
        return position + int(self.number(_SCALARS["uint"], position))

    def vector(self, position: int, item_bytes: int) -> Tuple[int, int]:
        """(first item, count) of the vector at `position`, checked to lie inside the file."""
        count = int(self.number(_SCALARS["uint"], position))
        start = position + 4
        if start + count * item_bytes > len(self.data):
            raise self.fail(f"a list of {count} items at byte {position} ends behind the file")
        self.end = max(self.end, start + count * item_bytes)
        self.spend(4 + count * item_bytes)
        return start, count

    def array(self, position: int, element: str) -> np.ndarray[Any, Any]:
        """Read-only array view of the vector of numbers at `position`."""
        dtype = np.dtype(_ELEMENTS[element])
        start, count = self.vector(position, dtype.itemsize)
        return np.frombuffer(self.data, dtype=dtype, count=count, offset=start)

    def text(self, position: int) -> str:
        """The string at `position`; bytes that are not UTF-8 are replaced."""
        start, count = self.vector(position, 1)
        return bytes(self.data[start : start + count]).decode("utf-8", errors="replace")


class Table:
    """One table of a flatbuffer. `get` gives fields by the names of `TABLES[name]`."""

    def __init__(self, source: Flatbuffer, position: int, name: str) -> None:
        self._source = source
        self._position = position
        self.name = name
        self._fields = {field.name: field for field in TABLES[name]}
        vtable = position - int(source.number(_SCALARS["int"], position))
        self._slots = self._read_vtable(vtable)
        source.spend(4 + 2 * len(self._slots))

    def _read_vtable(self, vtable: int) -> List[int]:
        n_bytes = int(self._source.number(_U16, vtable))
        if n_bytes < 4 or n_bytes % 2 or vtable + n_bytes > len(self._source.data):
            raise self._source.fail(f"the field list of a {self.name} at byte {vtable} is broken")
        return list(struct.unpack_from(f"<{(n_bytes - 4) // 2}H", self._source.data, vtable + 4))

    def _place(self, slot: int) -> int:
        """Absolute position of a field, 0 if it is not stored."""
        offset = self._slots[slot] if slot < len(self._slots) else 0
        return self._position + offset if offset else 0

    def place(self, name: str) -> int:
        """Absolute position of field `name` in the file, 0 if it is not stored."""
        return self._place(self._fields[name].slot)

    def get(self, name: str) -> Any:
        """Value of field `name`: a number, text, array, `Table`, list of `Table`, or its default.

        Vectors not stored are empty; tables and strings not stored are None.
        """
        field = self._fields[name]
        place = self._place(field.slot)
        if field.type == "table":
            return self._union(field, place)
        if field.type.startswith("["):
            return self._vector(field.type[1:-1], place)
        if not place:
            return field.default
        if field.type == "string":
            return self._source.text(self._source.follow(place))
        if field.type in TABLES:
            return Table(self._source, self._source.follow(place), field.type)
        return self._scalar(field, place)

    def _scalar(self, field: Field, place: int) -> Any:
        if field.type not in ENUMS:
            value = self._source.number(_SCALARS[field.type], place)
            return bool(value) if field.type == "bool" else value
        kind = _SCALARS["int"] if field.type in WIDE_ENUMS else _I8
        code, members = int(self._source.number(kind, place)), ENUMS[field.type]
        if not 0 <= code < len(members):
            raise self._source.fail(f"{self.name}.{field.name} has the unknown value {code}")
        return members[code]

    def _vector(self, element: str, place: int) -> Any:
        if element in _ELEMENTS:
            if not place:
                return np.zeros(0, dtype=_ELEMENTS[element])
            return self._source.array(self._source.follow(place), element)
        if not place:
            return []
        start, count = self._source.vector(self._source.follow(place), 4)
        places = range(start, start + 4 * count, 4)
        return [Table(self._source, self._source.follow(item), element) for item in places]

    def union_name(self, name: str) -> str:
        """Name of the table that union field `name` points to, "NONE" if it points nowhere."""
        selected, members = int(self.get(f"{name}_type")), UNIONS[f"{self.name}.{name}"]
        return members[selected] if selected < len(members) else f"member {selected}"

    def _union(self, field: Field, place: int) -> Any:
        table = self.union_name(field.name)
        if not place or table not in TABLES:
            return None
        return Table(self._source, self._source.follow(place), table)

    def as_dict(self) -> Dict[str, Any]:
        """All declared fields by name, arrays as tuples; the options of an operator."""
        values = {field.name: self.get(field.name) for field in TABLES[self.name]}
        return {
            name: tuple(value.tolist()) if isinstance(value, np.ndarray) else value
            for name, value in values.items()
        }


def root(source: Flatbuffer, name: str) -> Table:
    """The table at the root of the file."""
    return Table(source, source.follow(0), name)
