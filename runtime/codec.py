"""Frozen dataclasses to plain JSON values and back.

Field types may be: str, int, float, bool, None, Path, Enum, numpy-free nested dataclasses,
Tuple[X, ...], List[X], Dict[str, X], Optional[X], Any. Annotations must stay readable by
Python 3.9 (`Optional[X]`, not `X | None`) in records of this room.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, Type, TypeVar

from .errors import InputError

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Plain JSON value (dict, list, str, number, bool, None) of a record."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if hasattr(value, "item"):  # a numpy scalar
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def from_json(cls: Type[T], data: Any) -> T:
    """The record of class `cls` that `to_json` turned into `data`.

    Raises:
        InputError: a key is missing or unknown, or a value has the wrong type.
    """
    if not isinstance(data, dict):
        raise InputError(f"expected an object for {cls.__name__}, got {type(data).__name__}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise InputError(f"unknown key {unknown[0]!r} in {cls.__name__}")
    values: Dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _decode(hints[name], data[name], f"{cls.__name__}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"missing key {name!r} in {cls.__name__}")
    return cls(**values)


def _decode(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is typing.Union or origin is getattr(types, "UnionType", None):
        return _decode_union(args, value, where)
    if origin in (tuple, list):
        return _decode_sequence(origin, args, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"expected an object, got {value!r}", where=where)
        return {key: _decode(args[1], item, where) for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_json(hint, value)
    return _decode_scalar(hint, value, where)


def _decode_union(args: Any, value: Any, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    for hint in args:
        if hint is type(None):
            continue
        try:
            return _decode(hint, value, where)
        except InputError:
            continue
    raise InputError(f"{value!r} fits none of {args}", where=where)


def _decode_sequence(origin: Any, args: Any, value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise InputError(f"expected a list, got {value!r}", where=where)
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        if len(args) != len(value):
            raise InputError(f"expected {len(args)} values, got {len(value)}", where=where)
        return tuple(_decode(hint, item, where) for hint, item in zip(args, value))
    return origin(_decode(args[0], item, where) for item in value)


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError as error:
            raise InputError(str(error), where=where) from error
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    is_bool_for_number = isinstance(value, bool) and hint in (int, float)
    if isinstance(hint, type) and isinstance(value, hint) and not is_bool_for_number:
        return value
    raise InputError(f"expected {getattr(hint, '__name__', hint)}, got {value!r}", where=where)
