"""In which axis order the tensors of a TFLite file lie, seen from the ONNX values of the same names.

Known from the lowering where it is at hand. For a file alone: a shape that fits one order only decides; what is
left open (H = W = C) follows from the kernels, which are channels-last, and is carried along elementwise
operators. What stays open is left out: an order is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .parity_distance import Array
from .tflite.layout import reshape_order

Order = tuple[int, ...]
NEW = -1

_KERNELS = frozenset(
    {
        *(
            "CONV_2D",
            "DEPTHWISE_CONV_2D",
            "TRANSPOSE_CONV",
            "MAX_POOL_2D",
            "AVERAGE_POOL_2D",
            "L2_POOL_2D",
        ),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    }
)
_CARRIERS = frozenset(
    {
        *(
            "ADD",
            "SUB",
            "MUL",
            "DIV",
            "MAXIMUM",
            "MINIMUM",
            "ABS",
            "NEG",
            "EXP",
            "SQRT",
            "RSQRT",
            "SQUARE",
        ),
        *(
            "RELU",
            "RELU6",
            "RELU_N1_TO_1",
            "LEAKY_RELU",
            "PRELU",
            "HARD_SWISH",
            "GELU",
            "ELU",
            "LOGISTIC",
            "TANH",
        ),
        *(
            "QUANTIZE",
            "DEQUANTIZE",
            "CAST",
            "PAD",
            "PADV2",
            "CONCATENATION",
            "SELECT_V2",
            "SOFTMAX",
        ),
    }
)


_RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


def axis_orders(
    model: Any, shapes: Mapping[str, tuple[int, ...]], known: Mapping[str, Order]
) -> dict[str, Order]:
    """name -> order of every tensor in `shapes` (name -> ONNX shape) that can be told for certain.

    Args:
        model: the parsed file (`runtime.tflite_schema.TfliteModel`).
        known: orders the lowering told; those that do not fit a shape are passed over.
    """
    subgraph = model.subgraphs[0]
    tensors = {tensor.index: tensor for tensor in subgraph.tensors}
    found: dict[str, Order] = {}
    for tensor in subgraph.tensors:
        if tensor.name in known and _describes(known[tensor.name], shapes, tensor):
            found[tensor.name] = tuple(known[tensor.name])
        elif tensor.name in shapes:
            fitting = fitting_orders(shapes[tensor.name], tensor.shape)
            if len(_distinct(shapes[tensor.name], fitting)) == 1:
                found[tensor.name] = fitting[0]
    _from_kernels(subgraph, tensors, shapes, found)
    while _carried(subgraph, tensors, shapes, found):
        pass
    for name in _mixed(subgraph, tensors, shapes, found):
        found.pop(name, None)
    return found


def fitting_orders(shape: tuple[int, ...], physical: tuple[int, ...]) -> list[Order]:
    """Orders our writers use that turn `shape` into `physical`."""
    rank = len(shape)
    choices: list[Order] = [tuple(range(rank))]
    if rank >= 3:
        choices.append((0, *range(2, rank), 1))
    if rank == 3:
        choices += [(0, NEW, 2, 1), (0, NEW, 1, 2)]
    return [o for o in choices if tuple(1 if a == NEW else shape[a] for a in o) == tuple(physical)]


def _describes(order: Order, shapes: Mapping[str, tuple[int, ...]], tensor: Any) -> bool:
    """Whether a tensor of an ONNX value, its axes in this order, has the shape it has in the file."""
    shape = shapes.get(tensor.name)
    if shape is None or max(order, default=NEW) >= len(shape):
        return False
    return tuple(1 if axis == NEW else shape[axis] for axis in order) == tuple(tensor.shape)


def _distinct(shape: tuple[int, ...], orders: list[Order]) -> set[Order]:
    """Orders that differ in memory: axes of length 1 do not count."""
    return {tuple(a for a in order if a != NEW and shape[a] != 1) for order in orders}


def _from_kernels(
    subgraph: Any, tensors: Any, shapes: Mapping[str, Any], found: dict[str, Order]
) -> None:
    for operator in subgraph.operators:
        if operator.name not in _KERNELS:
            continue
        for index in (*operator.inputs, *operator.outputs):
            tensor = tensors.get(index)
            if (
                tensor is None
                or tensor.is_constant
                or tensor.name in found
                or tensor.name not in shapes
            ):
                continue
            rank = len(shapes[tensor.name])
            last = (0, NEW, 2, 1) if rank == 3 else (0, *range(2, rank), 1)
            if last in fitting_orders(shapes[tensor.name], tensor.shape):
                found[tensor.name] = last


def _carried(
    subgraph: Any, tensors: Any, shapes: Mapping[str, Any], found: dict[str, Order]
) -> bool:
    changed = False
    for operator in subgraph.operators:
        if operator.name not in _CARRIERS:
            continue
        involved = [tensors[i] for i in (*operator.inputs, *operator.outputs) if i in tensors]
        involved = [tensor for tensor in involved if tensor.name in shapes]
        for tensor in involved:
            if tensor.name in found:
                continue
            fitting = fitting_orders(shapes[tensor.name], tensor.shape)
            order = next((found[t.name] for t in involved if found.get(t.name) in fitting), None)
            if order is not None:
                found[tensor.name] = order
                changed = True
    return changed


def _mixed(
    subgraph: Any,
    tensors: Any,
    shapes: Mapping[str, Any],
    found: dict[str, Order],
) -> set[str]:
    """Tensors that no order of axes describes: channels-last memory flattened as it lies.

    A dense layer behind it has its weight columns in that sequence. A RESHAPE that keeps axes whole
    gives its result the order that follows from its input's.
    """
    mixed: set[str] = set()
    for operator in subgraph.operators:
        source, target = (
            tensors.get(i[0]) if i else None for i in (operator.inputs, operator.outputs)
        )
        if source is None or target is None:
            continue
        if operator.name in _CARRIERS and source.name in mixed:
            mixed.add(target.name)
        if operator.name not in _RESHAPES or not {source.name, target.name} <= set(shapes):
            continue
        order = found.get(source.name)
        follows = order and reshape_order(shapes[source.name], order, shapes[target.name])
        if source.name in mixed or not follows:
            mixed.add(target.name)
        elif tuple(1 if a == NEW else shapes[target.name][a] for a in follows) == target.shape:
            found[target.name] = follows
    return mixed


def to_logical(values: Array, order: Order, shape: tuple[int, ...]) -> Array:
    """A tensor's values in ONNX's axis order."""
    kept = [axis for axis in order if axis != NEW]
    bare = values.reshape([shape[axis] for axis in kept])
    return np.ascontiguousarray(bare.transpose(np.argsort(kept)))
