"""Scale and zero point of QuantizeLinear and DequantizeLinear nodes, uint8 shifted exactly to int8."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compress.quantization.qparams import QParams
from ...runtime.errors import InputError, UnsupportedOperatorError
from .neutral import Node, Value


def read_parameters(node: Node, constants: Mapping[str, Value]) -> tuple[QParams, bool]:
    """Parameters of a Q or DQ node as int8 / int32, and True if the file had uint8 (zero point - 128).

    Raises:
        InputError: scale or zero point is no constant, or of a type TFLite has no kernel for.
    """
    scale, zero = (constants.get(name) for name in (*node.inputs[1:3], "", "")[:2])
    computed = any(held is not None and not held.is_constant for held in (scale, zero))
    if scale is None or computed or (zero is None and len(node.inputs) > 2 and node.inputs[2]):
        raise InputError("scale and zero point must be constants", where=f"node {node.name!r}")
    if node.attributes.get("block_size"):
        raise UnsupportedOperatorError(
            "blocked quantization", where=f"{node.operator} {node.name!r}", hint="use per-channel"
        )
    kind = "uint8" if zero is None else zero.dtype
    source = constants.get(node.inputs[0])
    if zero is None and node.operator == "DequantizeLinear" and source is not None:
        kind = source.dtype
    if kind not in ("uint8", "int8", "int32", "int4"):
        raise UnsupportedOperatorError(
            f"{kind} quantization has no TFLite form here",
            where=f"{node.operator} {node.name!r}",
            hint="quantize to int8",
        )
    scales = np.atleast_1d(scale.real()).astype(np.float32)
    zeros = np.zeros(scales.shape, np.int64) if zero is None else np.atleast_1d(zero.real())
    zeros = zeros.astype(np.int64) - (128 if kind == "uint8" else 0)
    axis = int(node.attributes.get("axis", 1)) if scales.size > 1 else None
    bits = 32 if kind == "int32" else 8
    params = QParams(tuple(scales.tolist()), tuple(zeros.tolist()), bits, axis=axis)
    return params, kind == "uint8"


def activation_parameters(node: Node, constants: Mapping[str, Value]) -> QParams:
    """Parameters of an activation's Q or DQ: int8, per tensor."""
    params, _ = read_parameters(node, constants)
    if params.axis is not None or params.bits != 8:
        raise UnsupportedOperatorError(
            "activations are quantized to 8 bits per tensor in TFLite",
            where=f"{node.operator} {node.name!r}",
            hint="quantize activations per tensor to int8",
        )
    return params
