"""The border of recipes: plain values of a YAML document -> a `Recipe`, or messages a person can use.

Faults are said with file and line, what was expected and the nearest valid key, up to five at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from ..compress.passes import PASSES
from ..runtime.errors import UsageError
from .recipe_models import model_of, pass_name
from .recipe_records import PassStep, Recipe
from .recipe_yaml import Document, Place

MESSAGES_AT_MOST = 5


def recipe_of(document: Document) -> Recipe:
    """The recipe in a document.

    Raises:
        UsageError: unknown keys (the nearest valid one is named), wrong types, values outside their limits;
            every fault with its line, up to five.
    """
    from pydantic import ValidationError

    if not isinstance(document.values, dict):
        raise UsageError(
            f"a recipe is a mapping of keys, this is {_kind(document.values)}",
            where=document.where(()),
            hint="start with `name:` and `model:`",
        )
    values = _spelled_out(document.values)
    try:
        model = model_of(Recipe).model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise _usage_error(error.errors(include_url=False), document, values) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"not a recipe: {error}", where=document.name) from error
    return typing.cast(Recipe, _record(Recipe, model))


def _spelled_out(values: dict[str, Any]) -> dict[str, Any]:
    """`- train` and `- train:` mean `- train: {}`; an empty section means its defaults."""
    passes = values.get("passes")
    full = dict(values)
    for section in ("export", "budget", "passes", "model_options"):
        if section in full and full[section] is None:
            del full[section]
    if isinstance(passes, list):
        full["passes"] = [_one_pass(item) for item in passes]
    return full


def _one_pass(item: Any) -> Any:
    if isinstance(item, str):
        return {item: {}}
    if isinstance(item, dict):
        return {key: {} if value is None else value for key, value in item.items()}
    return item


def _record(record: type[Any], model: Any) -> Any:
    """The frozen record of a validated model."""
    hints = typing.get_type_hints(record)
    values = {
        f.name: _value(hints[f.name], getattr(model, f.name)) for f in dataclasses.fields(record)
    }
    return record(**values)


def _value(hint: Any, value: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if origin in (types.UnionType, typing.Union):
        return _value(next(arg for arg in args if arg is not type(None)), value)
    if hint == tuple[PassStep, ...]:
        return tuple(_pass_step(item) for item in value)
    if origin is tuple:
        return tuple(_value(args[0], item) for item in value)
    if dataclasses.is_dataclass(hint):
        return _record(typing.cast(type[Any], hint), value)
    return value


def _pass_step(item: Any) -> PassStep:
    name = pass_name(item)
    return PassStep(name, _record(PASSES[name].options, getattr(item, name)))


# ------------------------------------------------------------------- messages


def _usage_error(
    errors: Sequence[Any], document: Document, values: Mapping[str, Any]
) -> UsageError:
    found = [_message(error, document, values) for error in errors]
    (what, where, hint), others = found[0], found[1:MESSAGES_AT_MOST]
    lines = [f"\n{place}: {text}" + (f" ({tip})" if tip else "") for text, place, tip in others]
    hidden = len(found) - MESSAGES_AT_MOST
    more = f"\n... and {hidden} more" if hidden > 0 else ""
    return UsageError(
        what + "".join(lines) + more, where=where, hint=hint or "edgepress recipes schema"
    )


def _message(
    error: Any, document: Document, values: Mapping[str, Any]
) -> tuple[str, str, str | None]:
    """(what, where, hint) of one pydantic error."""
    place = _place(error["loc"], values)
    where, key = document.where(place), place[-1] if place else ""
    owner = ".".join(str(part) for part in place[:-1])
    inside = f" in {owner}" if owner else ""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden" and len(place) == 3 and place[0] == "passes":
        return (
            f"{str(key)!r} stands in another pass",
            where,
            "one pass an item: `- name: {options}`",
        )
    if kind == "extra_forbidden":
        return f"unknown key {str(key)!r}{inside}", where, _nearest(str(key), _keys_at(place[:-1]))
    if kind == "missing":
        return f"the key {str(key)!r} is missing{inside}", where, None
    if kind == "union_tag_invalid" and not context.get("tag"):
        hint = f"passes: {', '.join(PASSES)}"
        return f"a pass is written `- name: {{options}}`, not {_shown(error['input'])}", where, hint
    if kind == "union_tag_invalid":
        name = context["tag"]
        return (
            f"unknown pass {name!r}",
            where,
            _nearest(name, PASSES) or f"passes: {', '.join(PASSES)}",
        )
    seen = error.get("input")
    path = f"{owner}.{key}" if owner else str(key)
    return f"{path}: {_expectation(kind, context, error['msg'])}, not {_shown(seen)}", where, None


def _place(location: Sequence[str | int], values: Mapping[str, Any]) -> Place:
    """pydantic's location without the tag it puts in for the kind of pass."""
    parts = list(location)
    if len(parts) > 2 and parts[0] == "passes" and isinstance(parts[1], int):
        del parts[2]
    return tuple(parts)


def _keys_at(place: Place) -> Sequence[str]:
    """Valid keys of the section at `place`."""
    if len(place) == 2 and place[0] == "passes":
        return list(PASSES)
    record: Any = Recipe
    for part in place:
        if part in PASSES and record is PassStep:
            record = PASSES[str(part)].options
        elif isinstance(part, str) and dataclasses.is_dataclass(record):
            hint = typing.get_type_hints(record).get(part)
            nested = [a for a in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(a)]
            record = nested[0] if nested else None
    return [f.name for f in dataclasses.fields(record)] if record else []


def _nearest(word: str, known: Any) -> str | None:
    near = difflib.get_close_matches(word, list(known), 1, 0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"valid keys: {', '.join(known)}" if known else None


_EXPECTED = {
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text",
    "string_too_short": "expected some text",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected a mapping of keys",
    "model_type": "expected a mapping of keys",
    "model_attributes_type": "expected a mapping of keys",
}


def _expectation(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind == "literal_error":
        return f"expected one of {context['expected']}"
    signs = {
        "greater_than": ("gt", "above"),
        "greater_than_equal": ("ge", "at least"),
        "less_than_equal": ("le", "at most"),
        "less_than": ("lt", "below"),
    }
    if kind in signs:
        key, words = signs[kind]
        return f"expected {words} {context[key]:g}"
    return _EXPECTED.get(kind) or message[:1].lower() + message[1:]


def _kind(value: Any) -> str:
    kinds = {dict: "a mapping of keys", list: "a list", str: "text", bool: "true or false"}
    return "nothing" if value is None else kinds.get(type(value), "a number")


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return _kind(value)
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
