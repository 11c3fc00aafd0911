"""What training and quantization-aware training share: the loop's settings from a recipe, teachers, the history."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ...runtime.codec import to_json
from ..recipe import recipe_values
from ..run_folder import write_json
from .hub import weights_of

if TYPE_CHECKING:
    import torch

    from ...compress.passes import LoopOptions
    from ...compress.training import TrainResult
    from ..inputs import Inputs
    from .base import Workplace

CHECKPOINT = "checkpoint.pt"


def training_facts(options: LoopOptions, inputs: Inputs) -> dict[str, Any]:
    """What the key of a step that trains covers: the model, what it starts from, the data, every option."""
    recipe = inputs.recipe
    return {
        "model": recipe.model,
        "model_options": recipe.model_options,
        "normalisation": recipe.normalisation,
        "inputs": dict(inputs.hashes),
        "options": recipe_values(options),
    }


def train_config(options: LoopOptions, place: Workplace) -> Any:
    """The training loop's settings: what the recipe says under the pass, and its seed, threads and device."""
    from ...compress.training import TrainConfig

    names = {f.name for f in dataclasses.fields(TrainConfig)}
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    recipe = place.recipe
    settings = {name: value for name, value in given.items() if name in names}
    device = "cuda" if recipe.device == "cuda" else "cpu"
    return TrainConfig(**settings, seed=recipe.seed, threads=recipe.threads, device=device)


def teacher_of(options: LoopOptions, place: Workplace) -> torch.nn.Module | None:
    """The teacher, if the pass distills: the model named, else the recipe's own before the pass."""
    teacher, inputs = options.teacher, place.inputs
    if teacher is None:
        return None
    if not teacher.model:
        return inputs.build(weights_of(place))
    weights = inputs.path(teacher.weights) if teacher.weights else None
    return inputs.build_as(teacher.model, {}, weights)


def save_history(result: TrainResult, place: Workplace) -> None:
    """history.json: one row per epoch. Times are left out: a resumed run has others."""
    rows = {"kept_epoch": result.kept_epoch, "epochs": to_json(result.epochs)}
    write_json(place.own("history.json"), {"schema": "edgepress-history/1", **rows})


def training_notes(result: TrainResult) -> tuple[str, ...]:
    """Which epoch's weights stayed, whether the training was taken up again, and what the loop has to say."""
    kept = f"weights of epoch {result.kept_epoch} of {len(result.epochs)}"
    resumed = (f"taken up again at step {result.resumed_step} of {result.steps}",)
    return (kept, *(resumed if result.resumed_step else ()), *result.notes)


def remove_checkpoint(place: Workplace) -> None:
    """The step is finished: nobody needs its checkpoint any more."""
    from ...compress.training_checkpoint import remove

    remove(place.here / CHECKPOINT)
