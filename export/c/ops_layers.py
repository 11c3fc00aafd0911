"""Convolutions and dense layers: weights packed as the kernels read them, the input's zero point folded into biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tflite.ir import LiteOperator
from ..tflite.window import same_pads
from .builder import Builder, scale_arrays, scale_fields, size_of
from .layout import is_pointwise
from .program import Array, Fields
from .strides import broadcast_steps, dense_steps, fields_in_front


def window_fields(
    builder: Builder, operator: LiteOperator, x: int, y: int, kernel: tuple[int, int]
) -> Fields:
    """`ep_window` of a convolution or pool from tensor x to tensor y, both [N, H, W, C]."""
    options = operator.options
    source, result = builder.tensor(x).shape, builder.tensor(y).shape
    stride = (int(options.get("stride_h", 1)), int(options.get("stride_w", 1)))
    dilation = (
        int(options.get("dilation_h_factor", 1) or 1),
        int(options.get("dilation_w_factor", 1) or 1),
    )
    pads = (0, 0)
    if options.get("padding") == "SAME":
        reach = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
        pads = tuple(same_pads(source[1 + i], reach[i], stride[i])[0] for i in (0, 1))  # type: ignore[assignment]
    elif "pad_h" in options:
        pads = (int(options["pad_h"]), int(options["pad_w"]))
    return {
        "batch": source[0],
        "in_h": source[1],
        "in_w": source[2],
        "channels": source[3],
        "out_h": result[1],
        "out_w": result[2],
        "kernel_h": kernel[0],
        "kernel_w": kernel[1],
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
        "pad_h": pads[0],
        "pad_w": pads[1],
    }


def weights_of(builder: Builder, operator: LiteOperator) -> Array:
    """The constant weights of a layer."""
    data = builder.data(operator.inputs[1])
    if data is None:
        raise builder.unsupported(operator, "a weight computed at run time")
    expected = builder.tensor(operator.outputs[0]).dtype
    if data.dtype.name != expected:
        raise builder.unsupported(operator, f"{data.dtype.name} weights of a {expected} layer")
    return data


def bias_of(builder: Builder, operator: LiteOperator, channels: int, dtype: str) -> Array:
    """The constant bias, zeros where there is none."""
    index = operator.inputs[2] if len(operator.inputs) > 2 else -1
    if index < 0:
        return np.zeros(channels, dtype)
    data = builder.data(index)
    if data is None or data.dtype.name != dtype:
        raise builder.unsupported(operator, "this kind of bias")
    return data.reshape(-1)


def requantization(
    builder: Builder, operator: LiteOperator, bias: Array, *, of_product: bool, groups: int = 1
) -> dict[str, Any]:
    """`bias`, `multiplier`, `shift`, `zero`, `low`, `high` of an int8 layer: M = s_x s_w / s_y, in doubles.

    Of a product, what belongs to each output is as the layout has it, one group behind the other.
    """
    x, y = operator.inputs[0], operator.outputs[0]
    weight = builder.quantization(operator.inputs[1])
    if weight is None or any(weight.zero_point):
        raise builder.unsupported(operator, "weights with a zero point")
    factors = builder.scale(x) * np.asarray(weight.scale, np.float64) / builder.scale(y)
    multipliers, shifts = scale_arrays(np.broadcast_to(factors, bias.shape))
    low, high = builder.clamp_int8(operator, y)
    name, zero, layout = builder.tensor(operator.inputs[1]).name, builder.zero(y), builder.layout
    arrays = layout.product_vectors if of_product else layout.vectors
    split = (np.split(values, groups) for values in (bias, multipliers, shifts))
    parts = [arrays(b, m, s, zero) for b, m, s in zip(*split, strict=True)]
    held = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {
        **{key: builder.constant(f"{name}/{key}", data) for key, data in held.items()},
        "zero": zero,
        "low": low,
        "high": high,
    }


def product(
    builder: Builder,
    operator: LiteOperator,
    matrix: Array,
    packed: Array | None = None,
    groups: int = 1,
) -> tuple[str, Fields]:
    """(suffix, `ep_gemm_*_args`) of a layer whose weights are `matrix` [outputs, depth].

    `packed` is what an int8 kernel reads, if that is not the layout's `matrix`. Arguments are those of the first of
    `groups` products, whose arrays lie behind each other.
    """
    outputs, depth = matrix.shape
    name = builder.tensor(operator.inputs[1]).name
    sizes: Fields = {"depth": depth, "outputs": outputs // groups}
    parts = np.split(matrix, groups)
    if builder.is_int8(operator):
        bias = bias_of(builder, operator, outputs, "int32").astype(np.int64)
        offset = builder.zero(operator.inputs[0]) + builder.layout.offset
        bias = bias - offset * matrix.astype(np.int64).sum(axis=1)
        if np.abs(bias).max(initial=0) >= 2**31:
            raise builder.unsupported(operator, "a bias beyond 32 bits")
        if packed is None:
            packed = np.concatenate([builder.layout.matrix(part) for part in parts])
        scales = requantization(
            builder, operator, bias.astype(np.int32), of_product=True, groups=groups
        )
        return "s8", {**sizes, "weights": builder.constant(name, packed), **scales}
    builder.only(operator, "float32", "int8")
    low, high = builder.clamp_float(operator)
    bias = bias_of(builder, operator, outputs, "float32")
    return "f32", {
        **sizes,
        "weights": builder.constant(name, np.concatenate([part.T.reshape(-1) for part in parts])),
        "bias": builder.constant(f"{name}/bias", bias),
        "low": low,
        "high": high,
    }


def conv_2d(builder: Builder, operator: LiteOperator) -> None:
    """Lower CONV_2D, weights [O, H, W, I]."""
    x, y = operator.inputs[0], operator.outputs[0]
    weights = weights_of(builder, operator)
    if weights.shape[3] != builder.tensor(x).shape[3]:
        raise builder.unsupported(operator, "grouped weights")
    window = window_fields(builder, operator, x, y, (weights.shape[1], weights.shape[2]))
    packed = builder.layout.conv(weights, window) if builder.is_int8(operator) else None
    suffix, gemm = product(builder, operator, weights.reshape(weights.shape[0], -1), packed)
    arguments: Fields = {"window": window, "gemm": gemm}
    scratch = 0 if is_pointwise(window) else builder.layout.float_rows * gemm["depth"] * 4
    if suffix == "s8":
        arguments["pad_value"] = builder.zero(x)
        scratch = builder.layout.conv_scratch(window, gemm["depth"])
    builder.call(
        operator,
        f"ep_conv_{suffix}",
        f"ep_conv_{suffix}.h",
        f"ep_conv_{suffix}_args",
        arguments,
        [builder.read(x)],
        [builder.write(y)],
        scratch=scratch,
        scratch_type="int8_t" if suffix == "s8" else "float",
    )


def depthwise_conv_2d(builder: Builder, operator: LiteOperator) -> None:
    """Lower DEPTHWISE_CONV_2D, weights [1, H, W, C * multiples]."""
    x, y = operator.inputs[0], operator.outputs[0]
    weights = weights_of(builder, operator)
    channels = weights.shape[3]
    window = window_fields(builder, operator, x, y, (weights.shape[1], weights.shape[2]))
    name = builder.tensor(operator.inputs[1]).name
    arguments: Fields = {"window": window, "multiples": channels // window["channels"]}
    if builder.is_int8(operator):
        suffix = "s8"
        packed, bias = _depthwise_int8(builder, operator, weights[0], window)
        arguments["weights"] = builder.constant(name, packed)
        arguments.update(requantization(builder, operator, bias, of_product=False))
        arguments["in_zero"] = builder.zero(x)
        arguments |= builder.layout.depthwise_fields(window, arguments["multiples"])
    else:
        builder.only(operator, "float32", "int8")
        suffix = "f32"
        bias = bias_of(builder, operator, channels, "float32")
        arguments["weights"] = builder.constant(name, weights)
        arguments["bias"] = builder.constant(f"{name}/bias", bias)
        arguments["low"], arguments["high"] = builder.clamp_float(operator)
    function = f"ep_depthwise_{suffix}"
    scratch = None
    if suffix == "s8":
        scratch = builder.layout.depthwise_scratch(window, arguments["multiples"])
    builder.call(
        operator,
        function,
        f"{function}.h",
        f"{function}_args",
        arguments,
        [builder.read(x)],
        [builder.write(y)],
        scratch=scratch or 0,
        scratch_type="" if scratch is None else "int8_t",
    )


def _depthwise_int8(
    builder: Builder, operator: LiteOperator, weights: Array, window: Fields
) -> tuple[Array, Array]:
    """(weights, bias) as the layout's kernel reads them; `weights` is [H, W, channels]."""
    channels = weights.shape[2]
    bias = bias_of(builder, operator, channels, "int32")
    layout = builder.layout
    packed = layout.depthwise_window(weights, window)
    if not layout.folds_depthwise:
        return packed, bias
    offset = builder.zero(operator.inputs[0]) + layout.offset
    folded = bias.astype(np.int64) - offset * weights.astype(np.int64).sum(axis=(0, 1))
    if np.abs(folded).max(initial=0) >= 2**31:
        raise builder.unsupported(operator, "a bias beyond 32 bits")
    return packed, folded.astype(np.int32)


def fully_connected(builder: Builder, operator: LiteOperator) -> None:
    """Lower FULLY_CONNECTED, weights [out, in], over all rows of the input."""
    x, y = operator.inputs[0], operator.outputs[0]
    suffix, gemm = product(builder, operator, weights_of(builder, operator))
    rows = size_of(builder.tensor(y).shape) // gemm["outputs"]
    function = f"ep_dense_{suffix}"
    builder.call(
        operator,
        function,
        f"ep_dense_{suffix}.h",
        f"{function}_args",
        {"rows": rows, "gemm": gemm},
        [builder.read(x)],
        [builder.write(y)],
    )


def transpose_conv(builder: Builder, operator: LiteOperator) -> None:
    """Lower TRANSPOSE_CONV: the input spread out, then a convolution with the turned kernel, as one kernel."""
    x, y = operator.inputs[2], operator.outputs[0]
    options = operator.options
    shape, result = builder.tensor(x).shape, builder.tensor(y).shape
    inner = LiteOperator(
        operator.code,
        (x, operator.inputs[1], *operator.inputs[3:]),
        operator.outputs,
        dict(options),
        source=operator.source,
    )
    weights = weights_of(builder, inner)
    suffix, gemm = product(builder, inner, weights.reshape(weights.shape[0], -1))
    pads = [0, 0]
    strides = (int(options["stride_h"]), int(options["stride_w"]))
    if options.get("padding") == "SAME":
        for i in (0, 1):
            pads[i] = same_pads(result[1 + i], weights.shape[1 + i], strides[i])[0]
    width = 1 if suffix == "s8" else 4
    arguments: Fields = {
        "batch": shape[0],
        "in_h": shape[1],
        "in_w": shape[2],
        "channels": shape[3],
        "out_h": result[1],
        "out_w": result[2],
        "kernel_h": weights.shape[1],
        "kernel_w": weights.shape[2],
        "stride_h": strides[0],
        "stride_w": strides[1],
        "pad_h": pads[0],
        "pad_w": pads[1],
        "gemm": gemm,
    }
    if suffix == "s8":
        arguments["pad_value"] = builder.zero(x)
    builder.call(
        operator,
        f"ep_transpose_conv_{suffix}",
        "ep_transpose_conv.h",
        f"ep_transpose_conv_{suffix}_args",
        arguments,
        [builder.read(x)],
        [builder.write(y)],
        scratch=gemm["depth"] * width,
        scratch_type="int8_t" if suffix == "s8" else "float",
    )


def batch_matmul(builder: Builder, operator: LiteOperator) -> None:
    """Lower BATCH_MATMUL of two activations [..., n, k] x [..., k, m], batches broadcast."""
    a, b, y = *operator.inputs, operator.outputs[0]
    steps, sizes = _matmul_steps(builder, operator)
    arguments: Fields = {**sizes, "strides": steps}
    function = "ep_matmul_f32"
    if builder.is_int8(operator):
        function = "ep_matmul_s8"
        real = builder.scale(a) * builder.scale(b) / builder.scale(y)
        arguments.update(zero_a=builder.zero(a), zero_b=builder.zero(b), scale=scale_fields(real))
        arguments.update(zero=builder.zero(y))
    else:
        builder.only(operator, "float32", "int8")
    builder.call(
        operator,
        function,
        "ep_matmul.h",
        f"{function}_args",
        arguments,
        [builder.read(a), builder.read(b)],
        [builder.write(y)],
    )


def _matmul_steps(builder: Builder, operator: LiteOperator) -> tuple[Fields, Fields]:
    a, b = (list(builder.tensor(i).shape) for i in operator.inputs)
    result = list(builder.tensor(operator.outputs[0]).shape)
    steps_a, steps_b = dense_steps(a)[-2:], dense_steps(b)[-2:]
    if operator.options.get("adj_x"):
        steps_a = steps_a[::-1]
    if operator.options.get("adj_y"):
        steps_b = steps_b[::-1]
    depth = a[-2] if operator.options.get("adj_x") else a[-1]
    batch, matrix = result[:-2], size_of(result[-2:])
    rows = []
    for shape, size in ((a, size_of(a[-2:])), (b, size_of(b[-2:])), (result, matrix)):
        rows.append([n * size for n in broadcast_steps(shape[:-2], batch)])
    walked = fields_in_front(batch, rows)
    if walked is None:
        raise builder.unsupported(operator, f"{len(result)} axes")
    sizes: Fields = {
        "n": result[-2],
        "m": result[-1],
        "depth": depth,
        "step_an": steps_a[0],
        "step_ak": steps_a[1],
        "step_bk": steps_b[0],
        "step_bm": steps_b[1],
    }
    return walked, sizes


LOWERINGS = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
    "TRANSPOSE_CONV": transpose_conv,
    "BATCH_MATMUL": batch_matmul,
}
