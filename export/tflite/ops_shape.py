"""Operators that move data without computing: Reshape, Flatten."""

from __future__ import annotations

from .absorb import Int8Test, always
from .context import Lowering
from .layout import (
    Order,
    flattened_columns,
    identity,
    physical_shape,
    reshape_order,
)
from .neutral import Array, Node


def reshape(low: Lowering, node: Node) -> None:
    """Reshape, Flatten and their like: RESHAPE of the memory as it lies wherever that is right.

    A flatten that only feeds dense layers keeps the memory too: they permute their weight columns.
    """
    name, out = node.inputs[0], node.outputs[0]
    shape, target = low.value(name).shape, low.value(out).shape
    source = low.order_of(name)
    order = reshape_order(shape, source, target)
    if order is None:
        columns = _columns(low, node, source)
        order = identity(len(target))
        if columns is None:
            source = identity(len(shape))
        else:
            low.columns[out] = columns
    emit_reshape(low, node, source, order)


def _columns(low: Lowering, node: Node, source: Order) -> Array | None:
    """ONNX's column of each value in memory, if the node flattens for dense layers only."""
    shape, target = low.value(node.inputs[0]).shape, low.value(node.outputs[0]).shape
    if not feeds_dense_only(low, node.outputs[0]) or shape[0] != target[0]:
        return None
    return flattened_columns(shape, source)


def emit_reshape(low: Lowering, node: Node, source: Order, order: Order) -> None:
    """RESHAPE of input 0 as it lies in `source` to output 0 lying in `order` (same memory)."""
    out = node.outputs[0]
    index = low.input_as(node, node.inputs[0], source, low.quantization(out))
    new_shape = physical_shape(low.value(out).shape, order)
    options = {"new_shape": list(new_shape)}
    low.emit_result(node, "RESHAPE", [index, low.integers(new_shape)], order, options)


def feeds_dense_only(low: Lowering, name: str) -> bool:
    """True if every reader is a dense layer whose weight columns can be permuted."""
    if name in low.graph.outputs or len(low.value(name).shape) != 2:
        return False
    readers = low.consumers.get(name, [])
    return bool(readers) and all(
        reader.operator in ("Gemm", "MatMul")
        and reader.domain == ""
        and reader.inputs[0] == name
        and not reader.attributes.get("transA")
        and name not in reader.inputs[1:]
        and low.value(reader.inputs[1]).is_constant
        for reader in readers
    )


LOWERINGS = {"Reshape": reshape, "Flatten": reshape}

INT8: dict[str, Int8Test] = {"Reshape": always, "Flatten": always}
