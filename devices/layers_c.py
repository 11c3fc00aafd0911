"""The layer table of an exported C folder: its kernel calls. Shapes stand in the sources only and are left out."""

from __future__ import annotations

from ..runtime.c_folder import CCall, CFolder
from .layers import LayerInfo, LayerTable

_BITS = {
    "ep_bconv2d": (1, 1),
    "ep_dense_w8": (8, 32),
    "_s8": (8, 8),
    "_f32": (32, 32),
}
"""Part of a kernel's name -> bits of its weights, of its activations; the first that is found."""


def c_layers(folder: CFolder, where: str = "") -> LayerTable:
    """One row a call that multiplies."""
    rows = [_row(call) for call in folder.calls if call.macs]
    notes = ("bytes of a layer are all its constants: weights, biases, thresholds, multipliers",)
    return LayerTable(where, "c", tuple(rows), notes if rows else ())


def _row(call: CCall) -> LayerInfo:
    weight_bits, activation_bits = next(
        (bits for part, bits in _BITS.items() if part in call.function), (0, 0)
    )
    if not call.constant_bytes:
        weight_bits = 0
    binary = call.macs if weight_bits == activation_bits == 1 else 0
    return LayerInfo(
        name=call.source,
        operator=call.function,
        input_shapes=(),
        output_shapes=(),
        parameters=0,
        macs=call.macs,
        binary_macs=binary,
        bit_operations=call.macs * weight_bits * activation_bits,
        weight_bytes=call.constant_bytes,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        quantization="",
    )
