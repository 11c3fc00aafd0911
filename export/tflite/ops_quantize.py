"""The nodes at the borders between float32 and int8: QUANTIZE, DEQUANTIZE, and clamps below 8 bits."""

from __future__ import annotations

import numpy as np

from .absorb import Int8Test
from .context import Lowering, lite_quantization
from .neutral import Array, Node

_FROM_FLOAT, _FROM_INT8 = 1, 2
"""Operator versions of QUANTIZE by what it reads."""


def quantize(low: Lowering, node: Node) -> None:
    """float32 -> int8 under the output's parameters."""
    order = low.order_of(node.inputs[0])
    source = low.natural(node.inputs[0])
    low.emit_result(node, "QUANTIZE", [source], order, version=_FROM_FLOAT)


def requantize(low: Lowering, node: Node) -> None:
    """int8 -> int8 under other parameters (the reason is in `Graph.notes`)."""
    order = low.order_of(node.inputs[0])
    source = low.natural(node.inputs[0])
    low.emit_result(node, "QUANTIZE", [source], order, version=_FROM_INT8)


def dequantize(low: Lowering, node: Node) -> None:
    """int8 -> float32."""
    order = low.order_of(node.inputs[0])
    low.emit_result(node, "DEQUANTIZE", [low.natural(node.inputs[0])], order)


def clamp(low: Lowering, node: Node) -> None:
    """Keep integers within [low, high]: MAXIMUM and MINIMUM with constants of the same parameters."""
    order = low.order_of(node.inputs[0])
    index = low.natural(node.inputs[0])
    bounds = [("MAXIMUM", node.attributes["low"]), ("MINIMUM", node.attributes["high"])]
    needed = [(code, bound) for code, bound in bounds if bound not in (-128, 127)]
    for position, (code, bound) in enumerate(needed):
        inputs = [index, _bound(low, node, np.asarray([bound], np.int8))]
        if position == len(needed) - 1:
            low.emit_result(node, code, inputs, order)
        else:
            index = low.temporary(node, code.lower(), low.model.tensors[index].shape)
            low.emit(node, code, inputs, [index])


def _bound(low: Lowering, node: Node, data: Array) -> int:
    params = low.quantization(node.outputs[0])
    return low.constant(f"{node.outputs[0]}/bound", data, lite_quantization(params))


LOWERINGS: dict[str, object] = {}

BORDERS = {
    "Quantize": quantize,
    "Requantize": requantize,
    "Dequantize": dequantize,
    "Clamp": clamp,
}

INT8: dict[str, Int8Test] = {}
