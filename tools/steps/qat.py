"""Quantization-aware training: float weights in, an int8 hub out with the very numbers that were trained."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...compress.passes import QatOptions
from ...compress.receipt import Receipt
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
from .receipts import Side, comparing_receipt
from .train import score_torch

if TYPE_CHECKING:
    from ...compress.quantization.qat_model import QatModel
    from ...compress.task import Task
    from ..inputs import Inputs

CALIBRATION_BATCH = 32


class QatStep(Step):
    """Float weights + training data -> int8.onnx, and the trained weights with their quantizers."""

    name: ClassVar[str] = "qat"
    uses_torch: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("weights", "float_hub")
    gives: ClassVar[Mapping[str, str]] = {"int8_hub": "int8.onnx"}

    def __init__(self, options: QatOptions):
        self.options = options

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """The model, what it starts from, the data, every option."""
        return {**training_facts(self.options, inputs), "io": inputs.recipe.export.io}

    def title(self) -> str:
        """One line for plans."""
        return f"train with quantizers for {self.options.epochs} epochs"

    def work(self, place: Workplace) -> Receipt:
        """Prepare, calibrate, train with the common loop, export verbatim."""
        from ...compress.quantization import qat
        from ...compress.training import steps_of, train
        from ...compress.weights import save_weights
        from ...export.onnx import hub as hubs
        from ...export.onnx.brevitas_import import from_brevitas

        start = time.perf_counter()
        task = place.inputs.need_task("quantization-aware training")
        batches = self._batches(task, place)
        model = self._prepared(task, batches, place)
        before = score_torch(model, task)
        config = train_config(self.options, place)
        qat.schedule(model, steps_of(task, config))
        teacher = teacher_of(self.options, place)
        result = train(
            model,
            task,
            config,
            teacher=teacher,
            checkpoint=place.here / CHECKPOINT,
            progress=place.progress,
        )
        qat.finalize(model.to("cpu"), batches)
        save_weights(model, place.own("weights.npz"))
        save_history(result, place)
        quantized = from_brevitas(model)
        hubs.save(quantized, place.own("int8.onnx"))
        notes = (
            f"with quantizers, before training: {before.value:.4g} {before.unit} on {before.split}",
            *training_notes(result),
            *(f"requantized: {line}" for line in model.requantized),
        )
        floats = place.taken["float_hub"]
        sides = (Side(floats, floats), Side(place.here / "int8.onnx", quantized))
        return comparing_receipt(self.name, self.options, place, start, sides, notes=notes)

    def _batches(self, task: Task, place: Workplace) -> list[Any]:
        """Calibration inputs in batches, as the torch model takes them."""
        split = task.load("calibration").head(self.options.calibration_samples)
        return [
            tuple(
                task.normalise(x[i : i + CALIBRATION_BATCH])
                if n == 0
                else np.asarray(x[i : i + CALIBRATION_BATCH])
                for n, x in enumerate(split.inputs)
            )
            for i in range(0, len(split), CALIBRATION_BATCH)
        ]

    def _prepared(self, task: Task, batches: list[Any], place: Workplace) -> QatModel:
        import torch

        from ...compress.quantization import qat

        options = self.options
        config = qat.QatConfig(
            normalisation=place.inputs.normalisation(),
            io=place.recipe.export.io,
            input_range=options.input_range,
            observer=options.observer,
            percentile=options.percentile,
            learn_scales=options.learn_scales,
            freeze_fraction=options.freeze_fraction,
        )
        example = tuple(torch.as_tensor(x[:2]) for x in batches[0])
        model: QatModel = qat.prepare(place.inputs.build(weights_of(place)), example, config)
        qat.calibrate(model, batches)
        return model

    def tidy(self, place: Workplace) -> None:
        """Remove the checkpoint."""
        remove_checkpoint(place)
