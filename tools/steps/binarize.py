"""Binarization: float weights in, a network of one-bit layers out, as trained weights and as a packed graph."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.passes import BinarizeOptions
from ...compress.receipt import LayerRow, Receipt
from ...runtime.codec import to_json
from ..run_folder import write_json
from .base import Step, Workplace
from .hub import weights_of
from .loop import CHECKPOINT, teacher_of, train_config, training_facts, training_notes
from .receipts import Side, comparing_receipt
from .train import score_torch

if TYPE_CHECKING:
    import torch

    from ...compress.binarization.records import LayerChoice
    from ...compress.binarization.train import StageResult
    from ...compress.task import Task
    from ..inputs import Inputs


INTEGER_SAMPLES = 256
"""The integer form is compared with the simulation on so many validation samples."""


class BinarizeStep(Step):
    """Float weights + training data -> weights.npz of the binary network and binary.onnx."""

    name: ClassVar[str] = "binarize"
    uses_torch: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("weights", "float_hub")
    gives: ClassVar[Mapping[str, str]] = {"weights": "weights.npz", "binary_hub": "binary.onnx"}

    def __init__(self, options: BinarizeOptions):
        self.options = options

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """The model, what it starts from, the data, every option."""
        return training_facts(self.options, inputs)

    def title(self) -> str:
        """One line for plans."""
        return f"binarize with {self.options.operator}, {self.options.epochs} epochs"

    def work(self, place: Workplace) -> Receipt:
        """Replace layers, train in two stages, pack."""
        from ...compress.binarization.train import train_binary
        from ...compress.weights import save_weights
        from ...export.onnx import hub as hubs
        from ...export.onnx.binary_links import fold_links

        start = time.perf_counter()
        task = place.inputs.need_task("binarization")
        model = self._binary(place)
        before = score_torch(model, task)
        stages = train_binary(
            model,
            task,
            train_config(self.options, place),
            teacher=teacher_of(self.options, place),
            first_stage=self.options.first_stage,
            checkpoint=place.here / CHECKPOINT,
            progress=place.progress,
        )
        model.to("cpu").eval()
        save_weights(model, place.own("weights.npz"))
        _save_history(stages, place)
        packed = hubs.from_torch(
            model,
            place.inputs.input_shapes,
            normalisation=place.inputs.normalisation(),
            binary=True,
        )
        packed = fold_links(packed)
        hubs.save(packed, place.own("binary.onnx"))
        rows, integer_notes = _integer_form(model, task)
        notes = (
            share_note(packed),
            *integer_notes,
            f"binary, before training: {before.value:.4g} {before.unit} on {before.split}",
            *(f"{s.name}: {line}" for s in stages for line in training_notes(s.result)),
        )
        floats = place.taken["float_hub"]
        sides = (Side(floats, floats), Side(place.here / "binary.onnx", packed))
        return comparing_receipt(
            self.name, self.options, place, start, sides, layers=rows, notes=notes
        )

    def _binary(self, place: Workplace) -> torch.fx.GraphModule:
        return binary_model(self.options, place, weights_of(place))

    def tidy(self, place: Workplace) -> None:
        """Remove both stages' checkpoints."""
        from ...compress.training_checkpoint import remove

        for name in (CHECKPOINT, f"{CHECKPOINT}.first"):
            remove(place.here / name)


def binary_model(options: BinarizeOptions, place: Workplace, weights: Any) -> Any:
    """The recipe's network with its float `weights`, binarized as `options` say."""
    import torch

    from ...compress.binarization.binarize import binarize
    from ...compress.binarization.records import BinarizeConfig
    from ...compress.randomness import derive, preserved, seed_all

    names = {f.name for f in dataclasses.fields(BinarizeConfig)}
    config = BinarizeConfig(**{name: getattr(options, name) for name in names})
    with preserved():  # some operators draw their first scales
        seed_all(derive(place.recipe.seed, "binarize", 0))
        example = tuple(torch.zeros(2, *shape[1:]) for shape in place.inputs.input_shapes)
        return binarize(place.inputs.build(weights), example, config)


def rebuild(options: BinarizeOptions, place: Workplace) -> Any:
    """The trained binary network, from the weights that the step gave."""
    from ...compress.weights import load_weights

    model = binary_model(options, place, None)
    load_weights(model, weights_of(place))
    return model.eval()


def share_note(packed: Any) -> str:
    """What the stored numbers take, by width: computed from the graph, not the size of a file."""
    from ...devices.layers import layer_table
    from ...export.onnx.binary import shares

    table, widths = layer_table(packed), shares(packed)
    total = sum(size for _, size in widths.values())
    parts = [
        f"{count:,} of {bits} bit ({size:,} bytes, {100 * size / total:.1f} %)"
        for bits, (count, size) in widths.items()
    ]
    binary = f"{table.binary_macs:,} of {table.macs:,} MACs are binary"
    return f"stored numbers by width (computed): {', '.join(parts)}; {binary}"


def _integer_form(model: Any, task: Task) -> tuple[tuple[LayerRow, ...], tuple[str, ...]]:
    """Rows of all layers with their health, and what the integer form is and gives on validation inputs."""
    from ...compress.binarization.binarize import choices
    from ...compress.binarization.health import check_integer_form, layer_health, links_note
    from ...compress.evaluation import as_tensors

    name = "validation" if "validation" in task.loaders else "train"
    split = task.load(name).head(INTEGER_SAMPLES)
    folded, check = check_integer_form(model, as_tensors(task, split, slice(None)))
    health = layer_health(model, folded)
    rows = tuple(_layer_row(row, health.get(row.name, {})) for row in choices(model))
    same = (
        f"the integer form differs from the simulation in {check.different} of {check.outputs} outputs "
        f"({task.name}/{name}, {check.samples} samples)"
    )
    return rows, (links_note(folded), same)


def _layer_row(row: LayerChoice, health: dict[str, float]) -> LayerRow:
    note = "binary" if row.binary else f"real: {row.reason}"
    bits = 1.0 if row.binary else 32.0
    values = {"weights": float(row.weights), "weight_bits": bits, **health}
    return LayerRow(row.name, row.kind, values, note)


def _save_history(stages: tuple[StageResult, ...], place: Workplace) -> None:
    """history.json: one list of epochs per stage. Times are left out: a resumed run has others."""
    rows = [
        {"name": s.name, "kept_epoch": s.result.kept_epoch, "epochs": to_json(s.result.epochs)}
        for s in stages
    ]
    write_json(place.own("history.json"), {"schema": "edgepress-history/1", "stages": rows})
