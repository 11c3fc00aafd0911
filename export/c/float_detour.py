"""int8 operators without an integer kernel: DEQUANTIZE, the float kernel, QUANTIZE, as three calls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...compress.quantization.qparams import QParams
from ..tflite.ir import LiteOperator, LiteTensor
from .builder import Builder, size_of
from .program import Fields


def through_float(
    builder: Builder, operator: LiteOperator, lower: Callable[[Builder, LiteOperator], None]
) -> None:
    """Run `lower` on float twins of the operator's int8 tensors."""
    inputs = tuple(_float_input(builder, operator, index) for index in operator.inputs)
    y = operator.outputs[0]
    twin = _twin(builder, y)
    options = dict(operator.options)
    lower(builder, LiteOperator(operator.code, inputs, (twin,), options, source=operator.source))
    _border(builder, operator, twin, y, "ep_quantize_s8", y)


def _twin(builder: Builder, index: int) -> int:
    tensor = builder.tensor(index)
    return builder.model.add_tensor(LiteTensor(f"{tensor.name}/float", tensor.shape, "float32"))


def _float_input(builder: Builder, operator: LiteOperator, index: int) -> int:
    if index < 0 or builder.tensor(index).dtype != "int8":
        return index
    twin, data = _twin(builder, index), builder.data(index)
    if data is not None:
        held = QParams((builder.scale(index),), (builder.zero(index),))
        builder.fold(twin, np.asarray(held.dequantize(data), np.float32))
        return twin
    _border(builder, operator, index, twin, "ep_dequantize_s8", index)
    return twin


def _border(
    builder: Builder, operator: LiteOperator, x: int, y: int, function: str, quantized: int
) -> None:
    arguments: Fields = {
        "count": size_of(builder.tensor(y).shape),
        "zero": builder.zero(quantized),
        "scale": builder.scale(quantized),
    }
    reads, writes = [builder.read(x)], [builder.write(y)]
    builder.call(operator, function, "ep_quantize.h", "ep_quantize_args", arguments, reads, writes)
