"""Recipes: YAML text -> a frozen `Recipe`, and back.

    recipe = load_recipe("watch-har", ["passes.train.epochs=2", "seed=3"])      # one that comes with edgepress
    recipe = load_recipe("my/recipe.yaml")
    text = recipe_yaml(recipe)                                                 # resolved: every value stands there

Reading it again gives the same recipe.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..compress.passes import PASSES
from ..runtime.errors import InputError, UsageError
from .recipe_models import recipe_json_schema
from .recipe_records import DATA_PREFIX, PassStep, Recipe
from .recipe_schema import recipe_of
from .recipe_yaml import Document, Place, read_document, read_scalar, write_document

__all__ = [
    "Recipe",
    "find_recipe",
    "load_recipe",
    "recipe_json_schema",
    "recipe_yaml",
    "shipped_recipes",
    "shipped_text",
]

_SUFFIXES = (".yaml", ".yml")


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with edgepress."""
    folder = resources.files("edgepress.tools.recipes")
    return tuple(
        sorted(f.name[: -len(".yaml")] for f in folder.iterdir() if f.name.endswith(".yaml"))
    )


def shipped_text(name: str) -> str:
    """The text of a shipped recipe, with its comments."""
    if name not in shipped_recipes():
        raise _unknown(name)
    return (resources.files("edgepress.tools.recipes") / f"{name}.yaml").read_text("utf-8")


def find_recipe(given: str | Path) -> tuple[bytes, str, Path | None]:
    """(content, name for messages, its folder) of a recipe file or of a shipped recipe's name.

    Raises:
        UsageError: no such file and no such recipe.
        InputError: the file cannot be read.
    """
    path = Path(given)
    is_name = path.name == str(given) and path.suffix not in _SUFFIXES
    if is_name and not path.is_file():
        return shipped_text(str(given)).encode(), f"{given} (shipped recipe)", None
    if not path.exists():
        raise UsageError("there is no such recipe file", where=str(path), hint=_listing())
    try:
        return path.read_bytes(), str(given), path.resolve().parent
    except OSError as error:
        raise InputError(f"cannot read the recipe: {error.strerror}", where=str(path)) from error


def load_recipe(given: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file or of a name, with `KEY=VALUE` overrides put in (`passes.train.epochs=2`).

    Raises:
        UsageError, InputError: with file, line and what to do; see `recipe_schema`, `recipe_yaml`, `recipe_checks`.
    """
    from .recipe_checks import check

    content, name, folder = find_recipe(given)
    document = read_document(content, name)
    for override in overrides:
        document = _override(document, override)
    recipe = recipe_of(document)
    recipe = _absolute(recipe, folder or Path.cwd())
    check(recipe, document)
    return recipe


def recipe_yaml(recipe: Recipe) -> str:
    """YAML text with every value of the recipe, defaults included."""
    return write_document(recipe_values(recipe))


def recipe_values(record: Any) -> Any:
    """Plain values of a recipe or of a part of it, as YAML has them."""
    if isinstance(record, PassStep):
        return {record.name: recipe_values(record.options)}
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: recipe_values(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, (tuple, list)):
        return [recipe_values(item) for item in record]
    if isinstance(record, dict):
        return {key: recipe_values(item) for key, item in record.items()}
    return record


# ------------------------------------------------------------------- names and paths


def _listing() -> str:
    return f"recipes that come with edgepress: {', '.join(shipped_recipes())}"


def _unknown(name: str) -> UsageError:
    near = difflib.get_close_matches(name, shipped_recipes(), 1, 0.4)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"there is no recipe {name!r}", hint=f"{meant}{_listing()}; or give a file")


def _absolute(recipe: Recipe, folder: Path) -> Recipe:
    """Paths relative to the recipe's folder become absolute; factories get that folder as module path."""
    changes: dict[str, Any] = {
        key: _path(getattr(recipe, key), folder)
        for key in ("weights", "calibration", "module_path")
        if getattr(recipe, key)
    }
    if recipe.model_kind == "onnx":
        changes["model"] = _path(recipe.model, folder)
    factories = recipe.model_kind == "factory" or ":" in (recipe.task or "")
    if factories and recipe.module_path is None:
        changes["module_path"] = str(folder)
    passes = tuple(
        PassStep(step.name, _teacher_path(step.options, folder)) for step in recipe.passes
    )
    return dataclasses.replace(recipe, passes=passes, **changes)


def _teacher_path(options: Any, folder: Path) -> Any:
    teacher = getattr(options, "teacher", None)
    if teacher is None or not teacher.weights:
        return options
    absolute = dataclasses.replace(teacher, weights=_path(teacher.weights, folder))
    return dataclasses.replace(options, teacher=absolute)


def _path(text: str, folder: Path) -> str:
    return (
        text if text.startswith(DATA_PREFIX) else str((folder / Path(text).expanduser()).absolute())
    )


# ------------------------------------------------------------------- overrides


def _override(document: Document, text: str) -> Document:
    """The document with one `KEY=VALUE` put in; the value is read as YAML."""
    origin = f"--set {text}"
    path, equals, value_text = text.partition("=")
    if not equals or not path.strip():
        raise UsageError(
            "an override is written KEY=VALUE", where=origin, hint="passes.train.epochs=2"
        )
    if not isinstance(document.values, dict):
        return document
    value = read_scalar(value_text, origin)
    place = _locate(document.values, path.strip().split("."), origin)
    values = _put(document.values, place, value)
    lines = {known: line for known, line in document.lines.items() if known[: len(place)] != place}
    return Document(document.name, values, {**lines, place: origin})


def _locate(values: dict[str, Any], parts: list[str], origin: str) -> Place:
    """Where the key stands. The pass is named, or counted from 0 where it appears twice."""
    if parts[0] != "passes" or len(parts) == 1:
        return tuple(parts)
    items = values.get("passes") or []
    names = [next(iter(item), "") if isinstance(item, dict) else str(item) for item in items]
    if parts[1].isdigit() and int(parts[1]) < len(names):
        index = int(parts[1])
        rest = parts[2:] if parts[2:3] == [names[index]] else [names[index], *parts[2:]]
        return ("passes", index, *rest)
    count = names.count(parts[1])
    if count == 1:
        return ("passes", names.index(parts[1]), *parts[1:])
    seen = ", ".join(names) or "none"
    if count:
        hint = f"count it from 0: passes.{names.index(parts[1])}.{'.'.join(parts[2:])}"
        raise UsageError(f"the recipe has {count} passes {parts[1]!r}", where=origin, hint=hint)
    hint = f"passes of this recipe: {seen}"
    if parts[1] in PASSES:
        hint += f"; add `- {parts[1]}: {{}}` to the recipe"
    raise UsageError(f"the recipe has no pass {parts[1]!r}", where=origin, hint=hint)


def _put(container: Any, place: Place, value: Any) -> Any:
    """A copy of `container` with `value` at `place`; missing mappings are made on the way."""
    if not place:
        return value
    key, rest = place[0], place[1:]
    if isinstance(container, list) and isinstance(key, int):
        copy = list(container)
        copy[key] = _put(copy[key], rest, value)
        return copy
    base = dict(container) if isinstance(container, dict) else {}
    base[str(key)] = _put(base.get(str(key)), rest, value)
    return base
