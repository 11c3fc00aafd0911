"""The hub: the float model as one normalised ONNX graph, from torch or from the user's file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.receipt import Receipt
from ..inputs import shapes_text
from ..scoring import footprint, validation_scores
from .base import Step, Workplace

if TYPE_CHECKING:
    from ..inputs import Inputs


class HubStep(Step):
    """torch or ONNX -> hub.onnx, which takes raw values wherever a normalisation is to be folded."""

    name: ClassVar[str] = "hub"
    takes: ClassVar[tuple[str, ...]] = ("weights",)
    gives: ClassVar[Mapping[str, str]] = {"float_hub": "hub.onnx"}

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """The model, its weights, the shapes it gets, the normalisation that is folded."""
        recipe, hashes = inputs.recipe, inputs.hashes
        return {
            "model": recipe.model if recipe.model_kind != "onnx" else "",
            "options": recipe.model_options,
            "normalisation": recipe.normalisation,
            "input_shapes": recipe.input_shapes,
            "inputs": {k: hashes.get(k) for k in ("model", "weights", "task", "calibration")},
        }

    def title(self) -> str:
        """One line for plans."""
        return "bring the model into the one ONNX form that everything starts from"

    def work(self, place: Workplace) -> Receipt:
        """Export or take in, and prove that nothing changed."""
        from ...export.onnx import hub as hubs

        start = time.perf_counter()
        place.progress.stage("hub", 1)
        model = from_onnx(place) if place.recipe.model_kind == "onnx" else from_torch(place)
        path = hubs.save(model, place.own("hub.onnx"))
        place.progress.advance()
        scores = validation_scores(path, place.inputs.task, place.recipe.threads, place.progress)
        return Receipt(
            step=self.name,
            options={},
            seed=place.recipe.seed,
            seconds=time.perf_counter() - start,
            score_after=scores,
            after=footprint(model),
            notes=("the graph computes what the model computed; batch normalisations are folded",),
        )


def from_torch(place: Workplace) -> Any:
    """The hub of the recipe's torch model with the weights the run has so far."""
    from ...export.onnx import hub as hubs

    model = place.inputs.build(weights_of(place))
    return hubs.from_torch(
        model, place.inputs.input_shapes, normalisation=place.inputs.normalisation()
    )


def from_onnx(place: Workplace) -> Any:
    """The hub of the user's file, the task's normalisation folded in unless the file holds it."""
    from ...export.onnx import hub as hubs

    path, known = place.inputs.path(place.recipe.model), place.inputs.known_shapes
    hub = hubs.from_onnx(path, input_shapes=_free_inputs(path, known))
    check_shapes(hub, place.inputs)
    normalisation = place.inputs.normalisation(hub)
    return hub if normalisation is None else hubs.with_normalisation(hub, normalisation)


def _free_inputs(path: Path, known: tuple[tuple[int, ...], ...]) -> dict[str, tuple[int, ...]]:
    """Shapes for the inputs that the file leaves open behind the batch, and for which `known` has as many axes."""
    from ...export.onnx.intake import parse
    from ...runtime.artifact import read_model_bytes

    graph = parse(read_model_bytes(path), str(path)).graph if known else None
    if graph is None:
        return {}
    constants = {tensor.name for tensor in graph.initializer}
    fed = [value for value in graph.input if value.name not in constants]
    found = {}
    for value, shape in zip(fed, known, strict=False):
        dims = value.type.tensor_type.shape.dim
        if len(dims) == len(shape) and any(d.dim_value < 1 for d in dims[1:]):
            found[value.name] = shape
    return found


def check_shapes(hub: Any, inputs: Inputs) -> None:
    """What feeds the model must be what the file takes."""
    from ...runtime.errors import InputError

    found, wanted = input_shapes(hub), inputs.known_shapes
    if not wanted or found == wanted:
        return
    if inputs.task is not None:
        source = f"task {inputs.task.name}"
    else:
        source = "the calibration file" if inputs.recipe.calibration else "the shape asked for"
    raise InputError(
        f"the model takes {shapes_text(found)}, {source} gives {shapes_text(wanted)} (batch of 1)",
        where=inputs.recipe.model,
        hint="inputs have channels on axis 1, as in ONNX; choose data that fits the model",
    )


def input_shapes(hub: Any) -> tuple[tuple[int, ...], ...]:
    """Static shapes of a hub's inputs."""
    return tuple(
        tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in hub.graph.input
    )


def weights_of(place: Workplace) -> Any:
    """The newest weights: of the step before, else the recipe's file, else none."""
    if "weights" in place.taken:
        return place.taken["weights"]
    return place.inputs.path(place.recipe.weights) if place.recipe.weights else None


def is_quantized(hub: Any) -> bool:
    """True if the graph holds integers already."""
    return any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in hub.graph.node)
