"""Multiply-accumulates of one operator, in the convention of `devices.layers`."""

from __future__ import annotations

from ...devices import layers_count as count
from ..tflite.ir import LiteModel, LiteOperator

_REDUCTIONS = {
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), 1),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), 2),
}


def macs_of(model: LiteModel, operator: LiteOperator) -> int:
    """MACs of an operator whose shapes are all known; 0 for one that only moves or maps values."""
    first, second = (_shape(model, operator, position) for position in (0, 1))
    output = tuple(model.tensors[operator.outputs[0]].shape) if operator.outputs else ()
    code = operator.custom_code or operator.code
    if code == "LceBconv2d":
        channels = int(operator.options.get("channels_in", 0)) * second[3] // first[3]
        return count.convolution((*output[:3], second[0]), (*second[1:3], channels)) or 0
    if code == "DEPTHWISE_CONV_2D":
        return count.convolution(output, second[1:3]) or 0
    if code in ("CONV_2D", "FULLY_CONNECTED", "EpDenseIntegers", "EpGroupedConv"):
        return count.convolution(output, second[1:]) or 0
    if code == "TRANSPOSE_CONV":
        return count.transposed_convolution(_shape(model, operator, 2), second[:3]) or 0
    if code == "BATCH_MATMUL":
        return count.matrix_product(output, first[-2 if operator.options.get("adj_x") else -1]) or 0
    if code in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        lengths = [int(operator.options[key]) for key in ("filter_height", "filter_width")]
        return count.window(output, lengths) or 0
    return count.reduction(first, _REDUCTIONS[code]) or 0 if code in _REDUCTIONS else 0


def _shape(model: LiteModel, operator: LiteOperator, position: int) -> tuple[int, ...]:
    if position >= len(operator.inputs) or operator.inputs[position] < 0:
        return ()
    return tuple(int(n) for n in model.tensors[operator.inputs[position]].shape)
