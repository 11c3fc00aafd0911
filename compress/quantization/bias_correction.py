"""Empirical bias correction (Nagel et al., Data-free quantization, ICCV 2019, section 4.2, with data).

Rounding weights and inputs shifts the mean of a layer's outputs. Layer by layer, in topological order,

    b <- b - (E[y_hat] - E[y])   per output channel,

where y_hat is computed behind the quantized, already corrected layers in front, before the layer's own output
is rounded, and y by the float model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..progress import NoProgress
from .calibrate import Array, Runner, Sample
from .choose import spread
from .graph import NodeView
from .plan import Draft
from .qparams import QParams
from .simulate import simulated

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..progress import Progress

LARGEST_SET = 128
"""Samples the means are taken over at most."""


def corrected_biases(
    draft: Draft, parameters: Sequence[QParams], progress: Progress | None = None
) -> dict[str, Array]:
    """Node name -> corrected float bias of every int8 layer that has one.

    Args:
        draft: the plan under way.
        parameters: of each class.
        progress: told about every layer.
    """
    progress = progress or NoProgress()
    samples = spread(draft.samples, LARGEST_SET)
    layers = [
        node
        for node in draft.split.int8.values()
        if draft.view.has_weight(node) and node.op != "MatMul" and node.input(2)
    ]
    wanted = _means(draft.hub, layers, samples)
    biases: dict[str, Array] = {}
    progress.stage("correct biases", len(layers))
    for layer in layers:
        plan = draft.plan(parameters, "", biases)
        model = simulated(draft.hub, draft.view, plan)
        name = _unrounded(draft, layer)
        found = _means(_named_output(model, layer, name, draft), [layer], samples, name)
        shift = found[layer.name] - wanted[layer.name]
        own = draft.view.constants[layer.input(2)]
        biases[layer.name] = (own - shift.reshape(own.shape)).astype(np.float32)
        progress.advance()
    return biases


def _unrounded(draft: Draft, layer: NodeView) -> str:
    """Name of the layer's output before rounding, in the simulated model."""
    name = layer.outputs[0]
    rounds = name in draft.view.outputs and name in draft.tying.of
    return f"{name}/unrounded" if rounds else name


def _named_output(model: ModelProto, layer: NodeView, name: str, draft: Draft) -> ModelProto:
    """The model with a type for the unrounded output, which has none of its own."""
    from onnx import TensorProto, helper

    if name != layer.outputs[0]:
        shape = draft.view.shape(layer.outputs[0])
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return model


def _means(
    model: ModelProto, layers: Sequence[NodeView], samples: Sequence[Sample], name: str = ""
) -> dict[str, Array]:
    """Node name -> mean of its output per channel (axis 1), over samples and positions; float64."""
    names = {layer.name: name or layer.outputs[0] for layer in layers}
    runner = Runner(model, list(names.values()))
    sums: dict[str, Array] = {}
    for values in runner.run_all(samples):
        for layer, tensor in names.items():
            array = values[tensor].astype(np.float64)
            axes = tuple(axis for axis in range(array.ndim) if axis != 1)
            sums[layer] = sums.get(layer, 0.0) + array.mean(axis=axes)
    return {layer: total / len(samples) for layer, total in sums.items()}
