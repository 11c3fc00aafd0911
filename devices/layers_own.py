"""Rows for the packed functions of the domain `edgepress`: their bits and MACs stand in their own constants."""

from __future__ import annotations

import math
from typing import Any

from . import layers_count as count
from .layers import Counter, LayerInfo, Weight
from .layers_onnx_values import OWN_DOMAIN, OWN_FUNCTIONS, Values

BITS = {"BinaryConv": 1, "BinaryGemm": 1, "TernaryGemm": 2}
"""Function -> bits of a weight."""


def is_packed(node: Any) -> bool:
    """True for a layer whose weights are packed signs or codes."""
    return node.domain == OWN_DOMAIN and (node.op_type, len(node.input)) in OWN_FUNCTIONS


def packed_layer(node: Any, values: Values, counter: Counter) -> LayerInfo:
    """One row: weights at their real width, scale and bias as float32; inputs of Binary functions have one bit."""
    bits = BITS[node.op_type]
    shape = values.integer_list(node.input[2])
    output = values.shape(node.output[0])
    active = 1 if bits == 1 else values.bits(node.input[0])
    weights = [Weight(node.input[1], math.prod(shape), bits, f"{bits}-bit packed")]
    for name in node.input[3:5]:
        stored = values.weight(name)
        weights += [stored] if stored else []
    inner = shape[1:]
    macs = (
        count.convolution(output, inner)
        if node.op_type == "BinaryConv"
        else count.matrix_product(output, inner[0] if inner else -1)
    )
    return counter.layer(
        name=node.name or node.output[0],
        operator=f"{OWN_DOMAIN}.{node.op_type}",
        shapes=([values.shape(node.input[0])], [output]),
        weights=weights,
        macs=macs or 0,
        factors=(bits, active),
        bits=(bits, active),
        quantization=f"weights {bits}-bit packed, activations {active}-bit",
        notes=[] if macs is not None and shape else ["MACs not counted: a shape is not known"],
    )
