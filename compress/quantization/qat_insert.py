"""Put activation quantizers and the input normalisation into a rewritten graph.

Every class of tensors (qat_tie) gets one brevitas `QuantIdentity`, called behind each of its tensors. A layer
takes the quantized tensor, because its int32 bias needs the scale; everything else takes the real values.

Imports torch and brevitas at the top: import this module inside functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from ...runtime.artifact import Normalisation
from ...runtime.errors import InputError
from .qat_fold import depthwise
from .qat_layers import QUANTIZED
from .qat_model import RawInput
from .qat_quantizers import activation_quantizer, dequantize, set_activation
from .qat_rewrite import add_constant
from .qat_tie import TensorClass, tie
from .qparams import QParams

NORMALISATION_NAME = "input_normalisation"


def insert_quantizers(traced: fx.GraphModule) -> tuple[list[TensorClass], tuple[str, ...]]:
    """Give every tensor class its quantizer; gives the classes in the order of `traced.quantizers`."""
    tying = tie(traced.graph)
    traced.quantizers = nn.Module()
    for group in tying.classes:
        quantizer = activation_quantizer()
        if group.fixed is not None:
            zero_point = group.fixed.zero_point[0] + 128
            set_activation(
                quantizer, QParams(group.fixed.scale, (zero_point,), signed=False), False
            )
        name = group.nodes[0].name
        traced.quantizers.add_module(name, quantizer)
        for node in group.nodes:
            _quantize(traced, node, name)
    traced.graph.lint()
    traced.recompile()
    return tying.classes, tuple(tying.requantized)


def _quantize(traced: fx.GraphModule, node: fx.Node, name: str) -> None:
    users = list(node.users)
    with traced.graph.inserting_after(node):
        quantized = traced.graph.call_module(f"quantizers.{name}", (node,))
    quantized.meta = {"kind": "Quantizer", "shape": node.meta["shape"]}
    values = None
    for user in users:
        if user.op == "call_module" and isinstance(
            traced.get_submodule(str(user.target)), QUANTIZED
        ):
            user.replace_input_with(node, quantized)
            continue
        if values is None:
            with traced.graph.inserting_after(quantized):
                values = traced.graph.call_function(dequantize, (quantized,))
            values.meta = {"kind": "Values", "shape": node.meta["shape"]}
        user.replace_input_with(node, values)


def insert_normalisation(
    traced: fx.GraphModule, normalisation: Normalisation, as_float: bool
) -> None:
    """Start the graph at raw values: raw input, then `input_normalisation`, then what was there.

    A depthwise 1x1 convolution with weight 1/std and bias -mean/std, whose int8 weights are exact (every
    channel is +-127 times its own scale); for 2-D inputs a multiplication and an addition. Neither is trained.
    With `as_float` the quantized part begins behind it.
    """
    placeholder = next(n for n in traced.graph.nodes if n.op == "placeholder")
    shape = placeholder.meta["shape"]
    channels = len(normalisation.mean)
    if shape[normalisation.axis] != channels:
        raise InputError(
            f"the normalisation has {channels} channels, axis {normalisation.axis} of the input {shape} does not",
            hint="give mean and std of the model's first input",
        )
    users = list(placeholder.users)
    traced.add_submodule("raw_input", RawInput(normalisation, len(shape)))
    with traced.graph.inserting_after(placeholder):
        raw = traced.graph.call_module("raw_input", (placeholder,))
    raw.meta = {"kind": "Input", "shape": shape, "tail": True}
    placeholder.meta["kind"] = "Placeholder"
    last = _normalise(traced, raw, normalisation, as_float)
    for user in users:
        user.replace_input_with(placeholder, last)
    traced.recompile()


def _normalise(
    traced: fx.GraphModule, raw: fx.Node, normalisation: Normalisation, as_float: bool
) -> fx.Node:
    std = torch.tensor(normalisation.std, dtype=torch.float64)
    gain = 1 / std
    shift = -torch.tensor(normalisation.mean, dtype=torch.float64) * gain
    if len(raw.meta["shape"]) in (3, 4) and normalisation.axis == 1:
        steps = [_depthwise_step(traced, raw, gain.float(), shift.float())]
    else:
        broadcast = [1] * len(raw.meta["shape"])
        broadcast[normalisation.axis] = -1
        scaled = _constant_step(traced, raw, "Mul", torch.mul, gain.float().reshape(broadcast))
        moved = _constant_step(traced, scaled, "Add", torch.add, shift.float().reshape(broadcast))
        steps = [scaled, moved]
    if as_float:  # no quantizer before the last step
        for node in (raw, *steps):
            for constant in node.all_input_nodes:
                constant.meta["kind"] = "Placeholder"
            node.meta["kind"] = "Placeholder"
        steps[-1].meta["kind"] = "Input"
    return steps[-1]


def _depthwise_step(
    traced: fx.GraphModule, raw: fx.Node, gain: torch.Tensor, shift: torch.Tensor
) -> fx.Node:
    layer = depthwise(gain, shift, len(raw.meta["shape"]) - 2).requires_grad_(False)
    traced.add_submodule(NORMALISATION_NAME, layer)
    with traced.graph.inserting_after(raw):
        step = traced.graph.call_module(NORMALISATION_NAME, (raw,))
    step.meta = {"kind": "Conv", "shape": raw.meta["shape"], "tail": True}
    return step


def _constant_step(
    traced: fx.GraphModule, x: fx.Node, kind: str, function: Any, value: torch.Tensor
) -> fx.Node:
    constant = add_constant(traced, x.next, value)
    with traced.graph.inserting_after(constant):
        step = traced.graph.call_function(function, (x, constant))
    step.meta = {"kind": kind, "shape": x.meta["shape"], "tail": True}
    return step
