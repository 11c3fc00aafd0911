"""Encodes the tables declared in `runtime/tflite_tables.py` with the flatbuffers builder; knows no model.

A flatbuffer is written from its leaves to its root: `string`, `vector`, `vector_of_tables` and `table`
give offsets that a later `table` points to. Equal strings and vectors are stored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError
from ...runtime.tflite_tables import ENUMS, FILE_IDENTIFIER, TABLES, WIDE_ENUMS

_SCALARS = {
    "bool": (1, "PrependBoolSlot"),
    "byte": (1, "PrependInt8Slot"),
    "union": (1, "PrependUint8Slot"),
    "int": (4, "PrependInt32Slot"),
    "uint": (4, "PrependUint32Slot"),
    "float": (4, "PrependFloat32Slot"),
    "long": (8, "PrependInt64Slot"),
    "ulong": (8, "PrependUint64Slot"),
}
"""Schema type -> (bytes, method of the builder that stores it in a slot)."""

_VECTORS = {"[int]": "<i4", "[long]": "<i8", "[float]": "<f4", "[bool]": "u1", "[ubyte]": "u1"}
"""Schema type of a vector of scalars -> numpy type of its elements."""

_SMALL_VECTOR_BYTES = 4096
"""Vectors up to this size are looked up to be stored once; constants are shared by the caller."""


@dataclass(frozen=True)
class _Slot:
    """How one field is stored; `members` are the values of an enumeration by name."""

    name: str
    index: int
    kind: str
    store: str
    default: Any
    members: Mapping[str, int] | None


@cache
def _slots(table: str) -> tuple[int, tuple[_Slot, ...]]:
    """Number of vtable slots of a table, and its fields from wide to narrow (least padding)."""
    if table not in TABLES:
        raise InputError(f"TFLite's table {table} is not declared, so it cannot be written")
    fields, sized = TABLES[table], []
    for field in fields:
        members, default = None, field.default
        if field.type in ENUMS:
            members = {name: value for value, name in enumerate(ENUMS[field.type])}
            default = members[str(field.default)]
            width, store = _SCALARS["int" if field.type in WIDE_ENUMS else "byte"]
        elif field.type in _SCALARS:
            width, store = _SCALARS[field.type]
        else:  # a string, vector or table: an offset
            width, store, default = 4, "PrependUOffsetTRelativeSlot", 0
        sized.append((width, _Slot(field.name, field.slot, field.type, store, default, members)))
    sized.sort(key=lambda item: (-item[0], item[1].index))
    return max((field.slot + 1 for field in fields), default=0), tuple(slot for _, slot in sized)


class TableWriter:
    """Writes declared tables; `size_hint` is about the number of bytes to come."""

    def __init__(self, size_hint: int = 4096):
        self._builder = flatbuffers.Builder(size_hint)
        self._stored: dict[tuple[str, bytes], int] = {}

    def string(self, text: str) -> int:
        """Offset of a UTF-8 string."""
        key = ("string", text.encode("utf-8"))
        if key not in self._stored:
            self._stored[key] = self._builder.CreateString(text)
        return self._stored[key]

    def vector(self, kind: str, values: Sequence[Any] | NDArray[Any] | bytes) -> int:
        """Offset of a vector of scalars; `kind` is its schema type, "[int]" for instance."""
        if isinstance(values, bytes):
            values = np.frombuffer(values, np.uint8)
        array = np.asarray(values, _VECTORS[kind])
        if array.nbytes > _SMALL_VECTOR_BYTES:
            return int(self._builder.CreateNumpyVector(array))
        key = (kind, array.tobytes())
        if key not in self._stored:
            self._stored[key] = self._builder.CreateNumpyVector(array)
        return self._stored[key]

    def aligned_bytes(self, data: bytes, alignment: int) -> int:
        """Offset of a vector of bytes whose first byte lies at a multiple of `alignment` in the file."""
        builder = self._builder
        builder.StartVector(1, len(data), alignment)
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        return int(builder.EndVector())

    def vector_of_tables(self, offsets: Sequence[int]) -> int:
        """Offset of a vector of tables."""
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def table(self, kind: str, /, **values: Any) -> int:
        """Offset of a table. Scalars are given by value, enumerations by name, all else by its offset."""
        count, slots = _slots(kind)
        builder = self._builder
        builder.StartObject(count)
        for slot in slots:
            if slot.name in values:
                value = values.pop(slot.name)
                if slot.members is not None:
                    value = slot.members[value]
                getattr(builder, slot.store)(slot.index, value, slot.default)
        if values:
            raise InputError(f"TFLite's {kind} has no field {sorted(values)[0]!r}")
        return int(builder.EndObject())

    def options(self, name: str, values: Mapping[str, Any]) -> int:
        """Offset of an operator's options table; here strings and vectors are given by value too."""
        kinds = {slot.name: slot for slot in _slots(name)[1]}
        encoded = {}
        for field, value in values.items():
            slot = kinds.get(field)
            if slot is None:
                raise InputError(f"TFLite's {name} has no field {field!r}")
            if slot.members is not None and value not in slot.members:
                raise InputError(f"{value!r} is no {slot.kind}", where=f"{name}.{field}")
            if slot.kind in _VECTORS:
                value = self.vector(slot.kind, value)
            elif slot.kind == "string":
                value = self.string(value)
            encoded[field] = value
        return self.table(name, **encoded)

    def finish(self, root: int) -> bytes:
        """The whole file, with TFLite's identifier, its root being table `root`."""
        self._builder.Finish(root, FILE_IDENTIFIER)
        return bytes(self._builder.Output())
