"""What one torch call means in ONNX terms: handlers that give a call its uniform form.

A handler takes a traced call and gives a `Canonical`: a torch function with fixed arguments and the name of the
ONNX operator it exports to. `qat_table` says which handler serves which call. Imports torch at the top: import
this module inside functions.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx


@dataclass(frozen=True)
class Canonical:
    """`function(*args, **kwargs)` with the ONNX operator it is; kind "Identity" drops the call."""

    kind: str
    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One traced call: its positional and named arguments, and the shapes of its input and output."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by position or name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    @property
    def x(self) -> Any:
        """The first tensor."""
        return self.get(0, "input", self.kwargs.get("self"))


class NotKnown(Exception):  # noqa: N818 - turned into an InputError that names the node
    """The call has arguments that have no int8 form; the text says which."""


Handler = Callable[[Call], Canonical]


def _tuple(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * count


def relu(call: Call) -> Canonical:
    """ReLU."""
    return Canonical("Relu", torch.relu, (call.x,))


def clip(low: Any, high: Any) -> Handler:
    """A clip whose bounds come with the function (ReLU6)."""
    return lambda call: _clamp_between(call.x, low, high)


def clamp(call: Call) -> Canonical:
    """`clamp(x, min, max)`; with min 0 alone it is a ReLU."""
    return _clamp_between(call.x, call.get(1, "min"), call.get(2, "max"))


def hardtanh(call: Call) -> Canonical:
    """`hardtanh(x, min_val, max_val)`."""
    return _clamp_between(call.x, call.get(1, "min_val", -1.0), call.get(2, "max_val", 1.0))


def _clamp_between(x: Any, low: Any, high: Any) -> Canonical:
    if low == 0 and high is None:
        return Canonical("Relu", torch.relu, (x,))
    if low is None or high is None or isinstance(low, fx.Node) or isinstance(high, fx.Node):
        raise NotKnown("clamp needs two constant bounds")
    return Canonical("Clip", torch.clamp, (x, float(low), float(high)))


def same(kind: str, function: Callable[..., Any]) -> Handler:
    """A call whose arguments stay as they are."""
    return lambda call: Canonical(kind, function, call.args, call.kwargs)


def unary(kind: str, function: Callable[..., Any]) -> Handler:
    """A function of one tensor."""
    return lambda call: Canonical(kind, function, (call.x,))


def gelu(call: Call) -> Canonical:
    """GELU, exact or by tanh."""
    approximate = call.kwargs.get("approximate", "none")
    return Canonical("Gelu", F.gelu, (call.x,), {"approximate": approximate})


def softmax(kind: str, function: Callable[..., Any]) -> Handler:
    """Softmax or its logarithm along one axis."""
    return lambda call: Canonical(kind, function, (call.x,), {"dim": call.get(1, "dim")})


def arithmetic(kind: str, function: Callable[..., Any], swap: bool = False) -> Handler:
    """Addition, subtraction, multiplication; `swap` for the reversed order."""

    def handle(call: Call) -> Canonical:
        if call.kwargs.get("alpha", 1) != 1 or call.kwargs.get("rounding_mode"):
            raise NotKnown("alpha and rounding_mode are not supported")
        first, second = call.x, call.get(1, "other")
        return Canonical(kind, function, (second, first) if swap else (first, second))

    return handle


def divide(call: Call) -> Canonical:
    """Division by a constant is multiplication by its inverse."""
    divisor = call.get(1, "other")
    if call.kwargs.get("rounding_mode") or not isinstance(divisor, (int, float)) or divisor == 0:
        raise NotKnown("only division by a constant other than 0 has an int8 form")
    return Canonical("Mul", torch.mul, (call.x, 1.0 / divisor))


def concat(call: Call) -> Canonical:
    """Concatenation."""
    tensors = call.get(0, "tensors")
    return Canonical("Concat", torch.cat, (tuple(tensors), call.get(1, "dim", 0)))


def max_pool(rank: int) -> Handler:
    """Max-pooling over `rank` axes."""
    function = (F.max_pool1d, F.max_pool2d)[rank - 1]

    def handle(call: Call) -> Canonical:
        if call.get(6, "return_indices", False):
            raise NotKnown("max-pooling with indices has no int8 form")
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        defaults = (None, None, 0, 1, False)
        values = [
            call.get(i + 1, n, d) for i, (n, d) in enumerate(zip(names, defaults, strict=True))
        ]
        return Canonical("MaxPool", function, (call.x, *values))

    return handle


def average_pool(rank: int) -> Handler:
    """Average pooling; over the whole plane it is a mean, whose scale is free."""
    function = (F.avg_pool1d, F.avg_pool2d)[rank - 1]

    def handle(call: Call) -> Canonical:
        kernel = _tuple(call.get(1, "kernel_size"), rank)
        stride = call.get(2, "stride")
        padding = _tuple(call.get(3, "padding", 0), rank)
        ceil_mode, count_pad = (
            call.get(4, "ceil_mode", False),
            call.get(5, "count_include_pad", True),
        )
        if call.get(6, "divisor_override") is not None:
            raise NotKnown("divisor_override is not supported")
        if kernel == call.in_shape[2:] and not any(padding):
            return _global_mean(call, rank)
        if any(padding):
            raise NotKnown("average pooling with padding has no exact int8 form")
        return Canonical("AveragePool", function, (call.x, kernel, stride, 0, ceil_mode, count_pad))

    return handle


def _global_mean(call: Call, rank: int) -> Canonical:
    return Canonical("ReduceMean", torch.mean, (call.x, tuple(range(2, 2 + rank)), True))


def adaptive_pool(rank: int, kind: str) -> Handler:
    """Adaptive pooling as plain pooling, where the regions are regular."""
    average = kind == "AveragePool"
    functions = (F.avg_pool1d, F.avg_pool2d) if average else (F.max_pool1d, F.max_pool2d)

    def handle(call: Call) -> Canonical:
        inside, outside = call.in_shape[2:], call.out_shape[2:]
        if any(i % o for i, o in zip(inside, outside, strict=True)):
            raise NotKnown(f"adaptive pooling from {inside} to {outside} is not regular")
        kernel = tuple(i // o for i, o in zip(inside, outside, strict=True))
        if math.prod(kernel) == 1:
            return Canonical("Identity", args=(call.x,))
        if average and math.prod(outside) == 1:
            return _global_mean(call, rank)
        return Canonical(kind, functions[rank - 1], (call.x, kernel, kernel))

    return handle


def mean(call: Call) -> Canonical:
    """A mean over axes other than the batch."""
    dims = call.get(1, "dim")
    if dims is None:
        raise NotKnown("a mean over the batch has no place in an exported model")
    rank = len(call.in_shape)
    axes = tuple(sorted(d % rank for d in _tuple(dims, 1)))
    if 0 in axes or call.kwargs.get("dtype") is not None:
        raise NotKnown("a mean over the batch has no place in an exported model")
    return Canonical("ReduceMean", torch.mean, (call.x, axes, bool(call.get(2, "keepdim", False))))


def reshape(call: Call) -> Canonical:
    """Any change of shape that leaves the batch alone; the target sizes are those seen while tracing."""
    if call.in_shape == call.out_shape:
        return Canonical("Identity", args=(call.x,))
    return Canonical("Reshape", torch.reshape, (call.x, (-1, *call.out_shape[1:])))


def transpose(call: Call) -> Canonical:
    """Exchange of two axes."""
    rank = len(call.in_shape)
    first, second = call.get(1, "dim0") % rank, call.get(2, "dim1") % rank
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    return Canonical("Transpose", torch.permute, (call.x, tuple(order)))


def permute(call: Call) -> Canonical:
    """A new order of the axes."""
    order = call.get(1, "dims") if isinstance(call.get(1, "dims"), (tuple, list)) else call.args[1:]
    return Canonical(
        "Transpose", torch.permute, (call.x, tuple(d % len(call.in_shape) for d in order))
    )


def pad(call: Call) -> Canonical:
    """Zero padding."""
    mode, value = call.get(2, "mode", "constant"), call.get(3, "value", 0)
    if mode != "constant" or (value or 0) != 0:
        raise NotKnown(f"padding with mode {mode!r} and value {value} has no exact int8 form")
    return Canonical("Pad", F.pad, (call.x, tuple(call.get(1, "pad"))))


def zero_pad(module: Any) -> Handler:
    """A padding module, if it pads with zero."""
    if getattr(module, "value", 0) != 0:
        raise NotKnown("padding with a value other than 0 has no exact int8 form")
    return lambda call: Canonical("Pad", F.pad, (call.x, tuple(module.padding)))


def take_slice(call: Call) -> Canonical:
    """Indexing by slices and constant positions."""
    index = call.get(1, "index")
    items = index if isinstance(index, tuple) else (index,)
    if not all(
        item is None or item is Ellipsis or isinstance(item, (slice, int)) for item in items
    ):
        raise NotKnown("only slices and constant positions have an int8 form")
    return Canonical("Slice", operator.getitem, (call.x, index))


def narrow(call: Call) -> Canonical:
    """`narrow(x, dim, start, length)` as a slice."""
    dim, start, length = call.get(1, "dim"), call.get(2, "start"), call.get(3, "length")
    index = (slice(None),) * (dim % len(call.in_shape)) + (slice(start, start + length),)
    return Canonical("Slice", operator.getitem, (call.x, index))


def resize(call: Call) -> Canonical:
    """Nearest or bilinear resizing to the size seen while tracing."""
    mode = call.get(3, "mode", "nearest")
    if mode not in ("nearest", "bilinear"):
        raise NotKnown(f"resizing with mode {mode!r} has no int8 form")
    size = {"size": tuple(call.out_shape[2:]), "mode": mode}
    if mode == "bilinear":
        size["align_corners"] = bool(call.get(4, "align_corners", False))
    return Canonical("Resize", F.interpolate, (call.x,), size)


def drop(call: Call) -> Canonical:
    """A call that changes nothing at inference."""
    return Canonical("Identity", args=(call.x,))
