"""Grouped convolutions as one operator.

    SPLIT along the channels, a CONV_2D of each part, CONCATENATION     -> EpGroupedConv

TFLite's grouped CONV_2D is not in every engine, so that the lowering writes the parts. One kernel reads and writes the
channels of a group where they lie. It takes the tensors of a CONV_2D, the weights of all groups behind each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from ..tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor

GROUPED_CONV = "EpGroupedConv"


def fuse_groups(model: LiteModel) -> LiteModel:
    """`model` with such operators, option "groups" among theirs; itself where it has none."""
    makers = {index: operator for operator in model.operators for index in operator.outputs}
    uses = Counter(index for operator in model.operators for index in operator.inputs)
    uses.update(model.outputs)
    made = replace(model, tensors=list(model.tensors))
    gone: set[int] = set()
    operators = []
    for operator in model.operators:
        convs = _convs(model, operator, makers, uses)
        if convs:
            split = makers[convs[0].inputs[0]]
            gone.update(split.outputs, *(conv.outputs for conv in convs))
            operator = _grouped(made, operator, convs, split.inputs[1])
        operators.append(operator)
    if not gone:
        return model
    return replace(made, operators=[op for op in operators if not gone.intersection(op.outputs)])


def _convs(
    model: LiteModel, join: LiteOperator, makers: dict[int, LiteOperator], uses: Counter[int]
) -> list[LiteOperator]:
    """The convolutions of the groups that `join` joins, in their order; none where it joins others."""
    if join.code != "CONCATENATION" or not _is_last_axis(model, join.outputs[0], join.options):
        return []
    convs = [makers[index] for index in join.inputs if index in makers]
    if len(convs) != len(join.inputs) or any(conv.code != "CONV_2D" for conv in convs):
        return []
    split = makers.get(convs[0].inputs[0])
    if split is None or split.code != "SPLIT" or not _splits_channels(model, split):
        return []
    if [conv.inputs[0] for conv in convs] != list(split.outputs):
        return []
    inner = (*split.outputs, *join.inputs)
    if any(uses[index] != 1 for index in inner) or not _are_alike(model, convs):
        return []
    source, result = model.tensors[split.inputs[1]], model.tensors[join.outputs[0]]
    same = all(model.tensors[n].quantization == source.quantization for n in split.outputs)
    same = same and all(model.tensors[n].quantization == result.quantization for n in join.inputs)
    return convs if same and source.data is None else []


def _is_last_axis(model: LiteModel, output: int, options: dict[str, object]) -> bool:
    plain = options.get("fused_activation_function", "NONE") == "NONE"
    rank = len(model.tensors[output].shape)
    return plain and rank == 4 and options.get("axis") in (3, -1)


def _splits_channels(model: LiteModel, split: LiteOperator) -> bool:
    axis = model.tensors[split.inputs[0]].data
    rank = len(model.tensors[split.inputs[1]].shape)
    return axis is not None and rank == 4 and int(axis.reshape(-1)[0]) in (3, -1)


def _are_alike(model: LiteModel, convs: list[LiteOperator]) -> bool:
    """True if they differ in constants only, and have a bias all or none."""
    weights = [model.tensors[conv.inputs[1]] for conv in convs]
    first, biased = weights[0], {len(conv.inputs) > 2 and conv.inputs[2] >= 0 for conv in convs}
    constant = all(w.data is not None and w.dtype == first.dtype for w in weights)
    constant = constant and all(
        index < 0 or model.tensors[index].data is not None
        for conv in convs
        for index in conv.inputs[2:]
    )
    quantized = {w.quantization is not None for w in weights}
    same = all(conv.options == convs[0].options for conv in convs)
    same = same and all(w.shape == first.shape for w in weights)
    return constant and same and len(biased) == len(quantized) == 1


def _grouped(
    model: LiteModel, join: LiteOperator, convs: list[LiteOperator], source: int
) -> LiteOperator:
    weights = _joined(model, [model.tensors[conv.inputs[1]] for conv in convs])
    inputs = [source, weights]
    if len(convs[0].inputs) > 2 and convs[0].inputs[2] >= 0:
        inputs.append(_joined(model, [model.tensors[conv.inputs[2]] for conv in convs]))
    options = {**convs[0].options, "groups": len(convs)}
    return LiteOperator(GROUPED_CONV, tuple(inputs), join.outputs, options, source=convs[0].source)


def _joined(model: LiteModel, parts: list[LiteTensor]) -> int:
    """A tensor of the parts' elements, and of their parameters, along the first axis."""
    data = np.concatenate([part.data for part in parts if part.data is not None])
    scales: list[float] = []
    zeros: list[int] = []
    for part in parts:
        held = part.quantization
        if held is not None:  # one for each slice, also where there is one for all
            scales += np.broadcast_to(held.scale, part.shape[:1]).tolist()
            zeros += np.broadcast_to(held.zero_point, part.shape[:1]).tolist()
    quantization = LiteQuantization(tuple(scales), tuple(zeros)) if scales else None
    first = parts[0]
    return model.add_tensor(LiteTensor(first.name, data.shape, first.dtype, data, quantization))
