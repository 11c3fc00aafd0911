"""MODEL and its options on the command line -> a recipe, found and checked, with its model and inputs.

    source = open_source("resnet20", weights=Path("resnet20.npz"), task="cifar10")
    model = source.torch_model()
    samples = source.samples("test", 64)

MODEL is a name of the zoo, "package.module:factory", or an ONNX file. Verbs share the lookup of recipes
(tools/inputs.py) this way, so that `edgepress export` and a recipe cannot differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..compress.factory import is_factory
from ..runtime.errors import InputError, UsageError
from .inputs import Inputs
from .recipe_records import PRECISIONS, Recipe
from .samples import Sample

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class ModelSource:
    """A model with its weights and data, found but not yet loaded."""

    recipe: Recipe
    data: Path | None = None
    allow_user_code: bool = True

    @property
    def inputs(self) -> Inputs:
        """The lookup of everything the recipe names."""
        return Inputs(self.recipe, self.data, self.allow_user_code)

    @property
    def label(self) -> str:
        """Short name for files and tables."""
        return self.recipe.name

    def changed(self, **fields: Any) -> ModelSource:
        """The same with other values in the recipe (passes, export, ...)."""
        return replace(self, recipe=replace(self.recipe, **fields))

    def torch_model(self) -> Any:
        """The torch module with its weights, in evaluation mode.

        Raises:
            UsageError: the model is an ONNX file.
            InputError: the weights are damaged or do not fit.
        """
        import torch

        if self.recipe.model_kind == "onnx":
            raise UsageError("this needs a torch model, not an ONNX file", where=self.recipe.model)
        torch.set_num_threads(self.recipe.threads)
        inputs = self.inputs
        return inputs.build(inputs.path(self.recipe.weights) if self.recipe.weights else None)

    def samples(self, split: str, count: int) -> list[Sample]:
        """Raw samples of batch 1 spread over a split of the task, or over the file of inputs."""
        return self.inputs.proof_samples(split, count)


def open_source(
    model: str,
    *,
    weights: Path | None = None,
    task: str | None = None,
    inputs_file: Path | None = None,
    normalisation: str = "auto",
    data: Path | None = None,
    seed: int = 0,
    threads: int = 1,
    no_user_code: bool = False,
    random_weights: bool = False,
    weights_saw: str = "",
    input_shapes: tuple[tuple[int, ...], ...] = (),
) -> ModelSource:
    """Look a model up and check what can be checked without loading it.

    Raises:
        UsageError: unknown name (the nearest is named), options that exclude each other, a network of the zoo without
            weights unless random ones are asked for.
        InputError: a file that is not there.
    """
    user_code = ":" in model or ":" in (task or "")
    recipe = Recipe(
        name=_label(model),
        model=model,
        weights=None if weights is None else str(weights.absolute()),
        weights_saw=tuple(part.strip() for part in weights_saw.split(",") if part.strip()),
        input_shapes=input_shapes,
        task=task,
        calibration=None if inputs_file is None else str(inputs_file.absolute()),
        normalisation=normalisation,
        module_path=str(Path.cwd()) if user_code else None,
        seed=seed,
        threads=threads,
    )
    _check_model(recipe, random_weights)
    for text, what in ((recipe.weights, "weights"), (recipe.calibration, "inputs")):
        if text is not None:
            _need_file(Path(text), what)
    if recipe.model_kind == "onnx":
        recipe = replace(recipe, model=str(Path(model).absolute()))
    return ModelSource(recipe, data, not no_user_code)


def with_name(source: ModelSource, name: str | None) -> ModelSource:
    """The same under another name for its files."""
    if name is None:
        return source
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot stand in a file name",
            where="--name",
            hint="use letters, digits, dot, dash and underscore",
        )
    return source.changed(name=name)


def user_code_of(recipe: Recipe) -> tuple[str, ...]:
    """Factories that a recipe names: importing them runs the user's code."""
    teachers = [getattr(step.options, "teacher", None) for step in recipe.passes]
    named = [recipe.model, recipe.task or "", *(t.model for t in teachers if t is not None)]
    return tuple(dict.fromkeys(name for name in named if is_factory(name)))


def start_facts(recipe: Recipe) -> frozenset[str]:
    """What is true of the model before any pass (compress/passes.py)."""
    from ..compress.passes import FACTS_OF_ONNX, FACTS_OF_TORCH

    return FACTS_OF_ONNX if recipe.model_kind == "onnx" else FACTS_OF_TORCH


def _label(model: str) -> str:
    """The model's name as it may stand in file names, without the precision that our own files end in."""
    text = model.partition(":")[2] if ":" in model else Path(model).name.removesuffix(".onnx")
    name, _, precision = text.rpartition(".")
    text = name if name and precision in PRECISIONS else text
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-") or "model"


def _check_model(recipe: Recipe, random_weights: bool) -> None:
    if recipe.model_kind == "onnx":
        _need_file(Path(recipe.model), "model")
        if recipe.weights:
            raise UsageError("an ONNX file holds its weights", hint="leave --weights out")
    elif recipe.model_kind == "zoo":
        _check_zoo(recipe.model)
        if recipe.weights is None and not random_weights:
            raise UsageError(
                f"{recipe.model} is a network of the zoo, which comes without trained weights",
                hint="give --weights FILE, or --random-weights for an untrained one",
            )


def _check_zoo(name: str) -> None:
    from ..compress.zoo import entry

    try:
        entry(name)
    except UsageError as error:
        if Path(name).exists():
            hint = (
                "a model is a zoo name, package.module:factory, or a file whose name ends in .onnx"
            )
            raise InputError("this is no ONNX model", where=name, hint=hint) from error
        raise


def _need_file(path: Path, what: str) -> None:
    if path.is_dir():
        raise InputError(f"{what}: this is a folder", where=str(path), hint="give a file")
    if not path.exists():
        raise InputError(f"{what}: there is no such file", where=str(path), hint="check the path")
