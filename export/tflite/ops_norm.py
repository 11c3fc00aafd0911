"""LayerNormalization over the data, written out in float: a variance has no useful 8-bit range.

y = (x - mean) * rsqrt(mean((x - mean)^2) + epsilon) * scale + bias         (Ba, Kiros and Hinton 2016, eq. 4)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .absorb import Int8Test
from .context import Lowering
from .layout import Order, physical_array
from .neutral import Node

_PLAIN = {"fused_activation_function": "NONE"}


def layer_norm(low: Lowering, node: Node) -> None:
    """Lower a LayerNormalization with constant scale and bias."""
    name = node.inputs[0]
    shape, order = low.value(name).shape, low.order_of(name)
    if any(node.outputs[1:]):
        raise low.unsupported(node, "the mean and deviation outputs", "use the first output only")
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    axes = low.integers(sorted(order.index(a) for a in range(axis, len(shape))))
    index = low.natural(name)
    full = low.model.tensors[index].shape
    small = tuple(1 if a >= axis else n for n, a in zip(full, order, strict=True))
    mean = _step(low, node, "MEAN", [index, axes], "mean", small, {"keep_dims": True})
    square = _step(low, node, "SQUARED_DIFFERENCE", [index, mean], "square", full)
    variance = _step(low, node, "MEAN", [square, axes], "variance", small, {"keep_dims": True})
    epsilon = np.asarray([node.attributes.get("epsilon", 1e-5)], np.float32)
    padded = [variance, low.constant(f"{node.outputs[0]}/epsilon", epsilon)]
    deviation = _step(low, node, "ADD", padded, "padded", small, _PLAIN)
    inverse = _step(low, node, "RSQRT", [deviation], "inverse", small)
    centred = _step(low, node, "SUB", [index, mean], "centred", full, _PLAIN)
    value = _step(low, node, "MUL", [centred, inverse], "normalised", full, _PLAIN)
    if len(node.inputs) < 3 or not node.inputs[2]:
        low.emit_result(node, "MUL", [value, _factor(low, node, 1, order)], order, _PLAIN)
        return
    scaled = _step(low, node, "MUL", [value, _factor(low, node, 1, order)], "scaled", full, _PLAIN)
    low.emit_result(node, "ADD", [scaled, _factor(low, node, 2, order)], order, _PLAIN)


def _step(
    low: Lowering,
    node: Node,
    code: str,
    inputs: list[int],
    tag: str,
    shape: tuple[int, ...],
    options: Mapping[str, object] | None = None,
) -> int:
    made = low.temporary(node, tag, shape)
    low.emit(node, code, inputs, [made], options)
    return made


def _factor(low: Lowering, node: Node, position: int, order: Order) -> int:
    data = low.constant_of(node, position)
    if data is None:
        raise low.unsupported(node, "scale or bias computed at run time", "make them constants")
    rank = len(low.value(node.inputs[0]).shape)
    full = data.reshape((1,) * (rank - data.ndim) + data.shape)
    return low.constant(node.inputs[position], physical_array(full, order))


LOWERINGS = {"LayerNormalization": layer_norm}

INT8: dict[str, Int8Test] = {}
