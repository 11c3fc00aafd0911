"""Dense layers over small integers: int8 weights of scale 1 stay int8 instead of becoming floats.

    DEQUANTIZE of constant int8 numbers, FULLY_CONNECTED     -> EpDenseIntegers over the int8 numbers

Products of float with integers are those of the same numbers in float, so results are the same to the last bit.
"""

from __future__ import annotations

from dataclasses import replace

from ..tflite.ir import LiteModel, LiteOperator

DENSE_INTEGERS = "EpDenseIntegers"


def keep_integers(model: LiteModel) -> LiteModel:
    """`model` with such layers as CUSTOM operators; itself where it has none."""
    made = [_kept(model, operator) for operator in model.operators]
    if all(new is old for new, old in zip(made, model.operators, strict=True)):
        return model
    used = {index for operator in made for index in operator.inputs} | set(model.outputs)
    alive = [op for op in made if op.code != "DEQUANTIZE" or used & set(op.outputs)]
    return replace(model, operators=alive)


def _kept(model: LiteModel, operator: LiteOperator) -> LiteOperator:
    if operator.code != "FULLY_CONNECTED":
        return operator
    makers = [op for op in model.operators if operator.inputs[1] in op.outputs]
    if len(makers) != 1 or makers[0].code != "DEQUANTIZE":
        return operator
    source = model.tensors[makers[0].inputs[0]]
    held = source.quantization
    plain = held is not None and set(held.scale) == {1.0} and not any(held.zero_point)
    if source.data is None or source.dtype != "int8" or not plain:
        return operator
    inputs = (operator.inputs[0], makers[0].inputs[0], *operator.inputs[2:])
    return replace(operator, code="CUSTOM", custom_code=DENSE_INTEGERS, inputs=inputs)
