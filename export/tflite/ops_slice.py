"""Slice (SLICE, or STRIDED_SLICE for steps) and Gather, along axes wherever they lie in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .absorb import Int8Test, always
from .context import Lowering
from .layout import NEW, Order, gathered_order, identity, physical_axis
from .neutral import Node, Value
from .operands import known, moved, pass_on

LARGEST_RANK = 5
"""SLICE and STRIDED_SLICE take no more axes."""


def slice_(low: Lowering, node: Node) -> None:
    """Lower a Slice with constant bounds; negative bounds and steps as ONNX and Python have them."""
    shape = low.value(node.inputs[0]).shape
    parts = [
        known(low, node, i + 1, what) for i, what in enumerate(("starts", "ends", "axes", "steps"))
    ]
    starts, ends, axes, steps = parts
    if starts is None or ends is None:
        raise low.unsupported(node, "no bounds", "give starts and ends")
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    ranges = [(0, length, 1) for length in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = int(axis) % len(shape)
        ranges[place] = slice(int(start), int(end), int(step)).indices(shape[place])
    if all(step == 1 for _, _, step in ranges):
        emit_slice(low, node, [r[0] for r in ranges], list(low.value(node.outputs[0]).shape))
    else:
        _strided(low, node, ranges)


def emit_slice(low: Lowering, node: Node, begin: Sequence[int], size: Sequence[int]) -> None:
    """Output 0 is the block of input 0 from `begin` (ONNX axes), `size` long; nothing if it is all."""
    name = node.inputs[0]
    order = low.order_of(name)
    index = moved(low, node, name, order, low.quantization(node.outputs[0]))
    if tuple(size) == low.value(name).shape:
        pass_on(low, node, index, order)
        return
    _check_rank(low, node, order)
    bounds = [_physical(order, begin, 0), _physical(order, size, 1)]
    low.emit_result(node, "SLICE", [index, *(low.integers(b) for b in bounds)], order)


def _physical(order: Order, values: Sequence[int], new: int) -> list[int]:
    return [new if axis == NEW else int(values[axis]) for axis in order]


def _check_rank(low: Lowering, node: Node, order: Order) -> None:
    if len(order) > LARGEST_RANK:
        raise low.unsupported(node, f"a tensor of {len(order)} axes", "use at most 5 axes")


def _strided(low: Lowering, node: Node, ranges: Sequence[tuple[int, int, int]]) -> None:
    """STRIDED_SLICE; an end in front of the first element can only be said by its mask."""
    name = node.inputs[0]
    order = low.order_of(name)
    _check_rank(low, node, order)
    index = moved(low, node, name, order, low.quantization(node.outputs[0]))
    mask = sum(1 << i for i, axis in enumerate(order) if axis != NEW and ranges[axis][1] < 0)
    columns = [_physical(order, [r[i] for r in ranges], new) for i, new in enumerate((0, 1, 1))]
    columns[1] = [max(end, 0) for end in columns[1]]
    options = {"end_mask": mask}
    inputs = [index, *(low.integers(column) for column in columns)]
    low.emit_result(node, "STRIDED_SLICE", inputs, order, options)


def gather(low: Lowering, node: Node) -> None:
    """Lower a Gather. Constant indices may be negative; those computed at run time must not be."""
    name, out = node.inputs[0], node.outputs[0]
    shape = low.value(name).shape
    axis = int(node.attributes.get("axis", 0)) % len(shape)
    order = low.order_of(name)
    data = moved(low, node, name, order, low.quantization(out))
    chosen = low.value(node.inputs[1])
    if chosen.data is not None:
        indices = np.where(chosen.data < 0, chosen.data + shape[axis], chosen.data)
        if indices.size and (indices.min() < 0 or indices.max() >= shape[axis]):
            raise low.unsupported(node, "an index out of range", "correct the indices")
        index = low.integers(indices)
    else:
        index = low.ordered(node.inputs[1], identity(len(chosen.shape)))
        note = "negative indices are not allowed at run time"
        low.notes.append((node.inputs[1], note))
    made = gathered_order(order, axis, len(chosen.shape))
    options = {"axis": physical_axis(order, axis, len(shape))}
    low.emit_result(node, "GATHER", [data, index], made, options)


def gather_axis(
    low: Lowering, node: Node, index: int, axis: int, picks: Sequence[int], made: int
) -> None:
    """`made` holds the slices `picks` of tensor `index` along its physical `axis`."""
    low.emit(node, "GATHER", [index, low.integers(picks)], [made], {"axis": axis})


def _one_scale(node: Node, values: Mapping[str, Value]) -> bool:
    held = values[node.inputs[0]].quantization
    return held is not None and held.axis is None


LOWERINGS = {"Slice": slice_, "Gather": gather}

INT8: dict[str, Int8Test] = {"Slice": always, "Gather": _one_scale}
