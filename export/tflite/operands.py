"""Inputs of operators that move or select values: brought to an order and, in int8, to given parameters."""

from __future__ import annotations

import numpy as np

from ...compress.quantization.qparams import QParams
from .context import Lowering, lite_quantization
from .layout import Order, identity, physical_array
from .neutral import Array, Node, same_parameters
from .weights import store_float


def moved(low: Lowering, node: Node, name: str, order: Order, params: QParams | None) -> int:
    """The tensor of an input in `order`, stored as the node computes.

    In an int8 node it lies under `params`: constants are quantized here, an activation under other
    parameters costs one QUANTIZE, which is recorded. In a float node a quantized constant is made real.
    """
    value = low.value(name)
    if value.data is None:
        return low.input_as(node, name, order, params)
    if not value.is_real or (node.int8 and same_parameters(value.quantization, params)):
        return low.ordered(name, order)
    if not node.int8 or params is None:
        real = physical_array(value.real(), order)
        return store_float(low, node, f"{name}/real" if value.quantization else name, real, 0)
    data = params.quantize(value.real()).astype(np.int8)
    return low.constant(
        f"{name}/requantized", physical_array(data, order), lite_quantization(params)
    )


def first_order(low: Lowering, node: Node) -> Order:
    """The order to bring several inputs of one rank to: an activation's, one that is not ONNX's if any."""
    found = [low.order_of(name) for name in node.inputs if name and not low.value(name).is_constant]
    plain = identity(len(low.value(node.outputs[0]).shape))
    return next((order for order in found if order != plain), plain)


def pass_on(low: Lowering, node: Node, index: int, order: Order) -> None:
    """Output 0 is the tensor `index`: nothing is left to compute."""
    low.alias(node.outputs[0], index, order)


def known(low: Lowering, node: Node, position: int, what: str) -> Array | None:
    """A constant integer input as a flat array; None if omitted, an error if computed at run time."""
    if position >= len(node.inputs) or not node.inputs[position]:
        return None
    data = low.constant_of(node, position)
    if data is None:
        raise low.unsupported(node, f"{what} computed at run time", f"export with constant {what}")
    return data.reshape(-1)
