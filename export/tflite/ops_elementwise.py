"""Add, Sub, Mul and Div with ONNX's broadcasting, between activations and constants.

The result lies as its first full-rank operand does; constants are turned to fit for free, other
activations by TRANSPOSE where they must. int8 DIV runs in no tflite-runtime, so a constant divisor becomes
MUL by its reciprocal.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compress.quantization.qparams import QParams, affine
from .broadcast import emit_broadcast
from .context import Lowering, lite_quantization
from .layout import NEW, Order, identity, physical_array, physical_shape
from .neutral import Array, Node, Value

_CODES = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV"}


def arithmetic(low: Lowering, node: Node) -> None:
    """Lower Add, Sub, Mul or Div."""
    if node.operator == "Div" and node.int8:
        _multiply_by_reciprocal(low, node)
        return
    order = common_order(low, node)
    inputs = [operand(low, node, name, order) for name in node.inputs]
    emit_broadcast(low, node, _CODES[node.operator], inputs, order, activation="fused")


def _multiply_by_reciprocal(low: Lowering, node: Node) -> None:
    divisor = low.constant_of(node, 1)
    if divisor is None or not np.all(divisor):
        raise low.unsupported(node, "int8 division by zero or by an activation", "--keep-float it")
    name = f"{node.inputs[1]}/reciprocal"
    data = (np.float32(1.0) / divisor.astype(np.float32)).astype(np.float32)
    low.graph.values[name] = Value(name, data.shape, "float32", data)
    order = common_order(low, node)
    inputs = [operand(low, node, n, order) for n in (node.inputs[0], name)]
    low.emit_result(node, "MUL", inputs, order, activation="fused")


def common_order(low: Lowering, node: Node) -> Order:
    """The order the operands of a broadcasting operator are brought to: the first full-rank
    activation's, preferring one that is not as ONNX has it (turning back costs later)."""
    rank = len(low.value(node.outputs[0]).shape)
    found = [
        low.order_of(name)
        for name in node.inputs
        if name and not low.value(name).is_constant and len(low.value(name).shape) == rank
    ]
    turned = [order for order in found if order != identity(rank)]
    return turned[0] if turned else identity(rank)


def operand(
    low: Lowering, node: Node, name: str, order: Order, params: QParams | None = None
) -> int:
    """An input of a broadcasting operator, of the output's rank, in `order`.

    Float constants of int8 nodes become int8 under parameters of their own range, or under
    `params`; with `params`, int8 activations are requantized to them too.
    """
    value = low.value(name)
    rank = sum(axis != NEW for axis in order)
    missing = rank - len(value.shape)
    if value.data is not None:
        return _constant_operand(low, node, value, order, missing, params)
    if not missing:
        return low.input_as(node, name, order, params)
    bare = tuple(a if a == NEW else a - missing for a in order if a == NEW or a >= missing)
    index = low.input_as(node, name, bare, params)
    shape = physical_shape((1,) * missing + value.shape, order)
    if low.model.tensors[index].shape == shape[-len(bare) :]:
        return index
    made = low.temporary(node, "broadcast", shape, like=name, params=params)
    low.emit(node, "RESHAPE", [index, low.integers(shape)], [made], {"new_shape": list(shape)})
    return made


def _constant_operand(
    low: Lowering, node: Node, value: Value, order: Order, missing: int, params: QParams | None
) -> int:
    data = value.data
    assert data is not None  # noqa: S101 (the caller looked)
    held = value.quantization
    if node.int8 and value.is_real and (held is None or params is not None):
        data = value.real()
        held = params or range_parameters(data)
        data = held.quantize(data).astype(np.int8)
    elif not node.int8 and held is not None:
        data, held = value.real(), None
    data = data.reshape((1,) * missing + data.shape)
    data = data.reshape(1) if data.size == 1 else physical_array(data, order)
    return low.constant(value.name, data, lite_quantization(held))


def range_parameters(data: Array) -> QParams:
    """Per-tensor int8 parameters that cover a constant; a single value is exact at the end of the range."""
    low, high = float(data.min()), float(data.max())
    return affine(min(low, 0.0), max(high, 0.0))


def _per_tensor(node: Node, values: Mapping[str, Value]) -> bool:
    held = [values[name].quantization for name in node.inputs]
    return all(params is None or params.axis is None for params in held)


def _divides_by_constant(node: Node, values: Mapping[str, Value]) -> bool:
    divisor = values[node.inputs[1]]
    return divisor.is_constant and bool(np.all(divisor.real())) and _per_tensor(node, values)


LOWERINGS = {name: arithmetic for name in _CODES}

INT8 = {
    "Add": _per_tensor,
    "Sub": _per_tensor,
    "Mul": _per_tensor,
    "Div": _divides_by_constant,
}
