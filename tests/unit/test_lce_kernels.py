"""The reference of Larq Compute Engine's operators: bits where they belong, sums against torch's convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from edgepress.runtime import lce_kernels as kernels
from hypothesis import given, settings
from hypothesis import strategies as st


def test_bit_one_is_negative_least_significant_first() -> None:
    x = np.zeros(40, np.float32)
    x[[1, 31, 32]] = -1
    x[2], x[3] = -0.0, np.nan
    assert kernels.quantize(x).tolist() == [2 - 2**31, 1]
    integers = np.array([4, 5, 6], np.int8)
    assert kernels.quantize(integers, 5).tolist() == [1]
    assert kernels.quantize(np.array([True, False])).tolist() == [2]


def test_signs_come_back_as_numbers() -> None:
    words = np.array([0b10], np.int32)
    assert kernels.dequantize(words, 2, "float32", 1.0, 0).tolist() == [1.0, -1.0]
    assert kernels.dequantize(words, 2, "bool", 1.0, 0).tolist() == [True, False]
    assert kernels.dequantize(words, 2, "int8", 0.4, 10).tolist() == [13, 7]  # 1 / 0.4 = 2.5 -> 3
    assert kernels.dequantize(words, 2, "int8", 0.005, 0).tolist() == [127, -128]


def test_pools_are_maxima_of_signs() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 7, 5, 40)).astype(np.float32)
    for same in (False, True):
        window = kernels.make_window((7, 5), (3, 2), (2, 2), (1, 1), same)
        found = kernels.max_pool(kernels.quantize(x), window)
        t = torch.from_numpy(x).permute(0, 3, 1, 2)
        pads = [window.before[1], window.after[1], window.before[0], window.after[0]]
        real = F.max_pool2d(F.pad(t, pads, value=-9.0), (3, 2), 2).permute(0, 2, 3, 1)
        assert np.array_equal(found, kernels.quantize(real.numpy()))


@st.composite
def layers(draw: st.DrawFn) -> dict[str, int]:
    groups = draw(st.sampled_from([1, 1, 2]))
    return {
        "channels": draw(st.integers(1, 70)) if groups == 1 else 64,
        "groups": groups,
        "outputs": groups * draw(st.integers(1, 5)),
        "kernel": draw(st.integers(1, 3)),
        "stride": draw(st.integers(1, 2)),
        "dilation": draw(st.integers(1, 2)),
        "size": draw(st.integers(5, 8)),
        "padding": draw(st.sampled_from([-1, 0, 1])),  # VALID, SAME with 0, SAME with 1
        "seed": draw(st.integers(0, 99)),
    }


@given(layers())
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_a_convolution_of_signs(case: dict[str, int]) -> None:
    rng = np.random.default_rng(case["seed"])
    size, kernel, groups = case["size"], case["kernel"], case["groups"]
    x = rng.choice([-1.0, 1.0], (1, size, size, case["channels"])).astype(np.float32)
    per_group = case["channels"] // groups
    w = rng.choice([-1.0, 1.0], (case["outputs"], kernel, kernel, per_group)).astype(np.float32)
    steps, wide = (case["stride"],) * 2, (case["dilation"],) * 2
    window = kernels.make_window((size, size), (kernel, kernel), steps, wide, case["padding"] >= 0)
    words, filters = kernels.quantize(x), kernels.quantize(w)
    depth, block, found = filters.shape[3], case["outputs"] // groups, []
    for group in range(groups):
        own = words[..., group * depth : (group + 1) * depth]
        part = filters[group * block : (group + 1) * block]
        counts, taps = kernels.popcounts(own, part, window, case["padding"] == 0)
        found.append(kernels.sums(counts, taps, per_group))
    t, k = (torch.from_numpy(v).permute(0, 3, 1, 2) for v in (x, w))
    pads = [window.before[1], window.after[1], window.before[0], window.after[0]]
    t = F.pad(t, pads, value=float(max(0, case["padding"])))
    right = F.conv2d(t, k, None, steps, 0, wide, groups).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(np.concatenate(found, -1), right)


@pytest.mark.parametrize(
    ("activation", "low", "high"), [(0, -99, 99), (1, 0, 99), (2, -1, 1), (3, 0, 6)]
)
def test_the_clamp_comes_before_the_scale(activation: int, low: int, high: int) -> None:
    y = np.array([[-7, -1, 0, 5, 9]], np.int64).T
    found = kernels.affine(y, np.float32([-2.0]), np.float32([0.5]), activation)
    assert np.array_equal(found, np.clip(y, low, high).astype(np.float32) * np.float32(-2) + 0.5)


def test_int8_results_round_half_away_from_zero_and_saturate() -> None:
    values = np.array([0.25, -0.25, 0.75, 100.0, -100.0], np.float32)
    assert kernels.to_int8(values, 0.5, 1).tolist() == [2, 0, 3, 127, -128]
