"""Comparisons, choices and logic: Greater, Less, Equal and their like, Where, Max, Min, Not, And, Or, Xor, Cast.

int8 comparison kernels round both real values to 1/256 before they compare (tensorflow/lite/kernels/comparisons.cc:
a left shift of 8 bits, then a multiplication by the scale). That is exact only for operands under one scale
between 1/256 and 1, so only these compare as integers; a constant becomes the threshold on that grid that decides
alike for all 256 values. The rest is compared in float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ...compress.quantization.qparams import QParams
from .absorb import Int8Test
from .broadcast import emit_broadcast
from .context import Lowering, lite_quantization
from .neutral import Array, Node, Value, same_parameters
from .operands import pass_on
from .ops_elementwise import common_order, operand

_COMPARISONS: dict[str, tuple[str, Callable[..., Array], str]] = {
    "Greater": ("GREATER", np.greater, "Less"),
    "GreaterOrEqual": ("GREATER_EQUAL", np.greater_equal, "LessOrEqual"),
    "Less": ("LESS", np.less, "Greater"),
    "LessOrEqual": ("LESS_EQUAL", np.less_equal, "GreaterOrEqual"),
    "Equal": ("EQUAL", np.equal, "Equal"),
}
"""Operator -> TFLite's name, its meaning, the operator with its operands exchanged."""

_LOGIC = {"And": "LOGICAL_AND", "Or": "LOGICAL_OR", "Xor": "NOT_EQUAL"}
_EXTREMA = {"Max": "MAXIMUM", "Min": "MINIMUM"}

_TYPES = {"float32": "FLOAT32", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}
"""Types that CAST converts between in every engine; int8 tensors always stand for real numbers."""

_FINEST_SCALE = 1 / 256
_MOST_AXES = 5


def compare(low: Lowering, node: Node) -> None:
    """Lower a comparison; in int8 a constant operand becomes a threshold on the other's grid."""
    operator, order = node.operator, common_order(low, node)
    names = list(node.inputs)
    if node.int8 and low.value(names[0]).is_constant:
        names, operator = names[::-1], _COMPARISONS[operator][2]
    inputs = [operand(low, node, names[0], order)]
    if node.int8 and low.value(names[1]).is_constant:
        inputs.append(_threshold(low, node, names, operator))
    else:
        inputs.append(operand(low, node, names[1], order))
    emit_broadcast(low, node, _COMPARISONS[operator][0], inputs, order)


def _threshold(low: Lowering, node: Node, names: list[str], operator: str) -> int:
    params = low.quantization(names[0])
    found = _integer_threshold(operator, low.value(names[1]), params)
    if found is None or params is None:
        raise ValueError("an int8 comparison without a threshold")
    data = np.asarray([found], np.int8)
    return low.constant(f"{node.outputs[0]}/threshold", data, lite_quantization(params))


def _integer_threshold(operator: str, constant: Value, params: QParams | None) -> int | None:
    """q with `operator(x, q)` = `operator(real(x), constant)` for every int8 x; None if there is none."""
    if constant.data is None or constant.data.size != 1 or params is None:
        return None
    decide = _COMPARISONS[operator][1]
    grid = np.arange(-128, 128)
    wanted = decide(params.dequantize(grid), constant.real().reshape(()))
    for threshold in grid:
        if np.array_equal(decide(grid, threshold), wanted):
            return int(threshold)
    return None


def logic(low: Lowering, node: Node) -> None:
    """Lower And, Or or Xor of two bool tensors."""
    order = common_order(low, node)
    inputs = [operand(low, node, name, order) for name in node.inputs]
    emit_broadcast(low, node, _LOGIC[node.operator], inputs, order)


def negate(low: Lowering, node: Node) -> None:
    """Lower a Not."""
    name = node.inputs[0]
    low.emit_result(node, "LOGICAL_NOT", [low.natural(name)], low.order_of(name))


def where(low: Lowering, node: Node) -> None:
    """Lower a Where; in int8 both sides are brought to the output's parameters."""
    order = common_order(low, node)
    params = low.quantization(node.outputs[0])
    condition = operand(low, node, node.inputs[0], order)
    sides = [operand(low, node, name, order, params) for name in node.inputs[1:]]
    emit_broadcast(low, node, "SELECT_V2", [condition, *sides], order)


def extremum(low: Lowering, node: Node) -> None:
    """Lower a Max or Min of any number of tensors, two at a time."""
    out, code = node.outputs[0], _EXTREMA[node.operator]
    order = common_order(low, node)
    params = low.quantization(out)
    index, *others = [operand(low, node, name, order, params) for name in node.inputs]
    if not others:
        pass_on(low, node, index, order)
    for position, other in enumerate(others):
        if position == len(others) - 1:
            emit_broadcast(low, node, code, [index, other], order)
            return
        shapes = [low.model.tensors[i].shape for i in (index, other)]
        if len(order) > _MOST_AXES and shapes[0] != shapes[1]:
            raise low.unsupported(
                node, f"broadcasting over {len(order)} axes", "take two at a time"
            )
        made = low.temporary(node, f"part{position}", np.broadcast_shapes(*shapes))
        low.emit(node, code, [index, other], [made])
        index = made


def cast(low: Lowering, node: Node) -> None:
    """Lower a Cast between float32, int32, int64 and bool."""
    name, out = node.inputs[0], node.outputs[0]
    kinds = [low.value(n).dtype for n in (name, out)]
    unknown = [kind for kind in kinds if kind not in _TYPES]
    if unknown:
        raise low.unsupported(
            node, f"a tensor of type {unknown[0]}", f"cast between {', '.join(_TYPES)} only"
        )
    order = low.order_of(name)
    if kinds[0] == kinds[1]:
        pass_on(low, node, low.natural(name), order)
        return
    options = {"in_data_type": _TYPES[kinds[0]], "out_data_type": _TYPES[kinds[1]]}
    low.emit_result(node, "CAST", [low.natural(name)], order, options)


def _compares_exactly(node: Node, values: Mapping[str, Value]) -> bool:
    """True if the int8 kernel decides as the real numbers do (see the top of this file)."""
    first, second, operator = *(values[name] for name in node.inputs), node.operator
    if first.is_constant:
        first, second, operator = second, first, _COMPARISONS[operator][2]
    params = first.quantization
    if params is None or not _FINEST_SCALE <= params.scale[0] < 1.0:
        return False
    if second.is_constant:
        return _integer_threshold(operator, second, params) is not None
    return same_parameters(params, second.quantization)


def _per_tensor(node: Node, values: Mapping[str, Value]) -> bool:
    held = [values[name].quantization for name in node.inputs]
    return all(params is None or params.axis is None for params in held)


LOWERINGS = {
    **{name: compare for name in _COMPARISONS},
    **{name: logic for name in _LOGIC},
    **{name: extremum for name in _EXTREMA},
    "Not": negate,
    "Where": where,
    "Cast": cast,
}

INT8: dict[str, Int8Test] = {
    **{name: _compares_exactly for name in _COMPARISONS},
    **{name: _per_tensor for name in _EXTREMA},
    "Where": _per_tensor,
}
