"""Lint of single tensors: scales, zero points, and what may be quantized per channel."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..runtime.tflite_schema import TfliteTensor

Item = tuple[str, str, str, str, str]
"""Fields of a `Finding`."""

_RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int4": (-8, 7),
    "int2": (-2, 1),
    "int32": (-(2**31), 2**31 - 1),
}

_SMALLEST_NORMAL = 2.0**-126


def label(tensor: TfliteTensor) -> str:
    """How a message names a tensor."""
    return f"tensor {tensor.index} {tensor.name!r}"


def check_tensor(tensor: TfliteTensor) -> Iterator[Item]:
    """Errors and warnings about one tensor's quantization parameters."""
    q, where = tensor.quantization, label(tensor)
    if q is None or not q.scale:
        return
    if tensor.dtype == "float32":
        yield (
            "warning",
            "parameters",
            where,
            "float32 with quantization parameters; they do nothing",
            "",
        )
        return
    bad = [s for s in q.scale if not (math.isfinite(s) and s > 0)]
    if bad:
        message = f"scale {bad[0]} is not a positive number"
        yield "error", "scale", where, message, "quantize this tensor again"
    elif min(q.scale) < _SMALLEST_NORMAL:
        message = f"scale {min(q.scale)} is denormal; engines may flush it to 0"
        yield "warning", "scale", where, message, "quantize this tensor again"
    low, high = _RANGES.get(tensor.dtype, (0, 0))
    outside = [z for z in q.zero_point if not low <= z <= high]
    if outside:
        message = f"zero point {outside[0]} lies outside of {tensor.dtype}"
        yield "error", "zero-point", where, message, "quantize this tensor again"
    if q.per_channel and not tensor.is_constant:
        message = f"an activation has {len(q.scale)} scales; kernels read the first"
        yield "error", "per-channel-activation", where, message, "quantize activations per tensor"
