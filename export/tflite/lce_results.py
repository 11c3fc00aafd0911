"""LceBconv2d gives int8 itself where a QUANTIZE alone reads its float result: one operator and one tensor less.

Both round half away from zero and saturate. Borders of 0 need float results (LCE's optimised kernels), so they stay.
"""

from __future__ import annotations

from dataclasses import replace

from .ir import LiteModel, LiteOperator
from .prune import prune
from .window import same_pads


def int8_results(model: LiteModel) -> None:
    """Join LceBconv2d and QUANTIZE of a finished model, in place."""
    readers: dict[int, list[LiteOperator]] = {}
    for operator in model.operators:
        for index in operator.inputs:
            readers.setdefault(index, []).append(operator)
    joined: dict[int, int] = {}  # float result -> int8 one
    for operator in model.operators:
        if operator.custom_code != "LceBconv2d" or _borders_of_zero(model, operator):
            continue
        (result,) = operator.outputs
        users = readers.get(result, [])
        if len(users) == 1 and users[0].code == "QUANTIZE" and result not in model.outputs:
            joined[result] = users[0].outputs[0]
    gone = set(joined.values())
    model.operators = [
        replace(operator, outputs=tuple(joined.get(index, index) for index in operator.outputs))
        for operator in model.operators
        if not (operator.code == "QUANTIZE" and operator.outputs[0] in gone)
    ]
    prune(model)


def _borders_of_zero(model: LiteModel, operator: LiteOperator) -> bool:
    """True if windows reach beyond the image and find 0 there."""
    options = operator.options
    if options["padding"] != 0 or options["pad_values"] != 0:
        return False
    image, kernel = (model.tensors[index].shape[1:3] for index in operator.inputs[:2])
    for axis, name in enumerate(("height", "width")):
        reach = (kernel[axis] - 1) * options[f"dilation_{name}_factor"] + 1
        if any(same_pads(image[axis], reach, options[f"stride_{name}"])):
            return True
    return False
