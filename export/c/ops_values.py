"""Element by element: sums, products, extremes, comparisons, choices, activations, quantization, casts.

int8 functions of one value are tables of 256 entries, made by running the operator in float on all values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compress.quantization.qparams import QParams
from ..tflite.ir import LiteOperator
from .builder import Builder, scale_fields, size_of
from .float_detour import through_float
from .program import Array, Fields
from .strides import broadcast_steps, dense_steps, fields

Function = Callable[[Builder, LiteOperator], None]

ADD_SHIFT = 20


def walk(builder: Builder, operator: LiteOperator, inputs: list[int]) -> Fields:
    """`ep_strides` of broadcast inputs and the dense result."""
    result = builder.tensor(operator.outputs[0]).shape
    rows = [broadcast_steps(builder.tensor(index).shape, result) for index in inputs]
    found = fields(result, [*rows, dense_steps(result)])
    if found is None:
        raise builder.unsupported(operator, "broadcasting along this many axes")
    return found


def binary(
    builder: Builder,
    operator: LiteOperator,
    function: str,
    header: str,
    arguments: str,
    more: Fields,
) -> None:
    """A kernel of two broadcast tensors."""
    a, b, y = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    same = builder.tensor(a).shape == builder.tensor(y).shape
    builder.call(
        operator,
        function,
        header,
        arguments,
        {"strides": walk(builder, operator, [a, b]), **more},
        [builder.read(a), builder.read(b)],
        [builder.write(y)],
        in_place=same and a != b,
    )


def add(builder: Builder, operator: LiteOperator) -> None:
    """Lower ADD or SUB."""
    a, b, y = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if not builder.is_int8(operator):
        _float(builder, operator)
        return
    twice = 2.0 * max(builder.scale(a), builder.scale(b))
    low, high = builder.clamp_int8(operator, y)
    more: Fields = {
        "zero_a": builder.zero(a),
        "zero_b": builder.zero(b),
        "sign": -1 if operator.code == "SUB" else 1,
        "scale_a": scale_fields(builder.scale(a) / twice),
        "scale_b": scale_fields(builder.scale(b) / twice),
        "scale_y": scale_fields(twice / (2.0**ADD_SHIFT * builder.scale(y))),
        "zero": builder.zero(y),
        "low": low,
        "high": high,
    }
    binary(builder, operator, "ep_add_s8", "ep_add_s8.h", "ep_add_s8_args", more)


def mul(builder: Builder, operator: LiteOperator) -> None:
    """Lower MUL."""
    a, b, y = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if not builder.is_int8(operator):
        _float(builder, operator)
        return
    low, high = builder.clamp_int8(operator, y)
    more: Fields = {
        "zero_a": builder.zero(a),
        "zero_b": builder.zero(b),
        "scale": scale_fields(builder.scale(a) * builder.scale(b) / builder.scale(y)),
        "zero": builder.zero(y),
        "low": low,
        "high": high,
    }
    binary(builder, operator, "ep_mul_s8", "ep_mul_s8.h", "ep_mul_s8_args", more)


def _float(builder: Builder, operator: LiteOperator) -> None:
    builder.only(operator, "float32")
    name = f"ep_{operator.code.lower()}_f32"
    low, high = builder.clamp_float(operator)
    more: Fields = {"low": low, "high": high}
    binary(builder, operator, name, "ep_binary_f32.h", "ep_binary_f32_args", more)


def float_binary(builder: Builder, operator: LiteOperator) -> None:
    """Lower DIV, POW, SQUARED_DIFFERENCE: int8 takes the detour through float."""
    if builder.is_int8(operator):
        through_float(builder, operator, float_binary)
        return
    _float(builder, operator)


def prelu(builder: Builder, operator: LiteOperator) -> None:
    """Lower PRELU."""
    x, slope, y = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if not builder.is_int8(operator):
        _float(builder, operator)
        return
    ratio = builder.scale(x) / builder.scale(y)
    more: Fields = {
        "zero_x": builder.zero(x),
        "zero_slope": builder.zero(slope),
        "scale": scale_fields(ratio),
        "scale_below": scale_fields(builder.scale(x) * builder.scale(slope) / builder.scale(y)),
        "zero": builder.zero(y),
    }
    binary(builder, operator, "ep_prelu_s8", "ep_prelu_s8.h", "ep_prelu_s8_args", more)


def extreme(builder: Builder, operator: LiteOperator) -> None:
    """Lower MAXIMUM or MINIMUM; int8 tensors share one scale."""
    if not builder.is_int8(operator):
        _float(builder, operator)
        return
    name = f"ep_{operator.code.lower()}_s8"
    binary(builder, operator, name, "ep_binary_s8.h", "ep_binary_s8_args", {})


_SUFFIXES = {"float32": "f32", "int8": "s8", "int32": "s32", "int64": "s64", "bool": "u8"}


def compare(builder: Builder, operator: LiteOperator) -> None:
    """Lower a comparison or LOGICAL_AND, LOGICAL_OR; int8 operands share one scale."""
    dtype = builder.tensor(operator.inputs[0]).dtype
    name = f"ep_{operator.code.lower()}_{_SUFFIXES.get(dtype, '')}"
    logical = operator.code in ("LOGICAL_AND", "LOGICAL_OR", "NOT_EQUAL")
    if dtype not in _SUFFIXES or (dtype == "bool") > logical:
        raise builder.unsupported(operator, f"operands of type {dtype}")
    binary(builder, operator, name, "ep_compare.h", "ep_compare_args", {})


def logical_not(builder: Builder, operator: LiteOperator) -> None:
    """Lower LOGICAL_NOT."""
    _map(builder, operator, "ep_logical_not", "ep_compare.h", "ep_logical_not_args", {})


def select(builder: Builder, operator: LiteOperator) -> None:
    """Lower SELECT_V2."""
    y = operator.outputs[0]
    tensor = builder.tensor(y)
    width = 1 if tensor.dtype == "bool" else np.dtype(tensor.dtype).itemsize
    arguments: Fields = {"strides": walk(builder, operator, list(operator.inputs)), "size": width}
    builder.call(
        operator,
        "ep_select",
        "ep_compare.h",
        "ep_select_args",
        arguments,
        [builder.read(index) for index in operator.inputs],
        [builder.write(y)],
    )


def _map(
    builder: Builder, operator: LiteOperator, function: str, header: str, kind: str, more: Fields
) -> None:
    """A kernel of one tensor, element by element; in place where the widths agree."""
    x, y = operator.inputs[0], operator.outputs[0]
    builder.call(
        operator,
        function,
        header,
        kind,
        {"count": size_of(builder.tensor(y).shape), **more},
        [builder.read(x)],
        [builder.write(y)],
        in_place=builder.read(x)[1] == builder.write(y)[1],
    )


# ------------------------------------------------------------------- one value


def unary(builder: Builder, operator: LiteOperator) -> None:
    """Lower a function of one value: a formula in float, a table in int8."""
    if not builder.is_int8(operator):
        builder.only(operator, "float32")
        name = operator.code.lower()
        if operator.code == "GELU" and operator.options.get("approximate"):
            name = "gelu_tanh"
        more: Fields = {"alpha": float(operator.options.get("alpha", 0.0)), "low": 0.0, "high": 0.0}
        _map(builder, operator, f"ep_{name}_f32", "ep_unary_f32.h", "ep_unary_f32_args", more)
        return
    table = _table(builder, operator)
    name = f"{builder.tensor(operator.outputs[0]).name}/table"
    more = {"table": builder.constant(name, table)}
    _map(builder, operator, "ep_table_s8", "ep_map_s8.h", "ep_table_s8_args", more)


ONNX_OF = {
    "LOGISTIC": "Sigmoid",
    "TANH": "Tanh",
    "HARD_SWISH": "HardSwish",
    "LEAKY_RELU": "LeakyRelu",
    "GELU": "Gelu",
    "ELU": "Elu",
    "EXP": "Exp",
    "ABS": "Abs",
    "NEG": "Neg",
    "LOG": "Log",
    "SQRT": "Sqrt",
    "SIN": "Sin",
    "COS": "Cos",
    "FLOOR": "Floor",
    "CEIL": "Ceil",
    "ROUND": "Round",
    "SIGN": "Sign",
}


def _table(builder: Builder, operator: LiteOperator) -> Array:
    """The result for each of the 256 inputs, computed in float by onnxruntime as the integer reference does."""
    x, y = operator.inputs[0], operator.outputs[0]
    source = QParams((builder.scale(x),), (builder.zero(x),))
    target = QParams((builder.scale(y),), (builder.zero(y),))
    real = source.dequantize(np.arange(-128, 128))
    if operator.code == "RSQRT":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.float32(1.0) / np.sqrt(real)
    else:
        values = _run_onnx(operator, real)
    finite = np.nan_to_num(values, nan=0.0, posinf=3e38, neginf=-3e38)
    return target.quantize(finite).astype(np.int8)


def _run_onnx(operator: LiteOperator, values: Array) -> Array:
    import onnxruntime
    from onnx import TensorProto, helper

    attributes: dict[str, Any] = {}
    if operator.code == "LEAKY_RELU":
        attributes["alpha"] = float(operator.options["alpha"])
    if operator.code == "GELU":
        attributes["approximate"] = "tanh" if operator.options.get("approximate") else "none"
    node = helper.make_node(ONNX_OF[operator.code], ["x"], ["y"], **attributes)
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, values.shape) for n in "xy"]
    graph = helper.make_graph([node], "table", info[:1], info[1:])
    opset = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": values})[0])


def clamp(builder: Builder, operator: LiteOperator) -> None:
    """Lower RELU, RELU6, RELU_N1_TO_1 that stand alone."""
    if builder.is_int8(operator):
        _rescale(builder, operator, operator.code)
        return
    fused = LiteOperator(
        operator.code,
        operator.inputs,
        operator.outputs,
        {"fused_activation_function": operator.code},
        source=operator.source,
    )
    low, high = builder.clamp_float(fused)
    more: Fields = {"alpha": 0.0, "low": low, "high": high}
    _map(builder, operator, "ep_clamp_f32", "ep_unary_f32.h", "ep_unary_f32_args", more)


def _rescale(builder: Builder, operator: LiteOperator, activation: str) -> None:
    x, y = operator.inputs[0], operator.outputs[0]
    low, high = builder.bounds_int8(activation, y)
    more: Fields = {
        "in_zero": builder.zero(x),
        "scale": scale_fields(builder.scale(x) / builder.scale(y)),
        "zero": builder.zero(y),
        "low": low,
        "high": high,
    }
    _map(builder, operator, "ep_rescale_s8", "ep_map_s8.h", "ep_rescale_s8_args", more)


def quantize(builder: Builder, operator: LiteOperator) -> None:
    """Lower QUANTIZE: from float, or to other parameters."""
    x, y = operator.inputs[0], operator.outputs[0]
    builder.only(operator, "int8")
    if builder.tensor(x).dtype == "int8":
        _rescale(builder, operator, "NONE")
        return
    more: Fields = {"zero": builder.zero(y), "scale": builder.scale(y)}
    _map(builder, operator, "ep_quantize_s8", "ep_quantize.h", "ep_quantize_args", more)


def dequantize(builder: Builder, operator: LiteOperator) -> None:
    """Lower DEQUANTIZE; a constant becomes its float values here."""
    x, y = operator.inputs[0], operator.outputs[0]
    data = builder.data(x)
    if data is not None:
        builder.fold(y, _real(builder, x, data))
        return
    if builder.tensor(x).dtype != "int8":
        raise builder.unsupported(operator, f"values of type {builder.tensor(x).dtype}")
    more: Fields = {"zero": builder.zero(x), "scale": builder.scale(x)}
    _map(builder, operator, "ep_dequantize_s8", "ep_quantize.h", "ep_quantize_args", more)


def _real(builder: Builder, index: int, data: Array) -> Array:
    held = builder.quantization(index)
    if held is None:
        return data.astype(np.float32)
    axis = held.dimension if len(held.scale) > 1 else None
    return QParams(held.scale, held.zero_point, axis=axis).dequantize(data)


def cast(builder: Builder, operator: LiteOperator) -> None:
    """Lower CAST."""
    x, y = (builder.tensor(i).dtype for i in (operator.inputs[0], operator.outputs[0]))
    if "int8" in (x, y) or x not in _SUFFIXES or y not in _SUFFIXES:
        raise builder.unsupported(operator, f"from {x} to {y}")
    name = f"ep_cast_{_SUFFIXES[x]}_{_SUFFIXES[y]}"
    _map(builder, operator, name, "ep_cast.h", "ep_cast_args", {})


LOWERINGS: dict[str, Function] = {
    "ADD": add,
    "SUB": add,
    "MUL": mul,
    **{name: float_binary for name in ("DIV", "POW", "SQUARED_DIFFERENCE")},
    "PRELU": prelu,
    "MAXIMUM": extreme,
    "MINIMUM": extreme,
    **{n: compare for n in ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL")},
    **{name: compare for name in ("NOT_EQUAL", "LOGICAL_AND", "LOGICAL_OR")},
    "LOGICAL_NOT": logical_not,
    "SELECT_V2": select,
    **{name: unary for name in (*ONNX_OF, "RSQRT")},
    **{name: clamp for name in ("RELU", "RELU6", "RELU_N1_TO_1")},
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
    "CAST": cast,
}
