"""Reductions over any axes, wherever they lie in memory, and the position of the largest or smallest value."""

from __future__ import annotations

from collections.abc import Mapping

from .absorb import Int8Test
from .context import Lowering
from .layout import NEW, Order, reduced_order
from .neutral import Node, Value
from .operands import known, moved, pass_on

_CODES = {
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMin": "REDUCE_MIN",
}


def reduce(low: Lowering, node: Node) -> None:
    """Lower a ReduceMean, ReduceSum, ReduceMax or ReduceMin with constant axes."""
    name = node.inputs[0]
    shape, order = low.value(name).shape, low.order_of(name)
    given = known(low, node, 1, "axes")
    axes = sorted({int(axis) % len(shape) for axis in given}) if given is not None else []
    extremum = node.operator in ("ReduceMax", "ReduceMin")
    params = low.quantization(node.outputs[0]) if extremum else low.quantization(name)
    index = moved(low, node, name, order, params)
    if not axes and node.attributes.get("noop_with_empty_axes"):
        raise low.unsupported(node, "no axes", "leave the reduction out")
    axes = axes or list(range(len(shape)))
    keep = bool(node.attributes.get("keepdims", 1))
    made = order if keep else reduced_order(order, axes)
    if all(shape[axis] == 1 for axis in axes) and params == low.quantization(node.outputs[0]):
        _drop(low, node, index, made, keep)
        return
    physical = sorted(order.index(axis) for axis in axes)
    options = {"keep_dims": keep}
    inputs = [index, low.integers(physical)]
    low.emit_result(node, _CODES[node.operator], inputs, made, options)


def _drop(low: Lowering, node: Node, index: int, made: Order, keep: bool) -> None:
    """Reducing axes of length 1 changes no value."""
    if keep:
        pass_on(low, node, index, made)
    else:
        low.reshape_into(node, index, low.result(node.outputs[0], made))


def position(low: Lowering, node: Node) -> None:
    """Lower an ArgMax or ArgMin along one axis; of equal values the first counts."""
    name, out = node.inputs[0], node.outputs[0]
    shape, order = low.value(name).shape, low.order_of(name)
    if node.attributes.get("select_last_index"):
        raise low.unsupported(node, "select_last_index", "take the first of equal values")
    axis = int(node.attributes.get("axis", 0)) % len(shape)
    code = "ARG_MAX" if node.operator == "ArgMax" else "ARG_MIN"
    options = {"output_type": "INT64"}
    inputs = [low.natural(name), low.integers(order.index(axis))]
    without = reduced_order(order, [axis])
    if not node.attributes.get("keepdims", 1):
        low.emit_result(node, code, inputs, without, options)
        return
    lengths = [1 if a == NEW else shape[a] for a in order if a != axis]
    flat = low.temporary(node, "positions", tuple(lengths))
    low.emit(node, code, inputs, [flat], options)
    low.reshape_into(node, flat, low.result(out, order))


def _per_tensor(node: Node, values: Mapping[str, Value]) -> bool:
    held = values[node.inputs[0]].quantization
    return held is not None and held.axis is None


LOWERINGS = {
    **{name: reduce for name in _CODES},
    "ArgMax": position,
    "ArgMin": position,
}

INT8: dict[str, Int8Test] = {name: _per_tensor for name in LOWERINGS}
