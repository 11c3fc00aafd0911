"""What a recipe refers to, found and hashed: model, weights, task, calibration inputs.

`Inputs` looks things up once per run and lazily; nothing is trained or written here.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compress.task import Task
from ..runtime.errors import InputError, UsageError
from .digest import factory_sha256, file_sha256
from .recipe_records import DATA_PREFIX, Recipe
from .samples import Sample, as_fed, read_samples, samples_of, spread

if TYPE_CHECKING:
    import torch

    from ..runtime.artifact import Normalisation


class Inputs:
    """Everything a recipe names.

    Args:
        recipe: resolved.
        data: folder of the data sets; None for `EDGEPRESS_DATA`.
        allow_user_code: False refuses factories, which run the user's code.
    """

    def __init__(self, recipe: Recipe, data: Path | None = None, allow_user_code: bool = True):
        self.recipe = recipe
        self.data = data
        self.allow_user_code = allow_user_code
        self.module_path = Path(recipe.module_path) if recipe.module_path else None

    # --------------------------------------------------------------- files

    def path(self, text: str) -> Path:
        """The file a recipe means; "data:..." lies below the data folder.

        Raises:
            UsageError: "data:" without a data folder, or leaving it.
        """
        if not text.startswith(DATA_PREFIX):
            return Path(text)
        from ..compress.datasets import DATA_VARIABLE, data_root

        root, relative = data_root(self.data), text.removeprefix(DATA_PREFIX)
        if root is None:
            raise UsageError(
                f"{text} lies below the data folder, and none is known",
                hint=f"pass --data FOLDER or set {DATA_VARIABLE}",
            )
        if Path(relative).is_absolute() or ".." in Path(relative).parts:
            raise UsageError(f"{text} leaves the data folder", where=str(root))
        return root / relative

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """sha256 of every input that is not part of edgepress."""
        recipe, found = self.recipe, {}
        if recipe.model_kind == "onnx":
            found["model"] = self._onnx_sha256(self.path(recipe.model))
        elif recipe.model_kind == "factory":
            found["model"] = factory_sha256(recipe.model, self.module_path)
        if recipe.weights:
            found["weights"] = file_sha256(self.path(recipe.weights), "weights")
        if recipe.calibration:
            found["calibration"] = file_sha256(self.path(recipe.calibration), "calibration inputs")
        if recipe.task is not None:
            found["task"] = self.task_sha256
        for step in recipe.passes:
            found.update(self._teacher_hashes(step.name, getattr(step.options, "teacher", None)))
        return found

    def _onnx_sha256(self, path: Path) -> str:
        """The file and, where it keeps weights beside itself, every file of that folder it names."""
        total = hashlib.sha256(file_sha256(path, "model").encode())
        for name in _external_files(path):
            total.update(f"{name}\0{file_sha256(path.parent / name, 'external weights')}".encode())
        return total.hexdigest()

    def _teacher_hashes(self, step: str, teacher: Any) -> dict[str, str]:
        found = {}
        if teacher is not None and ":" in teacher.model:
            found[f"{step}.teacher"] = factory_sha256(teacher.model, self.module_path)
        if teacher is not None and teacher.weights:
            found[f"{step}.teacher.weights"] = file_sha256(
                self.path(teacher.weights), "teacher's weights"
            )
        return found

    # --------------------------------------------------------------- task

    @functools.cached_property
    def task(self) -> Task | None:
        """The recipe's task; its normalisation is taken off where the recipe says `normalisation: none`."""
        name = self.recipe.task
        if name is None:
            return None
        if ":" not in name:
            from ..compress import datasets

            task = datasets.task(name, self.data)
        else:
            task = self._made(name)
            if not isinstance(task, Task):
                raise InputError(
                    f"the factory gives {type(task).__name__}, not a Task",
                    where=name,
                    hint="return edgepress.Task(...)",
                )
        for split in self.recipe.weights_saw:
            if split not in task.loaders:
                raise UsageError(
                    f"weights_saw names {split!r}, which task {task.name} does not have",
                    hint=f"it has {', '.join(task.loaders)}",
                )
        task = dataclasses.replace(task, seen=self.recipe.weights_saw)
        if self.recipe.normalisation == "none":
            return dataclasses.replace(task, normalisation=None)
        return task

    def need_task(self, why: str) -> Task:
        """The task; without one `why` is impossible."""
        if self.task is None:
            raise UsageError(f"{why} needs a task", hint="name one under `task` in the recipe")
        return self.task

    @functools.cached_property
    def task_sha256(self) -> str:
        """Hash of the task's data, and of the user's code that makes it."""
        task = self.need_task("the key of a step")
        total = hashlib.sha256(task.name.encode())
        total.update((task.data_sha256 or _splits_sha256(task)).encode())
        total.update(repr(task.seen).encode())
        if ":" in (self.recipe.task or ""):
            total.update(factory_sha256(str(self.recipe.task), self.module_path).encode())
        return total.hexdigest()

    def _made(self, spec: str, **options: object) -> Any:
        """What a user's factory gives."""
        from ..compress.factory import call_factory, load_factory

        factory = load_factory(spec, self.module_path, self.allow_user_code)
        return call_factory(factory, spec, **options)

    # --------------------------------------------------------------- model

    def build(self, weights: Path | None = None) -> torch.nn.Module:
        """The recipe's torch model: initial values drawn from the seed, then the weights at `weights`."""
        return self.build_as(self.recipe.model, dict(self.recipe.model_options), weights)

    def build_as(
        self, model: str, options: dict[str, Any], weights: Path | None
    ) -> torch.nn.Module:
        """A torch model by zoo name or factory, on the CPU in evaluation mode; torch's own randomness is left alone."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            built = self._fresh(model, options)
        if not isinstance(built, torch.nn.Module):
            raise InputError(
                f"the factory gives {type(built).__name__}, not a torch module", where=model
            )
        if weights is not None:
            from ..compress.weights import load_weights

            load_weights(built, weights)
        return built.eval()

    def _fresh(self, model: str, options: dict[str, Any]) -> Any:
        """A network with random weights: as many outputs and channels as the task has, where options do not say."""
        if ":" in model:
            return self._made(model, **options)
        from ..compress.zoo import build, build_for

        return (
            build(model, **options) if self.task is None else build_for(model, self.task, **options)
        )

    @functools.cached_property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Static shapes of a torch model's inputs, batch of 1 first."""
        if self.known_shapes:
            return self.known_shapes
        if self.recipe.model_kind == "zoo":
            from ..compress.zoo import entry

            return tuple((1, *shape) for shape in entry(self.recipe.model).input_shapes)
        raise UsageError(
            "the shapes of the model's inputs are unknown",
            where=self.recipe.model,
            hint="name a `task`, give `calibration: inputs.npz`, or `input_shapes: [[1, 3, 32, 32]]`",
        )

    @functools.cached_property
    def known_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes that the recipe, its task or its calibration file give, batch of 1 first; empty if none does.

        Raises:
            UsageError: the recipe says other shapes than its data has.
        """
        said, found = self.recipe.input_shapes, tuple[tuple[int, ...], ...]()
        if self.task is not None:
            found = tuple((1, *shape) for shape in self.task.input_shapes)
        elif self.recipe.calibration is not None:
            found = tuple(tuple(value.shape) for value in self.calibration_file[0])
        if said and found and said != found:
            raise UsageError(
                f"input shapes {shapes_text(said)} are asked for, the data has {shapes_text(found)}",
                where=self.recipe.model,
                hint="leave the shapes out: the data tells them",
            )
        return said or found

    def normalisation(self, hub: Any = None) -> Normalisation | None:
        """What is to be folded into the exported files, if anything."""
        if self.task is None or self.recipe.normalisation == "none":
            return None
        if hub is not None and self.recipe.normalisation == "auto":
            from ..export.onnx.metadata import read_metadata

            own = read_metadata(hub).normalisation
            if own is not None and own.folded:
                return None
        return self.task.normalisation

    # --------------------------------------------------------------- samples

    def calibration_samples(self, count: int) -> list[Sample]:
        """Up to `count` raw samples, batch of 1, for observers: the file if given, else the calibration split.

        Pixels stay uint8: the planner then knows their range.
        """
        if self.recipe.calibration is not None:
            return spread(self.calibration_file, count)
        return samples_of(self.need_task("calibration").load("calibration"), count)

    def proof_samples(self, split: str, count: int) -> list[Sample]:
        """`count` raw samples spread over a split (labels unused), or over the calibration file without a task."""
        if self.task is None:
            samples = spread(self.calibration_file, count)
            return [tuple(as_fed(value) for value in sample) for sample in samples]
        loaded = self.task.load(split)
        chosen = spread(range(len(loaded)), count)
        return [tuple(as_fed(x[i : i + 1]) for x in loaded.inputs) for i in chosen]

    @functools.cached_property
    def calibration_file(self) -> list[Sample]:
        """All samples of the recipe's calibration file."""
        if self.recipe.calibration is None:
            raise UsageError("there are no real inputs", hint="name a `task` or give `calibration`")
        return read_samples(self.path(self.recipe.calibration))


def shapes_text(shapes: Iterable[Iterable[int]]) -> str:
    """ "1x3x32x32 and 1x5"."""
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def _splits_sha256(task: Task) -> str:
    """Hash of the arrays of all splits, for a task that does not say what its data is."""
    total = hashlib.sha256()
    for name in sorted(task.loaders):
        split = task.load(name)
        for array in (*split.inputs, split.targets):
            plain = np.ascontiguousarray(array)
            total.update(f"{name}{plain.dtype}{plain.shape}".encode())
            total.update(plain.tobytes())
    return total.hexdigest()


def _external_files(path: Path) -> list[str]:
    """Names of files in which an ONNX model keeps weights outside itself."""
    import onnx

    from ..export.onnx.intake import parse
    from ..runtime.artifact import read_model_bytes

    model = parse(read_model_bytes(path), str(path))
    names = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted(name for name in names if (path.parent / name).is_file())
