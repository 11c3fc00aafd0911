"""Fixed-point arithmetic against exact integers, and the reference engine's kernels against what they mean."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.graph import NodeView
from edgepress.compress.quantization.integer import IntegerModel, _clamped, _Target, run_integer
from edgepress.compress.quantization.integer_ops import Call, Operand, add
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.compress.quantization.qparams import QParams, affine, symmetric
from edgepress.compress.quantization.requantize import (
    divide_half_away,
    multiply,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from edgepress.export.onnx.qdq import apply
from edgepress.runtime.errors import InputError, UsageError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support import ptq

INT32 = st.integers(-(2**31), 2**31 - 1)
MULTIPLIERS = st.floats(1e-9, 0.999)


def half_away(x: Fraction) -> int:
    """x rounded to the nearest integer, halves away from zero."""
    return int(math.copysign(math.floor(abs(x) + Fraction(1, 2)), x)) if x else 0


@given(INT32, st.integers(0, 2**31 - 1))
def test_high_mul_is_the_quotient_rounded_half_up(a: int, b: int) -> None:
    found = int(saturating_rounding_doubling_high_mul(np.int64(a), np.int64(b)))
    # a half goes up on both sides of zero: below it the nudge is 1 - 2^30, and the quotient is truncated
    exact = Fraction(a * b, 2**31)
    wanted = math.floor(exact + Fraction(1, 2))
    assert found == wanted


def test_high_mul_saturates() -> None:
    least = np.int64(-(2**31))
    assert int(saturating_rounding_doubling_high_mul(least, least)) == 2**31 - 1


@given(INT32, st.integers(0, 31))
def test_divide_by_power_of_two_rounds_half_away(x: int, exponent: int) -> None:
    found = int(rounding_divide_by_power_of_two(np.int64(x), np.int64(exponent)))
    assert found == half_away(Fraction(x, 2**exponent))


def test_every_small_quotient_and_all_its_ties() -> None:
    for exponent in range(7):
        for x in range(-130, 131):
            found = int(rounding_divide_by_power_of_two(np.int64(x), np.int64(exponent)))
            assert found == half_away(Fraction(x, 2**exponent)), (x, exponent)
    for count in range(1, 9):
        for total in range(-40, 41):
            found = int(divide_half_away(np.int64(total), count))
            assert found == half_away(Fraction(total, count)), (total, count)


@given(INT32, st.integers(1, 1000))
def test_averages_round_half_away(total: int, count: int) -> None:
    exact = Fraction(total, count)
    wanted = half_away(exact)
    assert int(divide_half_away(np.int64(total), count)) == wanted


@given(st.floats(1e-9, 1e6))
def test_multiplier_is_the_real_number_to_31_bits(real: float) -> None:
    made = quantize_multiplier(real)
    held = Fraction(int(made.m0)) * Fraction(2) ** (int(made.shift) - 31)
    assert 2**30 <= int(made.m0) < 2**31
    assert abs(held / Fraction(real) - 1) <= Fraction(1, 2**31)


def test_multiplier_at_its_edges() -> None:
    almost_one = quantize_multiplier(
        1.0 - 2.0**-40
    )  # rounds up to 2^31: becomes 2^30 with the next exponent
    assert (int(almost_one.m0), int(almost_one.shift)) == (2**30, 1)
    nothing = quantize_multiplier(2.0**-40)
    assert (int(nothing.m0), int(nothing.shift)) == (0, 0)
    assert int(multiply(np.int64(2**31 - 1), nothing)) == 0


@given(INT32, MULTIPLIERS)
def test_single_rounding_is_exact(acc: int, real: float) -> None:
    made = quantize_multiplier(real)
    exact = Fraction(acc * int(made.m0), 1) * Fraction(2) ** (int(made.shift) - 31)
    found = int(multiply(np.int64(acc), made, "single"))
    assert found == math.floor(exact + Fraction(1, 2))


@given(INT32, MULTIPLIERS)
def test_double_rounding_is_both_roundings_in_turn(acc: int, real: float) -> None:
    made = quantize_multiplier(real)
    first = math.floor(Fraction(acc * int(made.m0), 2**31) + Fraction(1, 2))
    wanted = half_away(Fraction(first, 2 ** max(-int(made.shift), 0)))
    assert int(multiply(np.int64(acc), made, "double")) == wanted


@given(st.integers(-(2**23), 2**23), MULTIPLIERS)
def test_the_three_roundings_differ_by_at_most_one(acc: int, real: float) -> None:
    made = quantize_multiplier(real)
    found = [int(multiply(np.int64(acc), made, r)) for r in ("double", "single", "float")]
    exact = acc * real
    slack = 0.5 + abs(exact) * 2.0**-22 + 0.5
    assert all(abs(value - exact) <= slack for value in found)
    if abs(exact) < 2**20:
        assert max(found) - min(found) <= 1


def test_float_rounding_goes_to_even() -> None:
    half = quantize_multiplier(0.5)
    assert multiply(np.asarray([1, 3, -1, -3]), half, "float").tolist() == [0, 2, 0, -2]
    assert multiply(np.asarray([1, 3, -1, -3]), half, "double").tolist() == [1, 2, 0, -1]
    assert multiply(np.asarray([1, 3, -1, -3]), half, "single").tolist() == [1, 2, 0, -1]


def test_left_shifts() -> None:
    for rounding in ("double", "single", "float"):
        found = multiply(np.asarray([3, -5, 1000]), quantize_multiplier(2.5), rounding)
        assert np.abs(found - [7.5, -12.5, 2500]).max() <= 0.5, rounding


# ------------------------------------------------------------------- fake quantization


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.lists(st.floats(-2e3, 2e3), min_size=1))
def test_fake_quantization_is_idempotent_keeps_zero_and_errs_by_half_a_step(
    a: float, b: float, values: list[float]
) -> None:
    params = affine(min(a, b), max(a, b))
    x = np.asarray(values, np.float32)
    once = params.fake_quantize(x)
    assert np.array_equal(params.fake_quantize(once), once)
    assert params.fake_quantize(np.zeros(1))[0] == 0.0
    low, high = (float(params.dequantize(np.asarray(q))) for q in (params.qmin, params.qmax))
    inside = (x >= low) & (x <= high)
    assert np.all(np.abs(once - x)[inside] <= params.scale[0] * 0.5001)


def test_quotients_beyond_every_integer_saturate() -> None:
    params = QParams((1e-38,), (5,))
    assert params.quantize(np.asarray([1e5, -1e5, 0.0])).tolist() == [127, -128, 5]


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30))
def test_narrow_weights_never_hold_minus_128(values: list[float]) -> None:
    weight = np.asarray(values, np.float32)
    params = symmetric(np.abs(weight).max())
    assert params.quantize(weight).min() >= -127
    assert params.quantize(weight * 3).min() >= -127  # and clips there


# ------------------------------------------------------------------- engine


def test_all_roundings_stay_close_over_a_whole_net() -> None:
    hub = ptq.quantized_hub("depthwise")
    sample = ptq.samples("depthwise", 1, 4)[0]
    step = ptq.planned("depthwise").activations["output"].scale[0]
    found = [run_integer(hub, sample, r)[0] for r in ("double", "single", "float")]
    for other in found[1:]:
        assert np.abs(found[0] - other).max() <= 4.001 * step


def test_results_are_the_same_every_time() -> None:
    model = IntegerModel(ptq.quantized_hub("concat"))
    sample = ptq.samples("concat", 1, 4)[0]
    first = model.run_tensors(sample)
    again = model.run_tensors(sample)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_convolution_written_out() -> None:
    """One output of a strided, padded, dilated, grouped convolution, by loops over exact integers."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 2, 3, 3)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    attributes = {"strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2], "group": 2}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 7, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    hub = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    )
    samples = [(rng.normal(size=(1, 4, 7, 8)).astype(np.float32),) for _ in range(4)]
    made = plan(hub, samples, PtqConfig(observer="minmax"))
    tensors = IntegerModel(apply(hub, made)).run_tensors(samples[0], "single")
    x = tensors["x_q"][0] - made.activations["x"].zero_point[0]
    q_w, q_b = made.constants["w"].values.astype(int), made.constants["b"].values
    channel, row, column = 3, 1, 2
    acc = int(q_b[channel])
    for c in range(2):
        for i in range(3):
            for j in range(3):
                y, z = row * 2 - 1 + i, column - 0 + 2 * j
                if 0 <= y < 7 and 0 <= z < 8:
                    acc += int(x[2 + c, y, z]) * int(q_w[channel, c, i, j])
    out = made.activations["y"]
    scale = made.activations["x"].scale[0] * made.constants["w"].qparams.scale[channel]
    wanted = math.floor(acc * scale / out.scale[0] + 0.5) + out.zero_point[0]
    assert tensors["y_q"][0, channel, row, column] == np.clip(wanted, -128, 127)


@given(st.integers(-128, 127), st.integers(-128, 127), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_addition_written_out(q1: int, q2: int, s1: float, s2: float) -> None:
    """Both sides times 2^20 over twice the larger scale, each rounding in turn, with Python's own integers."""
    first, second, out = QParams((s1,), (3,)), QParams((s2,), (-7,)), QParams((0.5,), (11,))
    operands = [Operand(np.asarray([q]), p) for q, p in ((q1, first), (q2, second))]
    call = Call(NodeView("add", "Add", "", ("a", "b"), ("y",)), operands, out, "double")
    twice = 2 * max(s1, s2)
    total = rescaled((q1 - 3) << 20, s1 / twice) + rescaled((q2 + 7) << 20, s2 / twice)
    assert int(add(call)[0]) == rescaled(total, twice / (2**20 * 0.5)) + 11


def test_ties_of_additions_go_away_from_zero() -> None:
    q = np.arange(-128, 128)
    first, second = np.meshgrid(q, q)
    side, out = QParams((0.25,), (0,)), QParams((0.5,), (0,))
    call = Call(
        NodeView("add", "Add", "", ("a", "b"), ("y",)),
        [Operand(first, side), Operand(second, side)],
        out,
        "double",
    )
    half = (first + second) / 2
    assert np.array_equal(add(call), np.sign(half) * np.floor(np.abs(half) + 0.5))


def rescaled(acc: int, real: float) -> int:
    made = quantize_multiplier(real)
    shift = int(made.shift)
    acc <<= max(shift, 0)
    high = math.floor(Fraction(acc * int(made.m0), 2**31) + Fraction(1, 2))
    return half_away(Fraction(high, 2 ** max(-shift, 0)))


def test_bad_calls_are_refused() -> None:
    hub = ptq.quantized_hub("series")
    with pytest.raises(UsageError, match="rounding"):
        run_integer(hub, ptq.samples("series", 1, 0)[0], "triple")
    with pytest.raises(InputError, match="inputs"):
        run_integer(hub, ())
    with pytest.raises(UsageError, match="rounding"):
        multiply(np.zeros(1), quantize_multiplier(0.5), "none")


def test_relu6_clamps_in_output_units() -> None:
    params = QParams((0.1,), (-20,))
    found = _clamped(np.asarray([-100, -20, 0, 39, 40, 41, 127]), _Target(params, 0.0, 6.0))
    assert found.tolist() == [-20, -20, 0, 39, 40, 40, 40]
