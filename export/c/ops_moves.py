"""Operators that only move elements: copies along strides, picks by number, and nothing at all for new shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..tflite.ir import LiteOperator
from .builder import Builder, size_of
from .program import Fields, Operand, TensorRef
from .strides import OPERANDS, RANK, dense_steps, merged

Function = Callable[[Builder, LiteOperator], None]


def width_of(builder: Builder, index: int) -> int:
    """Bytes of one element."""
    dtype = builder.tensor(index).dtype
    return 1 if dtype == "bool" else int(np.dtype(dtype).itemsize)


def copy(
    builder: Builder,
    operator: LiteOperator,
    source: tuple[Operand, str],
    target: tuple[TensorRef, str],
    width: int,
    lengths: Sequence[int],
    steps: tuple[Sequence[int], Sequence[int]],
    begin: tuple[int, int] = (0, 0),
) -> None:
    """One `ep_copy`: `lengths` elements of `width` bytes, steps and beginnings in elements."""
    out, walked = merged(lengths, steps)
    out, rows = list(out), [list(row) for row in walked]
    run = width
    if out and rows[0][-1] == rows[1][-1] == 1:
        run = width * out.pop()
        rows = [row[:-1] for row in rows]
    if len(out) > RANK - 1:
        raise builder.unsupported(operator, f"a move along {len(out)} axes")
    missing = RANK - 1 - len(out)
    padded = [(0,) * missing + tuple(n * width for n in row) + (0,) for row in rows]
    nothing = (0,) * RANK
    strides: Fields = {
        "length": (1,) * missing + tuple(out) + (run,),
        "step": (padded[0], *[nothing] * (OPERANDS - 2), padded[1]),
    }
    arguments: Fields = {"strides": strides, "from": begin[0] * width, "to": begin[1] * width}
    function = "ep_copy"
    builder.call(operator, function, "ep_copy.h", "ep_copy_args", arguments, [source], [target])


def same_memory(builder: Builder, operator: LiteOperator) -> None:
    """RESHAPE and its like: the result is the input, unless both belong to the caller."""
    x, y = operator.inputs[0], operator.outputs[0]
    data = builder.data(x)
    if data is not None and not builder.is_border(y):
        builder.fold(y, data.reshape(builder.tensor(y).shape))
        return
    if data is None and (not builder.is_border(y) or builder.give_out(x, y)):
        builder.share(y, x)
        return
    count = size_of(builder.tensor(y).shape)
    width = width_of(builder, y)
    copy(builder, operator, builder.read(x), builder.write(y), width, [count], ([1], [1]))


def transpose(builder: Builder, operator: LiteOperator) -> None:
    """Lower TRANSPOSE."""
    x, y = operator.inputs[0], operator.outputs[0]
    order = builder.integers(operator, 1)
    steps = dense_steps(builder.tensor(x).shape)
    result = builder.tensor(y).shape
    rows = ([steps[axis] for axis in order], dense_steps(result))
    source, target = builder.read(x), builder.write(y)
    copy(builder, operator, source, target, width_of(builder, y), result, rows)


def concatenation(builder: Builder, operator: LiteOperator) -> None:
    """Lower CONCATENATION: one copy for each part."""
    y = operator.outputs[0]
    result = builder.tensor(y).shape
    steps, target = dense_steps(result), builder.write(y)
    axis, begin = int(operator.options["axis"]) % len(result), 0
    for index in operator.inputs:
        shape = builder.tensor(index).shape
        rows = (dense_steps(shape), steps)
        at = (0, begin * steps[axis])
        source, width = builder.read(index), width_of(builder, y)
        copy(builder, operator, source, target, width, shape, rows, at)
        begin += shape[axis]


def split(builder: Builder, operator: LiteOperator) -> None:
    """Lower SPLIT and SPLIT_V: one copy for each part that is made."""
    position = 0 if operator.code == "SPLIT" else 2
    x = operator.inputs[1 if operator.code == "SPLIT" else 0]
    axis = builder.integers(operator, position)[0]
    steps, begin = dense_steps(builder.tensor(x).shape), 0
    for index in operator.outputs:
        shape = builder.tensor(index).shape
        rows = (steps, dense_steps(shape))
        at = (begin * steps[axis], 0)
        source, target = builder.read(x), builder.write(index)
        copy(builder, operator, source, target, width_of(builder, index), shape, rows, at)
        begin += shape[axis]


def slices(builder: Builder, operator: LiteOperator) -> None:
    """Lower SLICE and STRIDED_SLICE: the result's shape says where they end."""
    x, y = operator.inputs[0], operator.outputs[0]
    result, source = builder.tensor(y).shape, builder.tensor(x).shape
    begin = builder.integers(operator, 1)
    strides = [1] * len(source)
    if operator.code == "STRIDED_SLICE":
        strides = builder.integers(operator, 3)
    steps = dense_steps(source)
    rows = ([a * b for a, b in zip(steps, strides, strict=True)], dense_steps(result))
    at = (sum(a * b for a, b in zip(begin, steps, strict=True)), 0)
    reads, writes = builder.read(x), builder.write(y)
    copy(builder, operator, reads, writes, width_of(builder, y), result, rows, at)


def pad(builder: Builder, operator: LiteOperator) -> None:
    """Lower PAD and PADV2: fill, then copy into the middle."""
    x, y = operator.inputs[0], operator.outputs[0]
    tensor = builder.tensor(y)
    pads = np.asarray(builder.integers(operator, 1)).reshape(-1, 2)
    if len(operator.inputs) > 2:
        value = builder.data(operator.inputs[2])
        if value is None:
            raise builder.unsupported(operator, "a pad value computed at run time")
    else:
        zero = builder.zero(y) if tensor.dtype == "int8" else 0
        value = np.asarray([zero], tensor.dtype)
    target, width = builder.write(y), width_of(builder, y)
    filler = builder.constant(f"{tensor.name}/around", value.reshape(-1)[:1])
    arguments: Fields = {"count": size_of(tensor.shape), "size": width, "value": filler}
    builder.call(operator, "ep_fill", "ep_copy.h", "ep_fill_args", arguments, [], [target])
    shape, steps = builder.tensor(x).shape, dense_steps(tensor.shape)
    at = (0, int(sum(before * step for (before, _), step in zip(pads, steps, strict=True))))
    rows = (dense_steps(shape), steps)
    copy(builder, operator, builder.read(x), target, width, shape, rows, at)


def mirror_pad(builder: Builder, operator: LiteOperator) -> None:
    """Lower MIRROR_PAD: rows picked by number, one axis after the other."""
    pads = np.asarray(builder.integers(operator, 1)).reshape(-1, 2)
    shape = list(builder.tensor(operator.inputs[0]).shape)
    offset = 0 if operator.options.get("mode") == "SYMMETRIC" else 1
    picks = {}
    for axis, (before, after) in enumerate(pads):
        if before or after:
            rows = np.pad(
                np.arange(shape[axis]), (before, after), "symmetric" if offset == 0 else "reflect"
            )
            picks[axis] = [int(n) for n in rows]
    pick_axes(builder, operator, picks)


def pick_axes(builder: Builder, operator: LiteOperator, picks: dict[int, list[int]]) -> None:
    """Rows of several axes by number, one `ep_gather` each."""
    x, y = operator.inputs[0], operator.outputs[0]
    shape, width = list(builder.tensor(x).shape), width_of(builder, x)
    source, ctype = builder.read(x)
    places = sorted(picks)
    for axis in places:
        rows = picks[axis]
        if axis == places[-1]:
            target: Operand = builder.write(y)[0]
        else:
            size = size_of(shape) // shape[axis] * len(rows) * width
            target = builder.temporary(f"{builder.tensor(y).name}/axis{axis}", size)
        assert isinstance(target, TensorRef)  # noqa: S101 (just made)
        _gather(builder, operator, (source, ctype), (target, ctype), shape, axis, rows, width)
        shape[axis] = len(rows)
        source = target


def _gather(
    builder: Builder,
    operator: LiteOperator,
    source: tuple[Operand, str],
    target: tuple[TensorRef, str],
    shape: Sequence[int],
    axis: int,
    rows: Sequence[int],
    width: int,
) -> None:
    name = f"{operator.source}/rows{axis}"
    arguments: Fields = {
        "outer": size_of(shape[:axis]),
        "size": shape[axis],
        "count": len(rows),
        "run": size_of(shape[axis + 1 :]) * width,
        "indices": builder.constant(name, np.asarray(rows, np.int32)),
    }
    builder.call(
        operator, "ep_gather", "ep_copy.h", "ep_gather_args", arguments, [source], [target]
    )


def gather(builder: Builder, operator: LiteOperator) -> None:
    """Lower GATHER by constant indices, or by computed ones."""
    x, y = operator.inputs[0], operator.outputs[0]
    shape = builder.tensor(x).shape
    axis = int(operator.options.get("axis", 0)) % max(len(shape), 1)
    if builder.data(operator.inputs[1]) is None:
        _gather_computed(builder, operator, shape, axis)
        return
    rows = builder.integers(operator, 1)
    reads, writes = builder.read(x), builder.write(y)
    _gather(builder, operator, reads, writes, shape, axis, rows, width_of(builder, y))


def _gather_computed(
    builder: Builder, operator: LiteOperator, shape: Sequence[int], axis: int
) -> None:
    x, chosen = operator.inputs
    suffix = {"int32": "s32", "int64": "s64"}.get(builder.tensor(chosen).dtype)
    if suffix is None:
        raise builder.unsupported(operator, f"indices of type {builder.tensor(chosen).dtype}")
    arguments: Fields = {
        "outer": size_of(shape[:axis]),
        "size": shape[axis],
        "count": size_of(builder.tensor(chosen).shape),
        "run": size_of(shape[axis + 1 :]) * width_of(builder, x),
    }
    reads, writes = [builder.read(x), builder.read(chosen)], [builder.write(operator.outputs[0])]
    function, kind = f"ep_gather_at_{suffix}", "ep_gather_at_args"
    builder.call(operator, function, "ep_copy.h", kind, arguments, reads, writes)


def resize_nearest(builder: Builder, operator: LiteOperator) -> None:
    """Lower RESIZE_NEAREST_NEIGHBOR: rows and columns by number, as TFLite's kernel picks them."""
    from ..tflite.ops_resize import Axis, kernel_rows

    source, result = (
        builder.tensor(operator.inputs[0]).shape,
        builder.tensor(operator.outputs[0]).shape,
    )
    align = bool(operator.options.get("align_corners"))
    half = bool(operator.options.get("half_pixel_centers"))
    picks = {}
    for axis in (1, 2):
        found = kernel_rows(Axis(source[axis], result[axis], 1.0), align, half)
        picks[axis] = [int(n) for n in found]
    pick_axes(builder, operator, picks)


def tile(builder: Builder, operator: LiteOperator) -> None:
    """Lower TILE: repeated axes are walked with step 0."""
    x, y = operator.inputs[0], operator.outputs[0]
    shape, counts = builder.tensor(x).shape, builder.integers(operator, 1)
    steps, made = dense_steps(shape), dense_steps(builder.tensor(y).shape)
    lengths, read, written = [], [], []
    for axis, count in enumerate(counts):
        lengths += [count, shape[axis]]
        read += [0, steps[axis]]
        written += [made[axis] * shape[axis], made[axis]]
    reads, writes = builder.read(x), builder.write(y)
    width = width_of(builder, y)
    copy(builder, operator, reads, writes, width, lengths, (read, written))


def depth_to_space(builder: Builder, operator: LiteOperator) -> None:
    """Lower DEPTH_TO_SPACE: [N, H, W, (b, b, C)] -> [N, (H, b), (W, b), C]."""
    b = int(operator.options["block_size"])
    n, h, w, channels = builder.tensor(operator.inputs[0]).shape
    split_shape = (n, h, w, b, b, channels // (b * b))
    _turn(builder, operator, split_shape, (0, 1, 3, 2, 4, 5))


def space_to_depth(builder: Builder, operator: LiteOperator) -> None:
    """Lower SPACE_TO_DEPTH: [N, (H, b), (W, b), C] -> [N, H, W, (b, b, C)]."""
    b = int(operator.options["block_size"])
    n, h, w, channels = builder.tensor(operator.inputs[0]).shape
    _turn(builder, operator, (n, h // b, b, w // b, b, channels), (0, 1, 3, 2, 4, 5))


def _turn(
    builder: Builder, operator: LiteOperator, shape: Sequence[int], order: Sequence[int]
) -> None:
    x, y = operator.inputs[0], operator.outputs[0]
    steps = dense_steps(shape)
    result = [shape[axis] for axis in order]
    rows = ([steps[axis] for axis in order], dense_steps(result))
    reads, writes = builder.read(x), builder.write(y)
    copy(builder, operator, reads, writes, width_of(builder, y), result, rows)


LOWERINGS: dict[str, Function] = {
    **{name: same_memory for name in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")},
    "TRANSPOSE": transpose,
    "CONCATENATION": concatenation,
    "SPLIT": split,
    "SPLIT_V": split,
    "SLICE": slices,
    "STRIDED_SLICE": slices,
    "PAD": pad,
    "PADV2": pad,
    "MIRROR_PAD": mirror_pad,
    "GATHER": gather,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
    "TILE": tile,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
}
