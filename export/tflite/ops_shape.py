"""Operators that move data without computing: Reshape, Flatten, Squeeze, Unsqueeze, Transpose.

A Transpose costs nothing by itself: its result lies in the memory of its input, in another order. Only an
operator that cares turns it.
"""

from __future__ import annotations

from .absorb import Int8Test, always
from .context import Lowering
from .layout import (
    Order,
    compose,
    flattened_columns,
    identity,
    order_for_reshape,
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
        if columns is None:
            source = order_for_reshape(shape, source, target)
            order = reshape_order(shape, source, target)
        else:
            low.columns[out] = columns
    emit_reshape(low, node, source, identity(len(target)) if order is None else order)


def _columns(low: Lowering, node: Node, source: Order) -> Array | None:
    """ONNX's column of each value in memory, if the node flattens for dense layers only."""
    shape, target = low.value(node.inputs[0]).shape, low.value(node.outputs[0]).shape
    if not feeds_dense_only(low, node.outputs[0]) or shape[:1] != target[:1]:
        return None
    return flattened_columns(shape, source)


def emit_reshape(low: Lowering, node: Node, source: Order, order: Order) -> None:
    """RESHAPE of input 0 as it lies in `source` to output 0 lying in `order` (same memory)."""
    out = node.outputs[0]
    index = low.input_as(node, node.inputs[0], source, low.quantization(out))
    if low.model.tensors[index].shape == physical_shape(low.value(out).shape, order):
        low.alias(out, index, order)
    else:
        low.reshape_into(node, index, low.result(out, order))


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


def transpose(low: Lowering, node: Node) -> None:
    """Transpose: the input's memory under another order; a QUANTIZE only where parameters differ."""
    name, out = node.inputs[0], node.outputs[0]
    rank = len(low.value(name).shape)
    permutation = node.attributes.get("perm") or list(range(rank))[::-1]
    order = low.order_of(name)
    index = low.input_as(node, name, order, low.quantization(out))
    low.alias(out, index, compose(order, permutation))


LOWERINGS = {
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": reshape,
    "Unsqueeze": reshape,
    "Transpose": transpose,
}

INT8: dict[str, Int8Test] = {name: always for name in LOWERINGS}
