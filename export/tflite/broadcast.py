"""Elementwise operators whose kernels broadcast few axes only: alike neighbours are merged, the rest is refused.

The engines end the process (not the call) where a broadcast has more axes than a kernel knows: 4 for MUL, POW,
SELECT_V2 and comparisons, 5 or 6 for the rest. Without broadcasting any rank runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .context import Lowering
from .ir import LiteTensor
from .layout import Order, Shape, physical_shape
from .neutral import Node

_MOST_AXES = {"ADD": 6, "SUB": 5, "DIV": 5, "MAXIMUM": 5, "MINIMUM": 5}
_OTHERS = 4


def emit_broadcast(
    low: Lowering,
    node: Node,
    code: str,
    inputs: Sequence[int],
    order: Order,
    options: Mapping[str, Any] | None = None,
    activation: str = "after",
) -> None:
    """Emit an elementwise operator that makes output 0, lying in `order`."""
    full = physical_shape(low.value(node.outputs[0]).shape, order)
    shapes = [low.model.tensors[index].shape for index in inputs]
    if len(full) <= _MOST_AXES.get(code, _OTHERS) or all(shape == full for shape in shapes):
        low.emit_result(node, code, inputs, order, options, activation=activation)
        return
    padded = [(1,) * (len(full) - len(shape)) + tuple(shape) for shape in shapes]
    groups = merged_axes(padded)
    if len(groups) > _MOST_AXES.get(code, _OTHERS):
        raise low.unsupported(
            node, f"broadcasting over {len(groups)} axes", "merge axes with a reshape first"
        )
    narrow = [
        _reshaped(low, node, index, _merge(shape, groups), position)
        for position, (index, shape) in enumerate(zip(inputs, padded, strict=True))
    ]
    made = low.temporary(node, "merged", _merge(full, groups))
    options = dict(options or {})
    if activation == "fused":
        options["fused_activation_function"] = node.activation
    low.emit(node, code, narrow, [made], options)
    low.reshape_into(node, made, low.result(node.outputs[0], order))


def merged_axes(shapes: Sequence[Shape]) -> list[list[int]]:
    """Runs of neighbouring axes over which every operand either has all elements or repeats one."""
    groups: list[list[int]] = []
    last: tuple[bool, ...] | None = None
    for axis in range(len(shapes[0])):
        if all(shape[axis] == 1 for shape in shapes) and groups:
            groups[-1].append(axis)
            continue
        repeats = tuple(shape[axis] == 1 for shape in shapes)
        if groups and (repeats == last or last is None or all(last)):
            groups[-1].append(axis)
        else:
            groups.append([axis])
        last = repeats
    return groups


def _merge(shape: Shape, groups: Sequence[Sequence[int]]) -> Shape:
    return tuple(int(np.prod([shape[axis] for axis in group])) for group in groups)


def _reshaped(low: Lowering, node: Node, index: int, shape: Shape, position: int) -> int:
    """The tensor in a merged shape; constants are reshaped here."""
    source = low.model.tensors[index]
    if source.shape == shape:
        return index
    if source.data is not None:
        return low.constant(
            f"{source.name}/merged", source.data.reshape(shape), source.quantization
        )
    tensor = LiteTensor(
        low.unique(f"{node.outputs[0]}/operand{position}"),
        shape,
        source.dtype,
        None,
        source.quantization,
    )
    made = low.model.add_tensor(tensor)
    low.reshape_into(node, index, made)
    return made
