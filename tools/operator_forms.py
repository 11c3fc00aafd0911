"""Forms of operators with weights, and of functions of one and two values. See `operator_cases`."""

from __future__ import annotations

import numpy as np

from .operator_cases import SIGNALS, VECTORS, Form, floats

_W = {"w": (4, 4, 3, 3), "b": (4,)}
_DEPTH = {"w": (4, 1, 3, 3), "b": (4,)}
_PADS = "pads = [1, 1, 1, 1]"
_STATISTICS = {
    "g": (4,),
    "s": (4,),
    "m": (4,),
    "v": floats(0.5, 1.0, 1.5, 2.0),
}
_NORM = "BatchNormalization({}, g, s, m, v)"
_SEQUENCE = ((4, 1, 3), (3, 1, 3))
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _recurrent(operator: str, form: str, attributes: str = "", directions: int = 1) -> Form:
    rows = _GATES[operator] * 3
    constants = {
        "w": (directions, rows, 3),
        "r": (directions, rows, 3),
        "b": (directions, 2 * rows),
    }
    spelled = f"<hidden_size = 3{attributes}>"
    body = f"y = {operator}{spelled}(x, w, r, b)"
    # four steps, each with several roundings that the state carries on
    return Form(operator, form, body, _SEQUENCE, constants, int8_steps=4)


LAYERS: tuple[Form, ...] = (
    Form("Conv", "", "y = Conv(x, w, b)", constants=_W),
    Form("Conv", "padded", f"y = Conv<{_PADS}>(x, w, b)", constants=_W),
    Form("Conv", "strided, padded", f"y = Conv<{_PADS}, strides = [2, 2]>(x, w, b)", constants=_W),
    Form(
        "Conv", "dilated", "y = Conv<pads = [2, 2, 2, 2], dilations = [2, 2]>(x, w)", constants=_W
    ),
    Form("Conv", "grouped", "y = Conv<group = 2>(x, w)", constants={"w": (6, 2, 3, 3)}),
    Form("Conv", "depthwise", f"y = Conv<group = 4, {_PADS}>(x, w, b)", constants=_DEPTH),
    Form(
        "Conv",
        "depthwise, two outputs a channel",
        "y = Conv<group = 4>(x, w)",
        constants={"w": (8, 1, 3, 3)},
    ),
    Form("Conv", "1-D", "y = Conv<pads = [1, 1]>(x, w)", SIGNALS, {"w": (4, 4, 3)}),
    Form("Conv", "1-D depthwise", "y = Conv<group = 4>(x, w)", SIGNALS, {"w": (4, 1, 3)}),
    Form("Conv", "with Relu", "a = Conv(x, w, b) y = Relu(a)", constants=_W),
    Form("ConvTranspose", "", "y = ConvTranspose(x, w)", constants={"w": (4, 3, 3, 3)}),
    Form(
        "ConvTranspose",
        "strided, padded",
        f"y = ConvTranspose<{_PADS}, strides = [2, 2], output_padding = [1, 1]>(x, w)",
        constants={"w": (4, 3, 3, 3)},
    ),
    Form(
        "ConvTranspose", "grouped", "y = ConvTranspose<group = 2>(x, w)", constants={"w": (4, 2, 3, 3)}
    ),
    Form("ConvTranspose", "1-D", "y = ConvTranspose(x, w)", SIGNALS, {"w": (4, 3, 3)}),
    Form("BatchNormalization", "after Conv", f"a = Conv(x, w, b) y = {_NORM.format('a')}",
         constants={**_W, **_STATISTICS}),
    Form("BatchNormalization", "", f"y = {_NORM.format('x')}", constants=_STATISTICS),
    Form("Gemm", "", "y = Gemm<transB = 1>(x, w, b)", VECTORS, {"w": (4, 6), "b": (4,)}),
    Form("Gemm", "with alpha, beta", "y = Gemm<alpha = 0.5, beta = 2.0>(x, w, b)", VECTORS,
         {"w": (6, 4), "b": (4,)}),
    Form("MatMul", "by a constant", "y = MatMul(x, w)", ((1, 6), (1, 4, 6), (1, 6, 6, 6)), {"w": (6, 5)}),
    Form("MatMul", "of two values", "y = MatMul(x, z)", ((1, 5, 6), (1, 2, 6, 6)), second="turned"),
    _recurrent("LSTM", ""),
    _recurrent("LSTM", "bidirectional", ', direction = "bidirectional"', 2),
    _recurrent("GRU", "", ", linear_before_reset = 1"),
    _recurrent("GRU", "bidirectional", ', linear_before_reset = 1, direction = "bidirectional"', 2),
    _recurrent("RNN", ""),
)  # fmt: skip


def _unary(operator: str, low: float = -4.0, high: float = 4.0) -> Form:
    return Form(operator, "", f"y = {operator}(x)", low=low, high=high)


_PER_CHANNEL = floats(0.5, 1.5, -2.0, 1.0).reshape(4, 1, 1)


def _binary(operator: str) -> tuple[Form, ...]:
    low = 0.5 if operator == "Div" else -2.0
    return (
        Form(operator, "of two values", f"y = {operator}(x, z)", second="same", low=low),
        Form(operator, "with a constant", f"y = {operator}(x, k)", constants={"k": _PER_CHANNEL}),
        Form(operator, "constant first", f"y = {operator}(k, x)", constants={"k": np.float32(1.5)}, low=low),
    )  # fmt: skip


VALUES: tuple[Form, ...] = (
    _unary("Relu"),
    Form("Clip", "to [0, 6]", "y = Clip(x, low, high)", high=8.0,
         constants={"low": np.float32(0), "high": np.float32(6)}),
    Form("Clip", "to other bounds", "y = Clip(x, low, high)",
         constants={"low": np.float32(-0.7), "high": np.float32(1.3)}),
    _unary("LeakyRelu"),
    Form("PRelu", "one slope", "y = PRelu(x, s)", constants={"s": floats(0.25)}),
    Form("PRelu", "a slope each channel", "y = PRelu(x, s)", constants={"s": (4, 1, 1)}),
    _unary("HardSwish"),
    Form("HardSigmoid", "", "y = HardSigmoid(x)", low=-4, high=4, int8_steps=2),
    _unary("Sigmoid"),
    _unary("Tanh"),
    Form("Softmax", "", "y = Softmax<axis = 1>(x)", (*VECTORS, (1, 4, 4, 4)), low=-4, high=4),
    Form("LogSoftmax", "", "y = LogSoftmax<axis = 1>(x)", (*VECTORS, (1, 4, 4, 4)), low=-4, high=4),
    _unary("Gelu"),
    Form("Gelu", "tanh", 'y = Gelu<approximate = "tanh">(x)', low=-4, high=4),
    _unary("Elu"),
    _unary("Softplus"),
    _unary("Mish"),
    Form("LayerNormalization", "", "y = LayerNormalization(x, s, b)", ((1, 4, 6), (1, 6, 6, 6)),
         {"s": (6,), "b": (6,)}),
    Form("InstanceNormalization", "", "y = InstanceNormalization(x, s, b)", constants={"s": (4,), "b": (4,)}),
    Form("GroupNormalization", "", "y = GroupNormalization<num_groups = 2>(x, s, b)",
         constants={"s": (4,), "b": (4,)}),
    *_binary("Add"),
    *_binary("Sub"),
    *_binary("Mul"),
    *_binary("Div"),
    Form("Sum", "of three", "a = Neg(x) y = Sum(x, z, a)", second="same", int8_steps=2),
    Form("Mean", "of three", "a = Tanh(x) y = Mean(x, z, a)", second="same", int8_steps=2),
    Form("Pow", "2", "y = Pow(x, k)", constants={"k": np.float32(2)}),
    Form("Pow", "other exponents", "y = Pow(x, k)", constants={"k": np.float32(1.7)}, low=0.1),
    _unary("Abs"),
    _unary("Neg"),
    _unary("Exp", -2.0, 2.0),
    _unary("Log", 0.1, 4.0),
    _unary("Sqrt", 0.1, 4.0),
    _unary("Reciprocal", 0.5, 4.0),
    _unary("Erf"),
    _unary("Sin"),
    _unary("Cos"),
    _unary("Floor"),
    _unary("Ceil"),
    _unary("Round"),
    Form("Sign", "", "y = Sign(x)", gap=0.1),
)  # fmt: skip
