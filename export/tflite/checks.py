"""Each emitted operator against the one table of int8 rules, and the lowest version that serves it."""

from __future__ import annotations

from collections.abc import Sequence

from ...compress.quantization.rules import OutputRule, by_tflite
from ...runtime.errors import InputError
from .ir import LiteQuantization, LiteTensor
from .neutral import Node

_VERSIONS: dict[str, tuple[int, int]] = {
    "BATCH_MATMUL": (1, 2),
    "RELU": (1, 2),
    "RELU6": (1, 2),
    "GREATER": (1, 2),
    "GREATER_EQUAL": (1, 2),
    "LESS": (1, 2),
    "LESS_EQUAL": (1, 2),
    "EQUAL": (1, 2),
    "NOT_EQUAL": (1, 2),
    "DEQUANTIZE": (2, 2),
    "ARG_MAX": (1, 2),
    "SPLIT_V": (1, 2),
    "DEPTH_TO_SPACE": (1, 1),
    "SUM": (1, 2),
    "REDUCE_MAX": (1, 2),
    "REDUCE_MIN": (1, 2),
    "ABS": (1, 2),
}
"""(float32, int8) versions of operators outside the rules table."""


def operator_version(code: str, read: Sequence[LiteTensor], made: Sequence[LiteTensor]) -> int:
    """Lowest version that takes these types: the int8 one if an int8 tensor is involved."""
    int8 = any(tensor.dtype == "int8" for tensor in (*read, *made))
    rule = by_tflite(code)
    if rule is not None:
        return rule.version if int8 else rule.float_version
    plain, integer = _VERSIONS.get(code, (1, 1))
    return integer if int8 else plain


def check_int8(
    node: Node, code: str, read: Sequence[LiteTensor], made: Sequence[LiteTensor]
) -> None:
    """Raise `InputError` naming the node if an int8 operator breaks its output rule."""
    if not made or made[0].dtype != "int8":
        return
    rule = by_tflite(code)
    if rule is None or rule.output is OutputRule.FREE:
        return
    expected = made[0].quantization
    if rule.output is OutputRule.FIXED and rule.fixed is not None:
        scale, zero_point = rule.fixed
        if not _same(expected, LiteQuantization((scale,), (zero_point,))):
            raise InputError(
                f"{code} makes scale {scale} and zero point {zero_point}, the model says {expected}",
                where=f"node {node.name!r}",
                hint="fix the output's parameters as compress/quantization/rules.py says",
            )
        return
    for tensor in (*read, *made[1:]):
        if tensor.dtype == "int8" and not _same(tensor.quantization, expected):
            raise InputError(
                f"{code} needs one scale and zero point, but {tensor.name!r} has "
                f"{tensor.quantization} and its output {expected}",
                where=f"node {node.name!r}",
                hint="tie them when quantizing, or put a QUANTIZE between",
            )


def _same(a: LiteQuantization | None, b: LiteQuantization | None) -> bool:
    return a is not None and b is not None and (a.scale, a.zero_point) == (b.scale, b.zero_point)
