"""Steps of several tensors along common axes, neighbouring axes merged: `ep_strides` of the kernels."""

from __future__ import annotations

from collections.abc import Sequence

from .program import Fields

RANK = 6
"""EP_RANK of the kernels."""

OPERANDS = 4


def dense_steps(shape: Sequence[int]) -> list[int]:
    """Steps of a dense tensor, in elements."""
    steps, step = [0] * len(shape), 1
    for axis in range(len(shape) - 1, -1, -1):
        steps[axis] = step
        step *= shape[axis]
    return steps


def broadcast_steps(shape: Sequence[int], result: Sequence[int]) -> list[int]:
    """Steps of a tensor along the axes of `result`, 0 where it is repeated."""
    missing = len(result) - len(shape)
    steps = [0] * missing + dense_steps(shape)
    padded = [1] * missing + list(shape)
    return [0 if padded[i] == 1 else steps[i] for i in range(len(result))]


def merged(
    lengths: Sequence[int], steps: Sequence[Sequence[int]]
) -> tuple[list[int], list[list[int]]]:
    """The same walk with as few axes as can be: axes of length 1 gone, neighbours that continue each other joined."""
    kept = [axis for axis, length in enumerate(lengths) if length != 1]
    out: list[int] = []
    walked: list[list[int]] = [[] for _ in steps]
    for axis in kept:
        continues = bool(out) and all(
            walked[i][-1] == steps[i][axis] * lengths[axis] for i in range(len(steps))
        )
        if continues:
            out[-1] *= lengths[axis]
            for i, row in enumerate(walked):
                row[-1] = steps[i][axis]
        else:
            out.append(lengths[axis])
            for i, row in enumerate(walked):
                row.append(steps[i][axis])
    return out, walked


def fields(lengths: Sequence[int], steps: Sequence[Sequence[int]]) -> Fields | None:
    """`ep_strides` of up to three operands and, last, the result; None if there are too many axes."""
    out, walked = merged(lengths, steps)
    if len(out) > RANK:
        return None
    missing = RANK - len(out)
    rows = [(0,) * missing + tuple(row) for row in walked]
    nothing = (0,) * RANK
    full = [*rows[:-1], *[nothing] * (OPERANDS - len(rows)), rows[-1]]
    return {"length": (1,) * missing + tuple(out), "step": tuple(full)}


def fields_in_front(lengths: Sequence[int], steps: Sequence[Sequence[int]]) -> Fields | None:
    """`ep_strides` whose last axis has length 1: for kernels with an inner loop of their own."""
    out, walked = merged(lengths, steps)
    if len(out) > RANK - 1:
        return None
    missing = RANK - 1 - len(out)
    rows = [(0,) * missing + tuple(row) + (0,) for row in walked]
    full = [*rows[:-1], *[(0,) * RANK] * (OPERANDS - len(rows)), rows[-1]]
    return {"length": (1,) * missing + tuple(out) + (1,), "step": tuple(full)}
