"""Which torch modules, functions and tensor methods training with quantizers knows.

The int8 rules are looked up by the ONNX name that a call's handler gives it (`rules.by_onnx`). Imports torch at
the top: import this module inside functions.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from . import qat_operators as to
from .qat_operators import Call, Canonical, Handler

COMPUTE_MODULES: Mapping[type[Any], str] = {
    nn.Conv1d: "Conv",
    nn.Conv2d: "Conv",
    nn.ConvTranspose1d: "ConvTranspose",
    nn.ConvTranspose2d: "ConvTranspose",
    nn.Linear: "Gemm",
}
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


FUNCTIONS: dict[Any, Handler] = {
    **dict.fromkeys((torch.relu, torch.relu_, F.relu, F.relu_), to.relu),
    **dict.fromkeys((torch.clamp, torch.clip, torch.clamp_), to.clamp),
    F.relu6: to.clip(0.0, 6.0),
    **dict.fromkeys((F.hardtanh, F.hardtanh_), to.hardtanh),
    F.leaky_relu: lambda c: Canonical(
        "LeakyRelu", F.leaky_relu, (c.x, c.get(1, "negative_slope", 0.01))
    ),
    F.hardswish: to.unary("HardSwish", F.hardswish),
    F.gelu: to.gelu,
    **dict.fromkeys((torch.sigmoid, F.sigmoid), to.unary("Sigmoid", torch.sigmoid)),
    **dict.fromkeys((torch.tanh, F.tanh), to.unary("Tanh", torch.tanh)),
    **dict.fromkeys((F.softmax, torch.softmax), to.softmax("Softmax", F.softmax)),
    **dict.fromkeys((F.log_softmax, torch.log_softmax), to.softmax("LogSoftmax", F.log_softmax)),
    **dict.fromkeys((operator.add, operator.iadd, torch.add), to.arithmetic("Add", torch.add)),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub), to.arithmetic("Sub", torch.sub)),
    torch.rsub: to.arithmetic("Sub", torch.sub, swap=True),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul), to.arithmetic("Mul", torch.mul)),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div), to.divide),
    operator.neg: lambda c: Canonical("Mul", torch.mul, (c.x, -1.0)),
    **dict.fromkeys((torch.maximum,), to.same("Max", torch.maximum)),
    **dict.fromkeys((torch.minimum,), to.same("Min", torch.minimum)),
    **dict.fromkeys((torch.cat, torch.concat), to.concat),
    F.max_pool1d: to.max_pool(1),
    F.max_pool2d: to.max_pool(2),
    **dict.fromkeys((torch.max_pool1d,), to.max_pool(1)),
    **dict.fromkeys((torch.max_pool2d,), to.max_pool(2)),
    F.avg_pool1d: to.average_pool(1),
    F.avg_pool2d: to.average_pool(2),
    F.adaptive_avg_pool1d: to.adaptive_pool(1, "AveragePool"),
    F.adaptive_avg_pool2d: to.adaptive_pool(2, "AveragePool"),
    F.adaptive_max_pool1d: to.adaptive_pool(1, "MaxPool"),
    F.adaptive_max_pool2d: to.adaptive_pool(2, "MaxPool"),
    torch.mean: to.mean,
    **dict.fromkeys(
        (torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.unflatten), to.reshape
    ),
    torch.transpose: to.transpose,
    torch.permute: to.permute,
    F.pad: to.pad,
    operator.getitem: to.take_slice,
    torch.narrow: to.narrow,
    F.interpolate: to.resize,
    **dict.fromkeys((F.dropout, F.dropout1d, F.dropout2d, torch.dropout, torch.clone), to.drop),
}
"""Torch functions and Python operators by identity."""

METHODS: dict[str, Handler] = {
    **{name: FUNCTIONS[torch.relu] for name in ("relu", "relu_")},
    **{name: to.clamp for name in ("clamp", "clamp_", "clip")},
    **{name: FUNCTIONS[torch.sigmoid] for name in ("sigmoid", "sigmoid_")},
    **{name: FUNCTIONS[torch.tanh] for name in ("tanh", "tanh_")},
    "softmax": FUNCTIONS[F.softmax],
    "log_softmax": FUNCTIONS[F.log_softmax],
    **{name: FUNCTIONS[torch.add] for name in ("add", "add_")},
    **{name: FUNCTIONS[torch.sub] for name in ("sub", "sub_")},
    **{name: FUNCTIONS[torch.mul] for name in ("mul", "mul_")},
    **{name: to.divide for name in ("div", "div_")},
    "mean": to.mean,
    **{
        name: to.reshape
        for name in ("view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten", "view_as")
    },
    "transpose": to.transpose,
    "permute": to.permute,
    "narrow": to.narrow,
    **{name: to.drop for name in ("contiguous", "clone", "detach", "float")},
}
"""Tensor methods by name."""


def module_handler(module: Any) -> Handler | None:
    """Handler of an `nn` module without trainable compute; None if there is none."""
    fixed: dict[type[Any], Handler] = {
        nn.ReLU: to.relu,
        nn.ReLU6: to.clip(0.0, 6.0),
        nn.Sigmoid: FUNCTIONS[torch.sigmoid],
        nn.Tanh: FUNCTIONS[torch.tanh],
        nn.Hardswish: FUNCTIONS[F.hardswish],
        nn.Identity: to.drop,
        nn.Flatten: to.reshape,
        nn.Unflatten: to.reshape,
        nn.AdaptiveAvgPool1d: FUNCTIONS[F.adaptive_avg_pool1d],
        nn.AdaptiveAvgPool2d: FUNCTIONS[F.adaptive_avg_pool2d],
        nn.AdaptiveMaxPool1d: FUNCTIONS[F.adaptive_max_pool1d],
        nn.AdaptiveMaxPool2d: FUNCTIONS[F.adaptive_max_pool2d],
        **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout), to.drop),
    }
    if type(module) in fixed:
        return fixed[type(module)]
    return _with_attributes(module)


def _with_attributes(module: Any) -> Handler | None:
    """Modules whose attributes are the arguments of a function of the table."""
    pool = ("kernel_size", "stride", "padding")
    attributes: dict[type[Any], tuple[Any, tuple[str, ...]]] = {
        nn.Hardtanh: (F.hardtanh, ("min_val", "max_val")),
        nn.LeakyReLU: (F.leaky_relu, ("negative_slope",)),
        nn.GELU: (F.gelu, ("approximate",)),
        nn.Softmax: (F.softmax, ("dim",)),
        nn.LogSoftmax: (F.log_softmax, ("dim",)),
        nn.MaxPool1d: (F.max_pool1d, (*pool, "dilation", "ceil_mode", "return_indices")),
        nn.MaxPool2d: (F.max_pool2d, (*pool, "dilation", "ceil_mode", "return_indices")),
        nn.AvgPool1d: (F.avg_pool1d, (*pool, "ceil_mode", "count_include_pad")),
        nn.AvgPool2d: (F.avg_pool2d, (*pool, "ceil_mode", "count_include_pad")),
        nn.Upsample: (F.interpolate, ("mode", "align_corners")),
    }
    if type(module) in attributes:
        function, names = attributes[type(module)]
        kwargs = {name: getattr(module, name) for name in names}
        handler = FUNCTIONS[function]
        return lambda call: handler(Call(call.args, kwargs, call.in_shape, call.out_shape))
    if isinstance(module, (nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d)):
        return to.zero_pad(module)
    return None
