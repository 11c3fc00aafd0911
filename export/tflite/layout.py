"""Axis orders: how the axes of an ONNX tensor lie in the TFLite tensor that holds it.

An order lists, for each physical axis, the logical (ONNX) axis that lies there, or NEW (-1) for an
axis of length 1 that ONNX does not have. Channels-last of a 4-D tensor is (0, 2, 3, 1); a 3-D
tensor [N, C, L] runs through the 2-D kernels as (0, -1, 2, 1), that is [N, 1, L, C]. Orders are
tracked by axis, never by length, so H = W = C is no special case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .neutral import Array

Order = tuple[int, ...]
Shape = tuple[int, ...]

NEW = -1

SMALL_RANK = 4
"""Up to here the engines turn a tensor in one fast kernel."""


def identity(rank: int) -> Order:
    """The order of ONNX itself."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """Order for the 2-D kernels: [N, H, W, C], and [N, 1, L, C] for rank 3."""
    return (0, NEW, 2, 1) if rank == 3 else (0, *range(2, rank), 1)


def interface_order(rank: int) -> Order:
    """Channels-last without new axes, the form model inputs and outputs have: NHWC, NLC."""
    return (0, *range(2, rank), 1) if rank > 2 else identity(rank)


def physical_shape(shape: Shape, order: Order) -> Shape:
    """Lengths of the physical axes."""
    return tuple(1 if axis == NEW else shape[axis] for axis in order)


def physical_array(data: Array, order: Order) -> Array:
    """A constant in the given order."""
    kept = tuple(axis for axis in order if axis != NEW)
    return data.transpose(kept).reshape(physical_shape(data.shape, order))


def physical_axis(order: Order, axis: int, rank: int) -> int:
    """Where the logical `axis` (may be negative) lies."""
    return order.index(axis % rank)


def move_last(order: Order, axis: int) -> Order:
    """`order` with logical `axis` lying last."""
    return (*(a for a in order if a != axis), axis)


def expand_order(order: Order, missing: int) -> Order:
    """Order of a tensor after `missing` axes of length 1 were put in front of its logical shape."""
    return (*range(missing), *(a if a == NEW else a + missing for a in order))


def axes_that_count(shape: Shape, order: Order) -> Order:
    """The logical axes longer than 1 in physical sequence: equal ones mean equal memory."""
    return tuple(axis for axis in order if axis != NEW and shape[axis] != 1)


@dataclass(frozen=True)
class Step:
    """RESHAPE to `shape`, or TRANSPOSE by `permutation` giving `shape`; `order` is the order then."""

    code: str
    shape: Shape
    order: Order
    permutation: tuple[int, ...] = ()


def conversion(shape: Shape, source: Order, target: Order) -> list[Step]:
    """Fewest steps from one order of a tensor to another; empty if memory and shape are the same."""
    goal = physical_shape(shape, target)
    if axes_that_count(shape, source) == axes_that_count(shape, target):
        return [] if physical_shape(shape, source) == goal else [Step("RESHAPE", goal, target)]
    if source.count(NEW) == target.count(NEW) and len(target) <= SMALL_RANK:
        return [Step("TRANSPOSE", goal, target, _permutation(source, target))]
    if len(_without_new(target)) > SMALL_RANK:
        return _merged_transpose(shape, source, target)
    steps = []
    bare, bare_goal = _without_new(source), _without_new(target)
    if bare != source:
        steps.append(Step("RESHAPE", physical_shape(shape, bare), bare))
    turned = physical_shape(shape, bare_goal)
    steps.append(Step("TRANSPOSE", turned, bare_goal, _permutation(bare, bare_goal)))
    if bare_goal != target:
        steps.append(Step("RESHAPE", goal, target))
    return steps


def _merged_transpose(shape: Shape, source: Order, target: Order) -> list[Step]:
    """RESHAPE, TRANSPOSE, RESHAPE: axes that stay neighbours move as one, which keeps the rank low."""
    before, after = axes_that_count(shape, source), axes_that_count(shape, target)
    runs: list[list[int]] = []
    for axis in before:
        follows = bool(runs) and after.index(runs[-1][-1]) + 1 == after.index(axis)
        if follows:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    lengths = [int(np.prod([shape[axis] for axis in run])) for run in runs]
    permutation = tuple(sorted(range(len(runs)), key=lambda run: after.index(runs[run][0])))
    turned = tuple(lengths[run] for run in permutation)
    goal = physical_shape(shape, target)
    steps = (
        []
        if tuple(lengths) == physical_shape(shape, source)
        else [Step("RESHAPE", tuple(lengths), source)]
    )
    steps.append(Step("TRANSPOSE", turned, target, permutation))
    return steps if turned == goal else [*steps, Step("RESHAPE", goal, target)]


def _without_new(order: Order) -> Order:
    return tuple(axis for axis in order if axis != NEW)


def _permutation(source: Order, target: Order) -> tuple[int, ...]:
    """perm with target[i] = source[perm[i]]; new axes are matched in sequence."""
    free = [position for position, axis in enumerate(source) if axis == NEW]
    return tuple(free.pop(0) if axis == NEW else source.index(axis) for axis in target)


def compose(order: Order, permutation: Sequence[int]) -> Order:
    """Order of y = transpose(x, permutation) in the memory of x, whose order is `order`."""
    where = {axis: position for position, axis in enumerate(permutation)}
    return tuple(NEW if axis == NEW else where[axis] for axis in order)


def reshape_order(shape: Shape, order: Order, target: Shape) -> Order | None:
    """Order in which the reshaped tensor lies without moving memory, None if it must move.

    The axes are cut into the smallest runs whose products agree before and after; memory may stay
    if each run lies together and in ONNX's sequence.
    """
    runs = _matching_runs(shape, target)
    counted = axes_that_count(shape, order)
    result: list[int] = []
    position = 0
    owner = {axis: run for run in runs for axis in run[0]}
    while position < len(counted):
        before, after = owner[counted[position]]
        expected = tuple(axis for axis in before if shape[axis] != 1)
        if counted[position : position + len(expected)] != expected:
            return None
        result.extend(after)
        position += len(expected)
    left = [axis for axis in range(len(target)) if axis not in result]
    return (*left, *result)


def order_for_reshape(shape: Shape, order: Order, target: Shape) -> Order:
    """The order nearest to `order` from which `reshape_order` needs no move: each run in sequence.

    Only the axes longer than 1 change places, so one TRANSPOSE leads there.
    """
    owner = {axis: run for run, _ in _matching_runs(shape, target) for axis in run}
    sequence: list[int] = []
    for axis in axes_that_count(shape, order):
        if axis not in sequence:
            sequence.extend(owner[axis])
    free = iter(sequence)
    return tuple(a if a == NEW or shape[a] == 1 else next(free) for a in order)


def reduced_order(order: Order, axes: Sequence[int]) -> Order:
    """Order after the logical `axes` (not negative) were taken out of a tensor."""
    gone = set(axes)
    return tuple(
        a if a == NEW else a - sum(axis < a for axis in gone) for a in order if a not in gone
    )


def gathered_order(order: Order, axis: int, count: int) -> Order:
    """Order after logical `axis` was replaced by `count` axes that lie together where it lay."""
    result: list[int] = []
    for a in order:
        if a == axis:
            result.extend(range(axis, axis + count))
        else:
            result.append(a + count - 1 if a > axis else a)
    return tuple(result)


def _matching_runs(shape: Shape, target: Shape) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Pairs of axis runs (before, after) with equal products; axes of length 1 are left out."""
    before = [axis for axis, length in enumerate(shape) if length != 1]
    after = [axis for axis, length in enumerate(target) if length != 1]
    runs = []
    i = j = 0
    while i < len(before) and j < len(after):
        start_i, start_j = i, j
        size_i, size_j = shape[before[i]], target[after[j]]
        i, j = i + 1, j + 1
        while size_i != size_j:
            if size_i < size_j:
                size_i, i = size_i * shape[before[i]], i + 1
            else:
                size_j, j = size_j * target[after[j]], j + 1
        runs.append((tuple(before[start_i:i]), tuple(after[start_j:j])))
    return runs


def flattened_columns(shape: Shape, order: Order, axis: int = 1) -> Array | None:
    """For a flatten at `axis`: columns[i] = ONNX's column of the i-th value in memory.

    None if the axes in front of `axis` do not lie in front in memory too.
    """
    front = tuple(a for a in axes_that_count(shape, order) if a < axis)
    if axes_that_count(shape, order)[: len(front)] != front or front != tuple(sorted(front)):
        return None
    numbers = np.arange(int(np.prod(shape[axis:], dtype=np.int64))).reshape(shape[axis:])
    rest = [a - axis for a in order if a != NEW and a >= axis]
    return numbers.transpose(rest).reshape(-1)
