"""What a recipe refers to, found and hashed: model, weights, task, calibration inputs, engines.

`Inputs` looks things up once per run and lazily; nothing is trained or written here.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compress.task import Array, Split, Task
from ..runtime.engines import engines_for, find_engine, import_engine, installed_engines
from ..runtime.errors import InputError, MissingToolError, UsageError
from .digest import factory_sha256, file_sha256
from .recipe_records import DATA_PREFIX, Recipe

if TYPE_CHECKING:
    import torch

    from ..runtime.artifact import Normalisation

Sample = tuple[Array, ...]


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
        if self.task is not None:
            return tuple((1, *shape) for shape in self.task.input_shapes)
        if self.recipe.calibration is not None:
            return tuple(tuple(value.shape) for value in self.calibration_file[0])
        if self.recipe.model_kind == "zoo":
            from ..compress.zoo import entry

            return tuple((1, *shape) for shape in entry(self.recipe.model).input_shapes)
        raise UsageError(
            "the shapes of the model's inputs are unknown",
            where=self.recipe.model,
            hint="name a `task`, or give `calibration: inputs.npz`",
        )

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
            return self.calibration_file[:count]
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


def samples_of(split: Split, count: int | None = None) -> list[Sample]:
    """Samples of a split one by one, batch of 1."""
    total = len(split) if count is None else min(count, len(split))
    if total == 0:
        raise InputError(f"the split {split.name!r} is empty", hint="check the data folder")
    return [tuple(np.asarray(x[i : i + 1]) for x in split.inputs) for i in range(total)]


def as_fed(values: Array) -> Array:
    """Raw values as a hub takes them: pixels and the like become float32, indices (int32, int64) stay."""
    wide = values.dtype in (np.int32, np.int64, np.bool_)
    return np.asarray(values) if wide else np.asarray(values, np.float32)


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` of the items at equal distances, the first included; all if there are not more."""
    if not items:
        raise InputError("no inputs to prove anything on", hint="check the data folder")
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def read_samples(path: Path) -> list[Sample]:
    """Raw inputs of an .npz without pickles: one array per model input, in their order, samples first.

    Raises:
        InputError: damaged, empty, pickled, not numbers, NaN, or arrays of different length.
    """
    where, arrays = str(path), []
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [(name, archive[name]) for name in archive.files]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError, AttributeError) as error:
        raise InputError(
            f"not a readable .npz of inputs: {error}",
            where=where,
            hint="save it with numpy.savez(path, input=array)",
        ) from error
    if not arrays or not all(a.ndim and len(a) for _, a in arrays):
        raise InputError("the file holds no samples", where=where, hint="one array per input")
    for name, array in arrays:
        if array.dtype.kind not in "fiub":
            raise InputError(f"array {name!r} holds {array.dtype}, not numbers", where=where)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"array {name!r} holds NaN or infinity", where=where)
    lengths = {name: len(array) for name, array in arrays}
    if len(set(lengths.values())) > 1:
        raise InputError(f"arrays of different length: {lengths}", where=where)
    count = len(arrays[0][1])
    plain = [a.astype(np.float32) if a.dtype.kind == "f" else a for _, a in arrays]
    return [tuple(a[i : i + 1] for a in plain) for i in range(count)]


def usable_engines(
    wanted: Sequence[str], formats: Sequence[str], every_format: bool = False
) -> dict[str, str]:
    """Engine -> version: those asked for, or every installed one, that run one of `formats`.

    `every_format`: a format that none of the wanted engines runs gets its installed ones all the same, so that no
    file is left unproven because a list forgot it.

    Raises:
        MissingToolError: an engine asked for is not usable here, or a format has none at all.
    """
    for name in wanted:
        import_engine(find_engine(name))
    versions = {k: v for k, v in installed_engines().items() if not v.startswith("not usable")}
    chosen: dict[str, str] = {}
    for fmt in formats:
        able = engines_for(fmt)
        named = [name for name in wanted if name in able]
        names = (
            named if named or (wanted and not every_format) else [n for n in able if n in versions]
        )
        if not names and not (wanted and not every_format):
            raise MissingToolError(
                f"no engine for {fmt} files is installed",
                hint="edgepress doctor lists what is missing",
            )
        chosen.update({name: versions[name] for name in names})
    return chosen


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
