"""Our own operators as model-local functions with standard bodies: any engine that knows ONNX runs them.

    BinaryConv(x, signs, shape, scale, bias)   conv(sgn(x), W) * scale + bias
    BinaryGemm(x, signs, shape, scale, bias)   sgn(x) W^T * scale + bias
    TernaryGemm(x, codes, shape)               x W^T, W of 2-bit numbers -1, 0, 1 (and -2)

`signs` holds W 8 signs to a byte, least significant bit first, bit 1 for -1; `shape` is W's shape, [outputs, inputs
of a group, kernel...]; `scale` and `bias` broadcast over the output ([outputs, 1, ...] and [outputs]). sgn(x) is -1
for x < 0, else 1. BinaryConv has Conv's `strides`, `pads` (filled with 0, a third value), `dilations` and `group`.
`codes` holds two's complement 2-bit numbers, 4 to a byte. Padding with +-1 is a Pad of x in front.

Engines fold the unpacking when they load the file and compute in float: a small file, not a fast one. Rounding the
sum, an integer already, changes nothing; it keeps engines from folding the scale into the weights, after which sums
of rounded numbers would no longer be exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.errors import InputError
from .graph import OPSET, Array
from .judge import OWN_DOMAIN

FUNCTION_VERSION = 1

_UNPACK = """
  a = Constant <value_ints = [1]> ()
  u = Unsqueeze (w, a)
  s = Constant <value = uint8[{per_byte}] {{{shifts}}}> ()
  m = Constant <value = uint8 {{{mask}}}> ()
  h = BitShift <direction = "RIGHT"> (u, s)
  b = BitwiseAnd (h, m)
  f = Cast <to = 1> (b)
  i = Constant <value_ints = [-1]> ()
  r = Reshape (f, i)
  z = Constant <value_ints = [0]> ()
  n = ReduceProd (d)
  c = Slice (r, z, n, z)
  g = Reshape (c, d)
  one = Constant <value_float = 1.0> ()
  two = Constant <value_float = 2.0> ()
"""

_SIGN = """
  zero = Constant <value_float = 0.0> ()
  neg = Constant <value_float = -1.0> ()
  l = Less (x, zero)
  v = Where (l, neg, one)
"""

_BITS = _UNPACK.format(per_byte=8, shifts="0,1,2,3,4,5,6,7", mask=1)
_CODES = _UNPACK.format(per_byte=4, shifts="0,2,4,6", mask=3)

BODIES = {
    "BinaryConv": f"""BinaryConv <strides, pads, dilations, group>(x, w, d, q, e) => (y) {{{_BITS}{_SIGN}
  t = Mul (g, two)
  k = Sub (one, t)
  p = Conv <strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations, group: int = @group> (v, k)
  t1 = Round (p)
  o = Mul (t1, q)
  y = Add (o, e)
}}""",
    "BinaryGemm": f"""BinaryGemm (x, w, d, q, e) => (y) {{{_BITS}{_SIGN}
  t = Mul (g, two)
  k = Sub (one, t)
  j = Transpose <perm = [1, 0]> (k)
  p = MatMul (v, j)
  t1 = Round (p)
  o = Mul (t1, q)
  y = Add (o, e)
}}""",
    "TernaryGemm": f"""TernaryGemm (x, w, d) => (y) {{{_CODES}
  four = Constant <value_float = 4.0> ()
  l = Less (g, two)
  t = Sub (g, four)
  k = Where (l, g, t)
  j = Transpose <perm = [1, 0]> (k)
  y = MatMul (x, j)
}}""",
}
"""Function -> its text."""


def function(name: str) -> Any:
    """FunctionProto of one of our operators, its body in the hub's opset."""
    import onnx.parser

    head = f'<domain: "{OWN_DOMAIN}", opset_import: ["" : {OPSET}]>\n'
    return onnx.parser.parse_function(head + BODIES[name])


def pack_signs(signs: Array) -> Array:
    """+-1 values of any shape -> uint8, 8 to a byte, least significant bit first, bit 1 for -1.

    Raises:
        InputError: a value is neither 1 nor -1.
    """
    flat = np.asarray(signs).reshape(-1)
    if not np.isin(flat, (-1, 1)).all():
        raise InputError("only +1 and -1 can be packed into one bit")
    return np.packbits(flat < 0, bitorder="little")


def unpack_signs(packed: Array, shape: tuple[int, ...]) -> Array:
    """int8 +-1 of `shape` from what `pack_signs` gave."""
    bits = np.unpackbits(np.asarray(packed, np.uint8), bitorder="little", count=int(np.prod(shape)))
    return np.asarray(1 - 2 * bits.astype(np.int8)).reshape(shape)


def pack_codes(values: Array) -> Array:
    """Integers -2..1 of any shape -> uint8, 4 to a byte, least significant bits first.

    Raises:
        InputError: a value does not fit two bits.
    """
    flat = np.asarray(values).reshape(-1)
    if not np.isin(flat, (-2, -1, 0, 1)).all():
        raise InputError("only -2, -1, 0 and 1 can be packed into two bits")
    codes = np.zeros(-(-flat.size // 4) * 4, np.uint8)
    codes[: flat.size] = flat.astype(np.int8).view(np.uint8) & 3
    quads = codes.reshape(-1, 4)
    return np.asarray(
        quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6, dtype=np.uint8
    )


def unpack_codes(packed: Array, shape: tuple[int, ...]) -> Array:
    """int8 values of `shape` from what `pack_codes` gave."""
    codes = np.asarray(packed, np.uint8)[:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    values = codes.reshape(-1)[: int(np.prod(shape))].astype(np.int8)
    return np.asarray(np.where(values < 2, values, values - 4), np.int8).reshape(shape)


def declare(graph: Any, name: str) -> None:
    """Add the function `name` and its domain to a graph, once."""
    graph.domains[OWN_DOMAIN] = FUNCTION_VERSION
    if not any(f.name == name and f.domain == OWN_DOMAIN for f in graph.functions):
        graph.functions.append(function(name))
