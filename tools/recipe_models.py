"""pydantic models derived from the recipe's records: strict types, limits, units, no unknown keys.

`help`, limits and choices of a field come from its metadata. Sizes may be written "60KiB" or "1.5 MB", shares and
points "1.5%".
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from ..compress.passes import PASSES
from .recipe_records import PassStep, Recipe

if TYPE_CHECKING:
    from pydantic import BaseModel

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
UNITS |= {"k": 1 << 10, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_PERCENT = re.compile(r"([-+]?[0-9]+(?:\.[0-9]+)?)\s*%")


def parse_bytes(value: Any) -> Any:
    """60KiB -> 61440; numbers and what is no size pass through (the type check speaks then)."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[2].lower() not in UNITS:
        return value
    return round(float(match[1]) * UNITS[match[2].lower()])


def parse_percent(value: Any) -> Any:
    """1.5% -> 1.5; everything else passes through."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if match is None else float(match[1])


def model_of(record: Any) -> type[BaseModel]:
    """The strict pydantic model of a frozen dataclass."""
    return _model_of(record)


@functools.cache
def _model_of(record: Any) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model

    hints = typing.get_type_hints(record)
    fields: dict[str, Any] = {
        f.name: (_annotation(hints[f.name], f.metadata), _field(f))
        for f in dataclasses.fields(record)
    }
    config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        title=record.__name__,
        protected_namespaces=(),
    )
    return create_model(record.__name__, __config__=config, __doc__=record.__doc__, **fields)


def _field(f: dataclasses.Field[Any]) -> Any:
    from pydantic import Field

    info: dict[str, Any] = {"description": f.metadata.get("help")}
    if f.default_factory is not dataclasses.MISSING:
        return Field(default_factory=f.default_factory, **info)
    if f.metadata.get("required"):
        return Field(..., min_length=1, **info)
    return Field(default=_plain(f.default), **info)


def _plain(value: Any) -> Any:
    """A default as the model holds it: records as models, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return model_of(value.__class__)()
    return list(value) if isinstance(value, tuple) else value


def _annotation(hint: Any, metadata: Mapping[str, Any]) -> Any:
    """The field's type for pydantic: nested records as models, choices as literals, limits and units attached."""
    from pydantic import AfterValidator, BeforeValidator, Field

    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(arg for arg in args if arg is not type(None))
        return _annotation(inner, metadata) | None
    if hint == tuple[PassStep, ...]:
        return list[_any_pass()]  # type: ignore[misc]
    if origin is tuple and args[-1] is Ellipsis:
        return list[_annotation(args[0], metadata)]  # type: ignore[misc]
    if origin is tuple:
        return tuple.__class_getitem__(args)
    if dataclasses.is_dataclass(hint):
        return model_of(hint)
    if "choices" in metadata:
        return typing.Literal[metadata["choices"]]
    limits = {key: metadata[key] for key in ("ge", "gt", "le", "lt") if key in metadata}
    annotated: Any = Annotated[hint, Field(**limits)] if limits else hint
    parsers = {"bytes": parse_bytes, "percent": parse_percent}
    if metadata.get("kind") == "c_device":
        annotated = Annotated[annotated, AfterValidator(known_c_device)]
    elif "kind" in metadata:
        limits_of_kind = Field(ge=0, json_schema_extra={"type": ["number", "string"]})
        annotated = Annotated[annotated, limits_of_kind, BeforeValidator(parsers[metadata["kind"]])]
    return annotated


def known_c_device(value: str) -> str:
    """A device that C can be packed for; a pydantic `ValueError` with the ones there are for any other."""
    from pydantic_core import PydanticCustomError

    from ..export.c.pack import core_of
    from ..runtime.errors import UsageError

    try:
        core_of(value)
    except UsageError as error:
        said = {"said": f"{error.what}; {error.hint}"}
        raise PydanticCustomError("c_device", "{said}", said) from error
    return value


@functools.cache
def _any_pass() -> Any:
    """One mapping with a single key, the pass; the others are told apart by that key."""
    from pydantic import ConfigDict, Discriminator, Field, Tag, create_model

    items = []
    for name, spec in PASSES.items():
        config = ConfigDict(extra="forbid", strict=True, title=f"{name} pass")
        options: Any = (model_of(spec.options), Field(..., description=spec.purpose))
        item = create_model(f"{name}_item", __config__=config, **{name: options})
        items.append(Annotated[item, Tag(name)])
    return Annotated[typing.Union[tuple(items)], Discriminator(pass_name)]  # noqa: UP007


def pass_name(value: Any) -> str:
    """Name of a pass item: its only key."""
    if isinstance(value, dict):
        return next((str(key) for key in value), "")
    return next(iter(getattr(value, "model_fields_set", ())), "")


def recipe_json_schema() -> dict[str, Any]:
    """JSON Schema of a recipe."""
    schema = model_of(Recipe).model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
