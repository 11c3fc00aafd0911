"""Padding that a convolution does itself: kernels read what lies beyond an image as the zero point, on any side.

TFLite's convolutions pad as "SAME" says or not at all, so that other paddings are operators of their own there, with a
larger copy of the image. Here the copy is left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from ..tflite.ir import LiteModel, LiteOperator
from .fuse_groups import GROUPED_CONV

_KERNELS = {"CONV_2D", "DEPTHWISE_CONV_2D", GROUPED_CONV}


def fuse_pads(model: LiteModel) -> LiteModel:
    """The model with its padding in convolutions: options "pad_h" and "pad_w" in front, the rest from the shapes."""
    uses = Counter(index for operator in model.operators for index in operator.inputs)
    uses.update(model.outputs)
    pads = {
        operator.outputs[0]: operator
        for operator in model.operators
        if operator.code == "PAD" and uses[operator.outputs[0]] == 1
    }
    gone: set[int] = set()
    operators = []
    for operator in model.operators:
        pad = pads.get(operator.inputs[0]) if operator.code in _KERNELS else None
        before = None if pad is None else _in_front(model, operator, pad)
        if pad is not None and before is not None:
            gone.add(pad.outputs[0])
            options = {**operator.options, "pad_h": before[0], "pad_w": before[1]}
            inputs = (pad.inputs[0], *operator.inputs[1:])
            operator = replace(operator, inputs=inputs, options=options)
        operators.append(operator)
    kept = [operator for operator in operators if not gone.intersection(operator.outputs)]
    return replace(model, operators=kept)


def _in_front(
    model: LiteModel, operator: LiteOperator, pad: LiteOperator
) -> tuple[int, int] | None:
    """Rows and columns in front of the image; None where a kernel must not do this padding."""
    source, result = model.tensors[pad.inputs[0]], model.tensors[pad.outputs[0]]
    widths = model.tensors[pad.inputs[1]].data
    if operator.options.get("padding") != "VALID" or widths is None or len(source.shape) != 4:
        return None
    if source.data is not None or source.quantization != result.quantization:
        return None
    sides = np.asarray(widths).reshape(4, 2)
    kernel = model.tensors[operator.inputs[1]].shape[1:3]
    for axis, letter in enumerate("hw"):
        dilation = int(operator.options.get(f"dilation_{letter}_factor", 1) or 1)
        if max(sides[1 + axis]) > (kernel[axis] - 1) * dilation:
            return None
    if sides[[0, 3]].any():
        return None
    return int(sides[1, 0]), int(sides[2, 0])
