"""Forms of comparisons, reductions, pools, and of operators that move data. See `operator_cases`."""

from __future__ import annotations

import numpy as np

from .operator_cases import SIGNALS, Form, floats

_POOL = "kernel_shape = [2, 2], strides = [2, 2]"
_WIDE = "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]"


def _int(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(values, np.int64)


def _compare(operator: str) -> tuple[Form, ...]:
    return (
        Form(operator, "of two values", f"y = {operator}(x, z)", second="same"),
        Form(
            operator, "with a constant", f"y = {operator}(x, k)", constants={"k": np.float32(0.3)}
        ),
    )


def _logic(operator: str) -> Form:
    types = {"x": "bool", "z": "bool"}
    return Form(operator, "", f"y = {operator}(x, z)", second="same", types=types)


COMPARISONS: tuple[Form, ...] = (
    *_compare("Greater"),
    *_compare("GreaterOrEqual"),
    *_compare("Less"),
    *_compare("LessOrEqual"),
    Form("Equal", "of integers", "y = Equal(x, z)", second="same", types={"x": "int32", "z": "int32"}),
    _logic("And"),
    _logic("Or"),
    _logic("Xor"),
    Form("Not", "", "y = Not(x)", types={"x": "bool"}),
    Form("Where", "of two values", "c = Greater(x, z) y = Where(c, x, z)", second="same"),
    Form("Where", "of constants (signs)", "c = Less(x, zero) y = Where(c, minus, one)",
         constants={"zero": np.float32(0), "minus": np.float32(-1), "one": np.float32(1)}),
    *(Form(op, form, f"y = {op}({read})", second=second, constants={"k": np.float32(0.3)})
      for op in ("Max", "Min")
      for form, read, second in (("of two values", "x, z", "same"), ("with a constant", "x, k", None))),
    Form("Max", "of three", "a = Neg(x) y = Max(x, z, a)", second="same"),
    Form("Cast", "to int32", "y = Cast<to = 6>(x)", low=-9, high=9),
    Form("Cast", "from int32", "a = Cast<to = 1>(x) y = Mul(a, k)", constants={"k": np.float32(0.5)},
         types={"x": "int32"}),
    Form("Cast", "from bool", "c = Greater(x, k) y = Cast<to = 1>(c)", constants={"k": np.float32(0.3)}),
    Form("ArgMax", "", "y = ArgMax<axis = 1>(x)"),
    Form("ArgMin", "", "y = ArgMin<axis = 1, keepdims = 0>(x)"),
)  # fmt: skip


def _reduce(operator: str) -> tuple[Form, ...]:
    return (
        Form(
            operator, "over the image", f"y = {operator}(x, axes)", constants={"axes": _int(2, 3)}
        ),
        Form(
            operator,
            "over channels",
            f"y = {operator}<keepdims = 0>(x, axes)",
            constants={"axes": _int(1)},
        ),
    )


REDUCTIONS: tuple[Form, ...] = (
    Form("MaxPool", "", f"y = MaxPool<{_POOL}>(x)"),
    Form("MaxPool", "padded", f"y = MaxPool<{_WIDE}>(x)"),
    Form("MaxPool", "1-D", "y = MaxPool<kernel_shape = [2], strides = [2]>(x)", SIGNALS),
    Form("AveragePool", "", f"y = AveragePool<{_POOL}>(x)"),
    Form(
        "AveragePool", "padded, pads count", f"y = AveragePool<{_WIDE}, count_include_pad = 1>(x)"
    ),
    Form("AveragePool", "padded, pads do not count", f"y = AveragePool<{_WIDE}>(x)"),
    Form("AveragePool", "1-D", "y = AveragePool<kernel_shape = [2], strides = [2]>(x)", SIGNALS),
    Form("GlobalAveragePool", "", "y = GlobalAveragePool(x)"),
    Form("GlobalMaxPool", "", "y = GlobalMaxPool(x)"),
    *_reduce("ReduceMean"),
    *_reduce("ReduceSum"),
    *_reduce("ReduceMax"),
    *_reduce("ReduceMin"),
    Form("ReduceL2", "", "y = ReduceL2(x, axes)", constants={"axes": _int(1)}),
    Form("ReduceSumSquare", "", "y = ReduceSumSquare(x, axes)", constants={"axes": _int(1)}),
)

_NEAREST = 'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'
_SCALES = {"s": floats(1, 1, 2, 2)}
_QUANTIZERS = {"t": np.float32(0.02), "u": np.int8(3), "v": np.float32(0.03), "n": np.int8(-5)}

MOVES: tuple[Form, ...] = (
    Form("Concat", "along channels", "y = Concat<axis = 1>(x, z)", second="same"),
    Form("Concat", "along the width", "a = Tanh(x) y = Concat<axis = 3>(x, a)"),
    Form("Split", "along channels", "y, y1 = Split<axis = 1, num_outputs = 2>(x)"),
    Form("Split", "uneven", "y, y1 = Split<axis = 1>(x, s)", constants={"s": _int(1, 3)}),
    Form("Slice", "", "y = Slice(x, b, e, a)", constants={"b": _int(1, 0), "e": _int(3, 2), "a": _int(1, 2)}),
    Form("Slice", "with steps", "y = Slice(x, b, e, a, s)",
         constants={"b": _int(0), "e": _int(9), "a": _int(3), "s": _int(2)}),
    Form("Pad", "with zeros", "y = Pad(x, p)", constants={"p": _int(0, 1, 0, 2, 0, 0, 1, 0)}),
    Form("Pad", "with a value", "y = Pad(x, p, k)",
         constants={"p": _int(0, 0, 1, 2, 0, 0, 1, 0), "k": np.float32(1.5)}),
    Form("Pad", "reflect", 'y = Pad<mode = "reflect">(x, p)', constants={"p": _int(0, 0, 1, 2, 0, 0, 1, 0)}),
    Form("Reshape", "", "y = Reshape(x, s)", constants={"s": _int(1, 2, -1)}),
    Form("Flatten", "", "y = Flatten(x)"),
    Form("Flatten", "into Gemm", "a = Flatten(x) y = Gemm<transB = 1>(a, w)", ((1, 4, 4, 4),), {"w": (3, 64)}),
    Form("Transpose", "", "y = Transpose<perm = [0, 3, 1, 2]>(x)"),
    Form("Squeeze", "", "a = ReduceMean(x, s) y = Squeeze(a, s)", constants={"s": _int(2)}),
    Form("Unsqueeze", "", "y = Unsqueeze(x, s)", SIGNALS, {"s": _int(2)}),
    Form("Expand", "", "y = Expand(x, s)", ((1, 4, 1, 4),), {"s": _int(1, 4, 3, 4)}),
    Form("Tile", "", "y = Tile(x, s)", constants={"s": _int(1, 1, 2, 1)}),
    Form("Gather", "along channels", "y = Gather<axis = 1>(x, i)", constants={"i": _int(2, 0)}),
    Form("Gather", "one position", "y = Gather<axis = 2>(x, i)", constants={"i": np.int64(1)}),
    Form("Gather", "by computed indices", "y = Gather(w, x)", ((1, 5),), {"w": (3, 4)}, types={"x": "int32"}),
    Form("DepthToSpace", "", "y = DepthToSpace<blocksize = 2>(x)"),
    Form("SpaceToDepth", "", "y = SpaceToDepth<blocksize = 2>(x)", ((1, 4, 4, 4), (1, 3, 6, 4))),
    Form("Resize", "nearest", f"y = Resize<{_NEAREST}>(x, , s)", constants=_SCALES),
    Form("Resize", "bilinear, half pixel", 'y = Resize<mode = "linear">(x, , s)', constants=_SCALES),
    Form("Resize", "bilinear, align corners",
         'y = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(x, , s)',
         constants=_SCALES, int8_steps=2),  # tflite-runtime interpolates in 10-bit fixed point
    Form("QuantizeLinear", "", "q = QuantizeLinear(x, t, u) a = DequantizeLinear(q, t, u) "
         "b = Relu(a) r = QuantizeLinear(b, t, u) y = DequantizeLinear(r, t, u)",
         constants=_QUANTIZERS, quantized=True),
    Form("DequantizeLinear", "and Quantize to another scale", "q = QuantizeLinear(x, t, u) "
         "a = DequantizeLinear(q, t, u) r = QuantizeLinear(a, v, n) y = DequantizeLinear(r, v, n)",
         constants=_QUANTIZERS, quantized=True),
)  # fmt: skip

OUTSIDE: tuple[Form, ...] = (
    Form("Resize", "cubic", 'y = Resize<mode = "cubic">(x, , s)', constants=_SCALES),
    Form("MaxPool", "dilated", "y = MaxPool<kernel_shape = [2, 2], dilations = [2, 2]>(x)"),
    Form("Conv", "3-D", "y = Conv(x, w)", ((1, 2, 4, 4, 4),), {"w": (3, 2, 2, 2, 2)}),
    Form("CumSum", "", "y = CumSum(x, k)", constants={"k": np.int64(1)}),
    Form("TopK", "", "y, y1 = TopK(x, k)", constants={"k": _int(2)}),
    Form("NonZero", "", "y = NonZero(x)"),
    Form("LSTM", "with clipping", "y = LSTM<hidden_size = 3, clip = 1.0>(x, w, r)", ((4, 1, 3),),
         {"w": (1, 12, 3), "r": (1, 12, 3)}),
)  # fmt: skip
"""Forms that are refused, to show how: the operator, the node and what to do."""
