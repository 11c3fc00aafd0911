"""Pools, reductions, softmax, positions of extremes, bilinear resizing."""

from __future__ import annotations

import numpy as np

from ...compress.quantization.integer_ops import SOFTMAX_BITS
from ..tflite.ir import LiteOperator
from .builder import Builder, scale_fields, size_of
from .float_detour import through_float
from .ops_layers import window_fields
from .program import Array, Fields
from .strides import dense_steps, fields


def pool(builder: Builder, operator: LiteOperator) -> None:
    """Lower MAX_POOL_2D and AVERAGE_POOL_2D."""
    x, y = operator.inputs[0], operator.outputs[0]
    options = operator.options
    kernel = (int(options["filter_height"]), int(options["filter_width"]))
    arguments: Fields = {"window": window_fields(builder, operator, x, y, kernel)}
    name = "average_pool" if operator.code == "AVERAGE_POOL_2D" else "max_pool"
    suffix, kind = "f32", "ep_pool_f32_args"
    if builder.is_int8(operator):
        suffix = "s8"
        kind = "ep_average_pool_s8_args" if name == "average_pool" else "ep_pool_s8_args"
        arguments["low"], arguments["high"] = builder.clamp_int8(operator, y)
        if name == "average_pool":
            arguments["zero"] = builder.zero(y)
    else:
        builder.only(operator, "float32")
        arguments["low"], arguments["high"] = builder.clamp_float(operator)
    header = f"ep_pool_{suffix}.h"
    reads, writes = [builder.read(x)], [builder.write(y)]
    builder.call(operator, f"ep_{name}_{suffix}", header, kind, arguments, reads, writes)


_REDUCTIONS = {"MEAN": "mean", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min"}


def reduce(builder: Builder, operator: LiteOperator) -> None:
    """Lower MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""
    x, y = operator.inputs[0], operator.outputs[0]
    axes, count = _reduced_axes(builder, operator)
    name = _REDUCTIONS[operator.code]
    if not builder.is_int8(operator):
        builder.only(operator, "float32")
        function, kind, arguments = f"ep_{name}_f32", "ep_reduce_args", axes
    elif name in ("max", "min"):
        function, kind, arguments = f"ep_{name}_s8", "ep_reduce_args", axes
    else:
        divisor = count if name == "mean" else 1
        real = builder.scale(x) / (builder.scale(y) * divisor)
        function, kind = "ep_sum_s8", "ep_sum_s8_args"
        arguments = {
            "axes": axes,
            "in_zero": builder.zero(x),
            "scale": scale_fields(real),
            "zero": builder.zero(y),
            "low": -128,
            "high": 127,
        }
    reads, writes = [builder.read(x)], [builder.write(y)]
    builder.call(operator, function, "ep_reduce.h", kind, arguments, reads, writes)


def _reduced_axes(builder: Builder, operator: LiteOperator) -> tuple[Fields, int]:
    """(`ep_reduce_args`, elements that become one)."""
    shape = builder.tensor(operator.inputs[0]).shape
    gone = {axis % len(shape) for axis in builder.integers(operator, 1)}
    steps = dense_steps(shape)
    kept = [axis for axis in range(len(shape)) if axis not in gone]
    lengths = [shape[axis] for axis in kept]
    walked = fields(lengths, [[steps[axis] for axis in kept], dense_steps(lengths)])
    inner = [shape[axis] for axis in sorted(gone)]
    nothing = [0] * len(inner)
    reduced = fields(inner, [[steps[axis] for axis in sorted(gone)], nothing])
    if walked is None or reduced is None:
        raise builder.unsupported(operator, f"{len(shape)} axes")
    count = size_of(inner)
    return {"kept": walked, "reduced": reduced, "count": count}, count


def softmax(builder: Builder, operator: LiteOperator) -> None:
    """Lower SOFTMAX along the last axis: in int8 exponentials from a table, one division each."""
    x, y = operator.inputs[0], operator.outputs[0]
    shape = builder.tensor(x).shape
    arguments: Fields = {"rows": size_of(shape[:-1]), "count": shape[-1]}
    beta = float(operator.options.get("beta", 1.0))
    if builder.is_int8(operator):
        function = "ep_softmax_s8"
        powers = np.rint(
            np.exp(-builder.scale(x) * beta * np.arange(256, dtype=np.float64)) * 2.0**SOFTMAX_BITS
        )
        name = f"{builder.tensor(y).name}/powers"
        arguments["powers"] = builder.constant(name, powers.astype(np.uint32))
    else:
        builder.only(operator, "float32")
        function = "ep_softmax_f32"
        arguments["beta"] = beta
    kind, reads, writes = f"{function}_args", [builder.read(x)], [builder.write(y)]
    builder.call(
        operator, function, f"{function}.h", kind, arguments, reads, writes, in_place=False
    )


def log_softmax(builder: Builder, operator: LiteOperator) -> None:
    """Lower LOG_SOFTMAX along the last axis; int8 takes the detour through float."""
    if builder.is_int8(operator):
        through_float(builder, operator, log_softmax)
        return
    x, y = operator.inputs[0], operator.outputs[0]
    shape = builder.tensor(x).shape
    arguments: Fields = {"rows": size_of(shape[:-1]), "count": shape[-1], "beta": 1.0}
    reads, writes = [builder.read(x)], [builder.write(y)]
    header, kind = "ep_softmax_f32.h", "ep_softmax_f32_args"
    builder.call(operator, "ep_log_softmax_f32", header, kind, arguments, reads, writes)


def position(builder: Builder, operator: LiteOperator) -> None:
    """Lower ARG_MAX and ARG_MIN: int64 positions along one axis."""
    x, y = operator.inputs[0], operator.outputs[0]
    builder.only(operator, "int64")
    shape, dtype = builder.tensor(x).shape, builder.tensor(x).dtype
    if dtype not in ("float32", "int8"):
        raise builder.unsupported(operator, f"values of type {dtype}")
    axis = builder.integers(operator, 1)[0] % len(shape)
    arguments: Fields = {
        "outer": size_of(shape[:axis]),
        "size": shape[axis],
        "inner": size_of(shape[axis + 1 :]),
    }
    function = f"ep_{operator.code.lower()}_{'s8' if dtype == 'int8' else 'f32'}"
    reads, writes = [builder.read(x)], [builder.write(y)]
    builder.call(operator, function, "ep_arg.h", "ep_arg_args", arguments, reads, writes)


def resize_bilinear(builder: Builder, operator: LiteOperator) -> None:
    """Lower RESIZE_BILINEAR: sources and shares of each row and column computed here."""
    if builder.is_int8(operator):
        through_float(builder, operator, resize_bilinear)
        return
    x, y = operator.inputs[0], operator.outputs[0]
    source, result = builder.tensor(x).shape, builder.tensor(y).shape
    align = bool(operator.options.get("align_corners"))
    half = bool(operator.options.get("half_pixel_centers"))
    rows, down = bilinear_rows(source[1], result[1], align, half)
    columns, right = bilinear_rows(source[2], result[2], align, half)
    name = builder.tensor(y).name
    arguments: Fields = {
        "batch": source[0],
        "in_h": source[1],
        "in_w": source[2],
        "channels": source[3],
        "out_h": result[1],
        "out_w": result[2],
        "rows": builder.constant(f"{name}/rows", rows),
        "columns": builder.constant(f"{name}/columns", columns),
        "down": builder.constant(f"{name}/down", down),
        "right": builder.constant(f"{name}/right", right),
    }
    function = "ep_resize_bilinear_f32"
    reads, writes = [builder.read(x)], [builder.write(y)]
    builder.call(operator, function, "ep_resize.h", f"{function}_args", arguments, reads, writes)


def bilinear_rows(before: int, after: int, align: bool, half: bool) -> tuple[Array, Array]:
    """([after, 2] rows to mix, [after] share of the second) of one axis."""
    aligned = align and after > 1
    factor = (before - 1) / (after - 1) if aligned else before / after
    points = np.arange(after, dtype=np.float64) * factor
    if half:
        points = (np.arange(after) + 0.5) * factor - 0.5
    points = np.clip(points, 0.0, before - 1)
    first = np.floor(points).astype(np.int64)
    second = np.minimum(first + 1, before - 1)
    share = (points - first).astype(np.float32)
    return np.stack([first, second], axis=1).astype(np.int32), share


LOWERINGS = {
    "MAX_POOL_2D": pool,
    "AVERAGE_POOL_2D": pool,
    **{name: reduce for name in _REDUCTIONS},
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": log_softmax,
    "ARG_MAX": position,
    "ARG_MIN": position,
    "RESIZE_BILINEAR": resize_bilinear,
}
