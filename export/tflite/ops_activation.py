"""Activations that stand alone (those after a compute operator were fused by graph.py), and other
functions of one tensor: Relu, Clip, LeakyRelu, PRelu, HardSwish, HardSigmoid, Sigmoid, Tanh, Softmax, Gelu.

int8 LOGISTIC, SOFTMAX and TANH fix their output's parameters; HARD_SIGMOID does not exist in TFLite.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compress.quantization.qparams import QParams
from ...compress.quantization.rules import by_tflite
from .absorb import Int8Test, always
from .context import Lowering, lite_quantization
from .graph import clip_bounds, fused_name
from .layout import move_last, physical_shape
from .neutral import Node, Value, same_parameters
from .ops_elementwise import operand, range_parameters

_UNARY = {
    "Relu": "RELU",
    "HardSwish": "HARD_SWISH",
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
    "Abs": "ABS",
    "Exp": "EXP",
    "Log": "LOG",
    "Sqrt": "SQRT",
    "Elu": "ELU",
    "Floor": "FLOOR",
    "Ceil": "CEIL",
    "Sin": "SIN",
    "Cos": "COS",
}
"""Operators that treat every element alike and have no options."""


def fixed_parameters(code: str) -> QParams | None:
    """Parameters an int8 kernel fixes for its output, None if it does not."""
    rule = by_tflite(code)
    if rule is None or rule.fixed is None:
        return None
    return QParams((float(np.float32(rule.fixed[0])),), (rule.fixed[1],))


def unary(low: Lowering, node: Node) -> None:
    """Lower an operator of `_UNARY`."""
    if node.operator == "Elu" and float(node.attributes.get("alpha", 1.0)) != 1.0:
        raise low.unsupported(node, "alpha other than 1", "use alpha = 1")
    code = _UNARY[node.operator]
    order = low.order_of(node.inputs[0])
    produced = fixed_parameters(code) if node.int8 else None
    low.emit_result(node, code, [low.natural(node.inputs[0])], order, produced=produced)


def gelu(low: Lowering, node: Node) -> None:
    """Lower a Gelu; `approximate` is "none" (erf) or "tanh"."""
    order = low.order_of(node.inputs[0])
    options = {"approximate": node.attributes.get("approximate", "none") == "tanh"}
    low.emit_result(node, "GELU", [low.natural(node.inputs[0])], order, options)


def leaky_relu(low: Lowering, node: Node) -> None:
    """Lower a LeakyRelu."""
    order = low.order_of(node.inputs[0])
    options = {"alpha": float(node.attributes.get("alpha", 0.01))}
    low.emit_result(node, "LEAKY_RELU", [low.natural(node.inputs[0])], order, options)


def prelu(low: Lowering, node: Node) -> None:
    """Lower a PRelu; the constant slope is broadcast as ONNX says (not to the batch axis)."""
    order = low.order_of(node.inputs[0])
    shape = low.value(node.inputs[0]).shape
    slope = low.value(node.inputs[1])
    if slope.data is None:
        raise low.unsupported(node, "a slope computed at run time", "make the slope a constant")
    data = np.broadcast_to(slope.real(), (1,) * (len(shape) - slope.data.ndim) + slope.shape)
    name = f"{slope.name}/slope"
    params = slope.quantization if node.int8 else None
    if node.int8:
        params = params if params is not None and params.axis is None else range_parameters(data)
        data = params.quantize(data).astype(np.int8)
    kept = tuple(axis for axis in order if axis >= 0)
    lengths = [1 if axis < 0 else data.shape[axis] for axis in order]
    physical = data.transpose(kept).reshape(lengths)
    physical = physical[0] if physical.ndim > 1 and physical.shape[0] == 1 else physical
    if physical.size == 1:  # XNNPACK reads one slope per channel without looking at the shape
        physical = np.repeat(physical, physical_shape(shape, order)[-1], axis=-1)
    alpha = low.constant(name, physical, lite_quantization(params))
    low.emit_result(node, "PRELU", [low.natural(node.inputs[0]), alpha], order)


def softmax(low: Lowering, node: Node) -> None:
    """Lower a Softmax or LogSoftmax: TFLite's works along the last axis in memory."""
    name = node.inputs[0]
    rank = len(low.value(name).shape)
    axis = int(node.attributes.get("axis", -1)) % rank
    order = low.order_of(name)
    order = order if order[-1] == axis else move_last(order, axis)
    code = "SOFTMAX" if node.operator == "Softmax" else "LOG_SOFTMAX"
    options = {"beta": 1.0} if code == "SOFTMAX" else {}
    produced = fixed_parameters(code) if node.int8 else None
    low.emit_result(node, code, [low.ordered(name, order)], order, options, produced=produced)


def clip(low: Lowering, node: Node) -> None:
    """Lower a Clip: an activation TFLite knows, or MAXIMUM and MINIMUM with the bounds."""
    name = node.inputs[0]
    order = low.order_of(name)
    code = fused_name(node, low.graph.values)
    if code:
        low.emit_result(node, code, [low.natural(name)], order)
        return
    if node.int8:
        _clip_integers(low, node)
        return
    bounds = [(code, n) for code, n in zip(("MAXIMUM", "MINIMUM"), node.inputs[1:3]) if n]  # noqa: B905
    _chain(low, node, low.natural(name), bounds)


def _chain(low: Lowering, node: Node, index: int, bounds: list[tuple[str, str]]) -> None:
    """The operators of `bounds` one after the other; none leaves the tensor as it is."""
    order = low.order_of(node.inputs[0])
    if not bounds:
        low.alias(node.outputs[0], index, order)
        return
    params = low.quantization(node.outputs[0])
    for code, name in bounds[:-1]:
        made = low.temporary(node, code.lower(), low.model.tensors[index].shape)
        low.emit(node, code, [index, operand(low, node, name, order, params)], [made])
        index = made
    code, name = bounds[-1]
    low.emit_result(node, code, [index, operand(low, node, name, order, params)], order)


def _clip_integers(low: Lowering, node: Node) -> None:
    """Requantize to the output's parameters, whose saturation often is the clip already."""
    name, out = node.inputs[0], node.outputs[0]
    order, params = low.order_of(name), low.quantization(out)
    bounds = clip_bounds(node, low.graph.values)
    if params is None or bounds is None:
        raise low.unsupported(node, "bounds computed at run time", "make them constants")
    reach = params.dequantize(np.asarray([-128, 127]))
    needed = []
    if bounds[0] > reach[0]:
        needed.append(("MAXIMUM", node.inputs[1]))
    if bounds[1] < reach[1]:
        needed.append(("MINIMUM", node.inputs[2]))
    if needed:
        _chain(low, node, low.input_as(node, name, order, params), needed)
    elif same_parameters(params, low.quantization(name)):
        low.alias(out, low.natural(name), order)
    else:
        low.emit_result(node, "QUANTIZE", [low.natural(name)], order, version=2)


def hard_sigmoid(low: Lowering, node: Node) -> None:
    """Lower max(0, min(1, alpha * x + beta)): MUL, ADD and a clamp."""
    alpha = float(node.attributes.get("alpha", 0.2))
    beta = float(node.attributes.get("beta", 0.5))
    if node.int8:
        _hard_sigmoid_integers(low, node, alpha, beta)
        return
    order, index = low.order_of(node.inputs[0]), low.natural(node.inputs[0])
    shape = low.model.tensors[index].shape
    if not np.isclose(6.0 * alpha, 1.0, rtol=1e-6, atol=0.0):
        made = low.temporary(node, "scaled", shape)
        _emit_scalar(low, node, "MUL", index, 6.0 * alpha, made)
        index = made
    made = low.temporary(node, "clamped", shape)
    _emit_scalar(low, node, "ADD", index, 6.0 * beta, made, "RELU6")
    sixth = low.constant("float32/sixth", np.asarray([1.0 / 6.0], np.float32))
    low.emit_result(node, "MUL", [made, sixth], order, {"fused_activation_function": "NONE"})


def _emit_scalar(
    low: Lowering, node: Node, code: str, index: int, number: float, made: int, fused: str = "NONE"
) -> None:
    constant = low.constant(f"{node.outputs[0]}/{code.lower()}", np.asarray([number], np.float32))
    low.emit(node, code, [index, constant], [made], {"fused_activation_function": fused})


def _hard_sigmoid_integers(low: Lowering, node: Node, alpha: float, beta: float) -> None:
    """alpha * x keeps the integers (scale alpha * s, same zero point); adding beta saturates at 0 and 1.

    Output parameters that reach beyond [0, 1] are clamped by MAXIMUM and MINIMUM.
    """
    source = low.quantization(node.inputs[0])
    params = low.quantization(node.outputs[0])
    if source is None or params is None:
        raise ValueError("an int8 node without parameters")
    order, index = low.order_of(node.inputs[0]), low.natural(node.inputs[0])
    shape = low.model.tensors[index].shape
    scaled = QParams((float(np.float32(source.scale[0] * alpha)),), source.zero_point)
    product = low.temporary(node, "scaled", shape, params=scaled)
    low.emit(node, "MUL", [index, _scalar(low, node, alpha)], [product], _PLAIN)
    reach = params.dequantize(np.asarray([-128, 127]))
    half_step = params.scale[0] / 2
    clamps = []
    if reach[0] < -half_step:
        clamps.append(("MAXIMUM", 0.0))
    if reach[1] > 1.0 + half_step:
        clamps.append(("MINIMUM", 1.0))
    inputs = [product, _scalar(low, node, beta)]
    if not clamps:
        low.emit_result(node, "ADD", inputs, order, _PLAIN)
        return
    total = low.temporary(node, "sum", shape)
    low.emit(node, "ADD", inputs, [total], _PLAIN)
    for position, (code, bound) in enumerate(clamps):
        limit = _scalar(low, node, bound, params)
        if position == len(clamps) - 1:
            low.emit_result(node, code, [total, limit], order)
        else:
            made = low.temporary(node, code.lower(), shape)
            low.emit(node, code, [total, limit], [made])
            total = made


_PLAIN = {"fused_activation_function": "NONE"}


def _scalar(low: Lowering, node: Node, number: float, params: QParams | None = None) -> int:
    """An int8 constant of one element, exact unless `params` are given."""
    data = np.asarray([number], np.float32)
    params = params or range_parameters(data)
    name = f"{node.outputs[0]}/{number:.6g}"
    return low.constant(name, params.quantize(data).astype(np.int8), lite_quantization(params))


def _bounds_known(node: Node, values: Mapping[str, Value]) -> bool:
    return all(not name or values[name].is_constant for name in node.inputs[1:3])


def _slope_known(node: Node, values: Mapping[str, Value]) -> bool:
    return values[node.inputs[1]].is_constant


def _positive_alpha(node: Node, values: Mapping[str, Value]) -> bool:
    return float(node.attributes.get("alpha", 0.2)) > 0


LOWERINGS = {
    **{name: unary for name in _UNARY},
    "Gelu": gelu,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "Clip": clip,
    "HardSigmoid": hard_sigmoid,
}

INT8: dict[str, Int8Test] = {
    **{name: always for name in ("Relu", "HardSwish", "Sigmoid", "Tanh", "Gelu", "LeakyRelu")},
    "PRelu": _slope_known,
    "Softmax": always,
    "LogSoftmax": always,
    "Clip": _bounds_known,
    "HardSigmoid": _positive_alpha,
}
