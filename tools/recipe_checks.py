"""What a recipe must fulfil beyond its types: names that exist, passes in a possible order, files some pass makes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from ..compress.factory import is_factory
from ..compress.passes import FACTS_OF_ONNX, FACTS_OF_TORCH, PASSES, check_order
from ..runtime.engines import engines_for
from ..runtime.errors import UsageError
from .artifact_names import kinds
from .recipe_records import Recipe
from .recipe_yaml import Document, Place

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check(recipe: Recipe, document: Document) -> None:
    """Raise a `UsageError` with the line of the first thing that cannot be."""
    _check_name(recipe, document)
    _check_model(recipe, document)
    _check_task(recipe, document)
    _check_passes(recipe, document)
    _check_precisions(recipe, document)
    _check_budget(recipe, document)


def _fail(document: Document, place: Place, what: str, hint: str) -> UsageError:
    return UsageError(what, where=document.where(place), hint=hint)


def _check_name(recipe: Recipe, document: Document) -> None:
    if not _NAME.fullmatch(recipe.name):
        hint = "letters, digits, dot, dash and underscore, 100 at most; it stands in file names"
        raise _fail(document, ("name",), f"{recipe.name!r} is no name for files", hint)


def _check_model(recipe: Recipe, document: Document) -> None:
    kind = recipe.model_kind
    if kind in ("zoo", "factory"):
        _model(document, ("model",), recipe.model)
    elif recipe.weights or recipe.model_options:
        key = "weights" if recipe.weights else "model_options"
        hint = f"remove {key!r}: an ONNX file holds its weights and takes no options"
        raise _fail(document, (key,), f"{key!r} does not go with an ONNX file", hint)

    for index, shape in enumerate(recipe.input_shapes):
        if len(shape) < 1 or shape[0] != 1 or min(shape) < 1:
            hint = "write whole numbers from 1 on, the batch of 1 first: [1, 3, 32, 32]"
            raise _fail(
                document, ("input_shapes", index), f"{list(shape)} is no shape of one sample", hint
            )


def _model(document: Document, place: Place, model: str) -> None:
    """A zoo network or a factory."""
    if ":" in model:
        _factory(document, place, model)
        return
    from ..compress.zoo import names

    _known(document, place, "model", model, names(), "package.module:factory or an ONNX file")


def _check_task(recipe: Recipe, document: Document) -> None:
    if recipe.task is None:
        if recipe.weights_saw:
            hint = "name the task whose splits these are"
            raise _fail(document, ("weights_saw",), "weights_saw needs a task", hint)
        return
    if ":" in recipe.task:
        _factory(document, ("task",), recipe.task)
        return
    from ..compress.datasets import names

    _known(document, ("task",), "task", recipe.task, names(), "package.module:factory")


def _factory(document: Document, place: Place, text: str) -> None:
    if not is_factory(text):
        hint = "write package.module:function, such as my_nets:small"
        raise _fail(document, place, f"{text!r} names no factory", hint)


def _known(
    document: Document, place: Place, kind: str, word: str, known: Sequence[str], other: str
) -> None:
    if word in known:
        return
    near = difflib.get_close_matches(word, known, 1, 0.5)
    meant = f"did you mean {near[0]!r}? " if near else ""
    hint = f"{meant}known: {', '.join(known)}; or give {other}"
    raise _fail(document, place, f"unknown {kind} {word!r}", hint)


def _check_passes(recipe: Recipe, document: Document) -> None:
    names = [step.name for step in recipe.passes]
    start = FACTS_OF_ONNX if recipe.model_kind == "onnx" else FACTS_OF_TORCH
    for count in range(1, len(names) + 1):
        check_order(names[:count], start, document.where(("passes", count - 1)))
    for index, step in enumerate(recipe.passes):
        place: Place = ("passes", index, step.name)
        if PASSES[step.name].needs_labels and recipe.task is None:
            hint = "name a data set or package.module:factory under `task`"
            raise _fail(document, place, f"pass {step.name!r} needs a task", hint)
        teacher = getattr(step.options, "teacher", None)
        if step.name == "train" and teacher is not None and not teacher.model:
            hint = "name the teacher's model, a zoo name or package.module:factory"
            raise _fail(document, (*place, "teacher"), "distillation needs a teacher", hint)
        if teacher is not None and teacher.model:
            _model(document, (*place, "teacher", "model"), teacher.model)
        if getattr(step.options, "warmup_epochs", 0) >= getattr(step.options, "epochs", 1):
            hint = "lower warmup_epochs or raise epochs"
            raise _fail(
                document, (*place, "warmup_epochs"), "the warm-up is the whole training", hint
            )
    if "quantize" in names and recipe.task is None and recipe.calibration is None:
        place = ("passes", names.index("quantize"))
        hint = "name a `task`, or give raw inputs as `calibration: inputs.npz`"
        raise _fail(document, place, "pass 'quantize' needs calibration data", hint)


def _check_precisions(recipe: Recipe, document: Document) -> None:
    made = recipe.model_kind == "onnx" or {"quantize", "qat"} & {s.name for s in recipe.passes}
    if "int8" in recipe.export.precisions and not made:
        hint = "add `quantize` or `qat` to the passes, or remove int8 from export.precisions"
        raise _fail(
            document, ("export", "precisions"), "no pass makes the int8 model to export", hint
        )
    one_bit = recipe.model_kind == "onnx" or "binarize" in {s.name for s in recipe.passes}
    if "lce" in recipe.export.binary and not one_bit:
        hint = "add `binarize` to the passes, or remove lce"
        raise _fail(document, ("export", "binary"), "no pass makes one-bit layers", hint)
    for key in ("formats", "precisions", "binary"):
        values = getattr(recipe.export, key)
        if not values or len(set(values)) != len(values):
            raise _fail(
                document,
                ("export", key),
                f"export.{key} is empty or repeats itself",
                "name each once",
            )
    for section in ("evaluate", "profile"):
        _check_engines(recipe, document, section)
    if recipe.verify is not None and recipe.task is None and recipe.calibration is None:
        hint = "name a `task`, give `calibration: inputs.npz`, or set `verify: null`"
        raise _fail(document, ("verify",), "verify needs real inputs", hint)


def _check_engines(recipe: Recipe, document: Document, section: str) -> None:
    """A list of engines must have one that runs something of what is written."""
    engines = getattr(getattr(recipe, section), "engines", ())
    able = {name for kind in kinds(recipe.export) for name in engines_for(kind)}
    if engines and not able & set(engines):
        hint = f"engines for {', '.join(recipe.export.formats)}: {', '.join(sorted(able))}"
        raise _fail(document, (section, "engines"), "none of these engines runs a file", hint)


def _check_budget(recipe: Recipe, document: Document) -> None:
    budget = recipe.budget
    for key in ("accuracy", "accuracy_drop"):
        if getattr(budget, key) is None:
            continue
        if recipe.task is None or recipe.evaluate is None:
            hint = "name a `task` and keep `evaluate`, or remove the limit"
            raise _fail(document, ("budget", key), f"nothing measures budget.{key}", hint)
    if budget.latency_ms is not None and recipe.profile is None:
        hint = "keep `profile`, or remove the limit"
        raise _fail(document, ("budget", "latency_ms"), "nothing measures budget.latency_ms", hint)
