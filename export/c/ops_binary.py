"""Custom operators: Larq Compute Engine's as kernels on packed signs (XOR and popcount, 32 products a word), our own.

What is read of them stands in `tflite/ops_lce.py` and, of fused ones, in `fuse_*.py`. Thresholds on popcounts become
thresholds on sums, y < K - 2 t.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tflite.ir import LiteOperator
from .builder import Builder, size_of
from .fuse_weights import DENSE_INTEGERS
from .layout_bits import bits_of
from .ops_layers import bias_of, window_fields
from .program import Array, Fields

WORD_BITS = 32
SAME = 0
FAR = 1 << 30
"""Beyond every sum of signs."""

_CLAMPS = {0: (-FAR, FAR), 1: (0, FAR), 2: (-1, 1), 3: (0, 6)}
"""fused_activation_function -> bounds of sums: NONE, RELU, RELU_N1_TO_1, RELU6."""


def quantize(builder: Builder, operator: LiteOperator) -> None:
    """Lower LceQuantize of float32, int8 or bool: signs of all channels of a pixel."""
    x, y = operator.inputs[0], operator.outputs[0]
    tensor = builder.tensor(x)
    kind, zero = {"float32": ("f32", 0.0), "int8": ("s8", 0), "bool": ("s8", 1)}.get(
        tensor.dtype, ("", 0)
    )
    if not kind:
        raise builder.unsupported(operator, f"signs of {tensor.dtype}")
    if tensor.dtype == "int8":
        zero = builder.zero(x)
    rows, channels = size_of(tensor.shape[:-1]), int(tensor.shape[-1])
    arguments: Fields = {"rows": rows, "channels": channels, "zero": zero, "zeros": 0}
    if "zeros" in operator.options:
        name = f"{builder.tensor(y).name}/zeros"
        arguments["zeros"] = builder.constant(name, operator.options["zeros"])
    _call(builder, operator, f"ep_bits_pack_{kind}", "ep_bits", arguments, x, y)


def dequantize(builder: Builder, operator: LiteOperator) -> None:
    """Lower LceDequantize to float32, int8 or bool."""
    x, y = operator.inputs[0], operator.outputs[0]
    tensor = builder.tensor(y)
    arguments: Fields = {"rows": size_of(tensor.shape[:-1]), "channels": int(tensor.shape[-1])}
    kind = "s8"
    if tensor.dtype == "float32":
        kind = "f32"
        arguments |= {"plus": 1.0, "minus": -1.0}
    elif tensor.dtype == "int8":
        step, zero = int(np.floor(1.0 / builder.scale(y) + 0.5)), builder.zero(y)
        arguments |= {"plus": min(127, zero + step), "minus": max(-128, zero - step)}
    elif tensor.dtype == "bool":
        arguments |= {"plus": 1, "minus": 0}
    else:
        raise builder.unsupported(operator, f"signs as {tensor.dtype}")
    _call(builder, operator, f"ep_bits_unpack_{kind}", "ep_bits", arguments, x, y)


def max_pool(builder: Builder, operator: LiteOperator) -> None:
    """Lower LceBMaxPool2d."""
    x, y = operator.inputs[0], operator.outputs[0]
    options = operator.options
    kernel = (int(options["filter_height"]), int(options["filter_width"]))
    arguments: Fields = {"window": _window(builder, operator, x, y, kernel)}
    _call(builder, operator, "ep_bmax_pool", "ep_bmax_pool", arguments, x, y)


def convolution(builder: Builder, operator: LiteOperator) -> None:
    """Lower LceBconv2d to bits, float32 or int8."""
    x, y = operator.inputs[0], operator.outputs[0]
    filters = _constant(builder, operator, 1, "int32")
    outputs, rows, columns, words = filters.shape
    window = _window(builder, operator, x, y, (rows, columns))
    groups = window["channels"] // words
    channels = int(operator.options["channels_in"]) // groups
    if groups > 1 and (channels % WORD_BITS or outputs % groups):
        raise builder.unsupported(operator, f"groups of {channels} channels")
    form = bits_of(builder.layout)
    name = builder.tensor(operator.inputs[1]).name
    depth, plus_one = rows * columns * words, bool(operator.options["pad_values"])
    packed = form.filters(filters.reshape(outputs, depth), groups)
    low, high = _CLAMPS[int(operator.options["fused_activation_function"])]
    arguments: Fields = {
        "window": window,
        "groups": groups,
        "channels": channels,
        "outputs": outputs,
        "outside": int(plus_one),
        "filters": builder.constant(name, packed),
        "low": low,
        "high": high,
    }
    kind = _result(builder, operator, arguments, rows * columns * channels)
    if kind == "bits" and groups > 1 and outputs // groups % WORD_BITS:
        raise builder.unsupported(operator, f"bits of groups of {outputs // groups} outputs")
    scratch = form.pixels * depth * groups * 4 if plus_one and _reaches_out(window) else 0
    builder.call(
        operator,
        f"ep_bconv2d_{kind}",
        "ep_bconv2d.h",
        "ep_bconv2d_args",
        arguments,
        [builder.read(x)],
        [builder.write(y)],
        scratch=scratch,
        scratch_type="int32_t",
    )


def _result(builder: Builder, operator: LiteOperator, arguments: Fields, products: int) -> str:
    """What the sums become ("bits", "f32", "s8"), and its constants."""
    y = operator.outputs[0]
    dtype = builder.tensor(y).dtype
    if dtype == "int32":
        sums = operator.options.get("sums")
        if sums is None:
            popcounts = _constant(builder, operator, 4, "int32").astype(np.int64)
            sums = np.clip(products - 2 * popcounts, -FAR, FAR).astype(np.int32)
        sums = np.concatenate([sums, np.zeros(-len(sums) % WORD_BITS, np.int32)])
        name = builder.tensor(operator.inputs[1]).name
        arguments["threshold"] = builder.constant(f"{name}/sums", sums)
        return "bits"
    for field, position in (("multiplier", 2), ("bias", 3)):
        name = builder.tensor(operator.inputs[position]).name
        arguments[field] = builder.constant(
            name, _constant(builder, operator, position, "float32").reshape(-1)
        )
    if dtype == "float32":
        return "f32"
    if dtype != "int8":
        raise builder.unsupported(operator, f"a result of type {dtype}")
    even = operator.options.get("rounding") == "even"
    arguments |= {"scale": builder.scale(y), "zero": builder.zero(y), "to_even": int(even)}
    return "s8"


def _constant(builder: Builder, operator: LiteOperator, position: int, dtype: str) -> Array:
    index = operator.inputs[position] if position < len(operator.inputs) else -1
    data = builder.data(index) if index >= 0 else None
    if data is None or data.dtype.name != dtype:
        raise builder.unsupported(operator, f"input {position} that is no constant of {dtype}")
    return data


def _window(
    builder: Builder, operator: LiteOperator, x: int, y: int, kernel: tuple[int, int]
) -> Fields:
    """`ep_window` of options as they are named here; its channels are words."""
    options: dict[str, Any] = operator.options
    plain = {
        "stride_h": options["stride_height"],
        "stride_w": options["stride_width"],
        "dilation_h_factor": options.get("dilation_height_factor", 1),
        "dilation_w_factor": options.get("dilation_width_factor", 1),
        "padding": "SAME" if options["padding"] == SAME else "VALID",
    }
    renamed = LiteOperator(operator.code, operator.inputs, operator.outputs, plain)
    window = window_fields(builder, renamed, x, y, kernel)
    if "pads" in options:
        window["pad_h"], window["pad_w"] = options["pads"]
    return window


def _reaches_out(window: Fields) -> bool:
    """True if a window sees what lies outside of the image."""
    for axis in "hw":
        reach = (window[f"kernel_{axis}"] - 1) * window[f"dilation_{axis}"] + 1
        last = (window[f"out_{axis}"] - 1) * window[f"stride_{axis}"] - window[f"pad_{axis}"]
        if window[f"pad_{axis}"] or last + reach > window[f"in_{axis}"]:
            return True
    return False


def _call(
    builder: Builder,
    operator: LiteOperator,
    function: str,
    header: str,
    arguments: Fields,
    x: int,
    y: int,
) -> None:
    """A kernel from one tensor to another."""
    operand, own = builder.read(x)
    target, result = builder.write(y)
    if function.endswith("_s8"):
        own, result = (("int8_t" if t == "uint8_t" else t) for t in (own, result))
    structure = f"{function}_args"
    reads, writes = [(operand, own)], [(target, result)]
    builder.call(operator, function, f"{header}.h", structure, arguments, reads, writes)


def dense_integers(builder: Builder, operator: LiteOperator) -> None:
    """Lower a dense layer of floats over int8 numbers, weights [out, in]."""
    x, y = operator.inputs[0], operator.outputs[0]
    weights = _constant(builder, operator, 1, "int8")
    outputs, depth = weights.shape
    name = builder.tensor(operator.inputs[1]).name
    low, high = builder.clamp_float(operator)
    arguments: Fields = {
        "rows": size_of(builder.tensor(y).shape) // outputs,
        "depth": depth,
        "outputs": outputs,
        "weights": builder.constant(name, np.ascontiguousarray(weights.T)),
        "bias": builder.constant(f"{name}/bias", bias_of(builder, operator, outputs, "float32")),
        "low": low,
        "high": high,
    }
    _call(builder, operator, "ep_dense_w8", "ep_dense_w8", arguments, x, y)


CUSTOM: dict[str, Callable[[Builder, LiteOperator], None]] = {
    "LceQuantize": quantize,
    "LceDequantize": dequantize,
    "LceBMaxPool2d": max_pool,
    "LceBconv2d": convolution,
    DENSE_INTEGERS: dense_integers,
}


def custom(builder: Builder, operator: LiteOperator) -> None:
    """Lower a CUSTOM operator."""
    function = CUSTOM.get(operator.custom_code)
    if function is None:
        raise builder.unsupported(operator, f"custom operator {operator.custom_code!r}")
    function(builder, operator)


LOWERINGS = {"CUSTOM": custom}
