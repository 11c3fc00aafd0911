"""Functions of one tensor that TFLite spells otherwise: Neg, Sign, Pow, Reciprocal, Round; and int8 Abs and Exp."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compress.quantization.qparams import QParams
from .absorb import Int8Test, always
from .broadcast import emit_broadcast
from .context import Lowering, lite_quantization
from .neutral import Node, Value
from .operands import pass_on
from .ops_elementwise import common_order, operand, range_parameters

_PLAIN = {"fused_activation_function": "NONE"}


def neg(low: Lowering, node: Node) -> None:
    """Lower a Neg: NEG, in int8 a multiplication by -1 (int8 NEG forgets the zero point)."""
    name = node.inputs[0]
    order, index = low.order_of(name), low.natural(name)
    if not node.int8:
        low.emit_result(node, "NEG", [index], order)
        return
    data = np.asarray([-1.0], np.float32)
    params = range_parameters(data)
    minus = low.constant(
        "int8/minus_one", params.quantize(data).astype(np.int8), lite_quantization(params)
    )
    low.emit_result(node, "MUL", [index, minus], order, _PLAIN)


def sign(low: Lowering, node: Node) -> None:
    """Lower a Sign: SIGN, in int8 a steep MUL clamped to [-1, 1] (int8 SIGN runs in no engine)."""
    name, out = node.inputs[0], node.outputs[0]
    order, index = low.order_of(name), low.natural(name)
    source, params = low.quantization(name), low.quantization(out)
    if source is None or params is None:
        low.emit_result(node, "SIGN", [index], order)
        return
    # One step of the input must span the output's range: 127 * s_in * s_factor = 2.
    factor = QParams((float(np.float32(2.0 / (127 * source.scale[0]))),), (0,))
    steep = low.constant(f"{out}/steep", np.asarray([127], np.int8), lite_quantization(factor))
    options = {"fused_activation_function": "RELU_N1_TO_1"}
    low.emit_result(node, "MUL", [index, steep], order, options)


def pow_(low: Lowering, node: Node) -> None:
    """Lower a Pow: cheaper operators for the usual constant exponents, POW for the rest."""
    name = node.inputs[0]
    exponent = low.constant_of(node, 1)
    order = low.order_of(name)
    if exponent is not None and exponent.size == 1:
        power = float(exponent.reshape(-1)[0])
        if power in (2.0, 3.0):
            _repeat(low, node, int(power))
            return
        if power == 1.0:
            pass_on(low, node, low.natural(name), order)
            return
        if power in (0.5, -0.5):
            low.emit_result(node, "SQRT" if power > 0 else "RSQRT", [low.natural(name)], order)
            return
        if power == -1.0:
            reciprocal(low, node)
            return
    order = common_order(low, node)
    inputs = [operand(low, node, n, order) for n in node.inputs]
    emit_broadcast(low, node, "POW", inputs, order)


def _repeat(low: Lowering, node: Node, power: int) -> None:
    """x * x, and once more for a cube."""
    name = node.inputs[0]
    order, index = low.order_of(name), low.natural(name)
    product = index
    for _ in range(power - 2):
        made = low.temporary(node, "square", low.model.tensors[index].shape)
        low.emit(node, "MUL", [product, index], [made], _PLAIN)
        product = made
    low.emit_result(node, "MUL", [product, index], order, _PLAIN)


def reciprocal(low: Lowering, node: Node) -> None:
    """Lower a Reciprocal: 1 / x."""
    name = node.inputs[0]
    one = low.constant("float32/one", np.asarray([1.0], np.float32))
    low.emit_result(node, "DIV", [one, low.natural(name)], low.order_of(name), _PLAIN)


def round_(low: Lowering, node: Node) -> None:
    """Lower a Round: half to even, as ONNX has it."""
    name = node.inputs[0]
    low.emit_result(node, "ROUND", [low.natural(name)], low.order_of(name))


def erf(low: Lowering, node: Node) -> None:
    """TFLite has no Erf; inside Gelu it never arrives here."""
    raise low.unsupported(
        node, "Erf outside a Gelu", "use torch.nn.GELU, or approximate it by Tanh"
    )


def _per_tensor(node: Node, values: Mapping[str, Value]) -> bool:
    held = values[node.inputs[0]].quantization
    return held is not None and held.axis is None


def _sign_fits(node: Node, values: Mapping[str, Value]) -> bool:
    """A scale so small that the steep factor leaves float32's normal range is left to float."""
    held = values[node.inputs[0]].quantization
    return held is not None and held.axis is None and held.scale[0] > 1e-30


LOWERINGS = {
    "Neg": neg,
    "Sign": sign,
    "Pow": pow_,
    "Reciprocal": reciprocal,
    "Round": round_,
    "Erf": erf,
}

INT8: dict[str, Int8Test] = {
    "Abs": always,
    "Exp": always,
    "Neg": _per_tensor,
    "Sign": _sign_fits,
}
