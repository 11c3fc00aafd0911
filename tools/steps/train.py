"""Train the float model, from its weights or from scratch; a killed training goes on from its checkpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.passes import TrainOptions
from ...compress.receipt import Receipt, Score
from ..recipe import recipe_values
from ..scoring import VALIDATION_SAMPLES
from .base import Step, Workplace
from .hub import weights_of
from .loop import (
    CHECKPOINT,
    remove_checkpoint,
    save_history,
    teacher_of,
    train_config,
    training_facts,
    training_notes,
)

if TYPE_CHECKING:
    import torch

    from ...compress.task import Task
    from ..inputs import Inputs


class TrainStep(Step):
    """torch -> torch: weights.npz."""

    name: ClassVar[str] = "train"
    uses_torch: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("weights",)
    gives: ClassVar[Mapping[str, str]] = {"weights": "weights.npz"}

    def __init__(self, options: TrainOptions):
        self.options = options

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """The model, what it starts from, the data, every option."""
        return training_facts(self.options, inputs)

    def title(self) -> str:
        """One line for plans."""
        return f"train for {self.options.epochs} epochs"

    def work(self, place: Workplace) -> Receipt:
        """Train, keep the weights that the loop's policy chooses."""
        from ...compress.training import train
        from ...compress.weights import save_weights

        start = time.perf_counter()
        task = place.inputs.need_task("training")
        model = place.inputs.build(weights_of(place))
        before = score_torch(model, task)
        result = train(
            model,
            task,
            train_config(self.options, place),
            teacher=teacher_of(self.options, place),
            checkpoint=place.here / CHECKPOINT,
            progress=place.progress,
        )
        model.to("cpu").eval()
        save_weights(model, place.own("weights.npz"))
        save_history(result, place)
        return Receipt(
            step=self.name,
            options=recipe_values(self.options),
            seed=place.recipe.seed,
            seconds=time.perf_counter() - start,
            score_before=(before,),
            score_after=(score_torch(model, task),),
            notes=(
                "training changes values, not sizes: nothing became smaller or faster",
                *training_notes(result),
            ),
        )

    def tidy(self, place: Workplace) -> None:
        """Remove the checkpoint."""
        remove_checkpoint(place)


def score_torch(model: torch.nn.Module, task: Task) -> Score:
    """Score of a torch model on the validation samples that receipts look at."""
    from ...compress.training import evaluate

    return evaluate(model, task, "validation", limit=VALIDATION_SAMPLES)
