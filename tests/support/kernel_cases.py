"""Calls of int8 kernels on random shapes, packed for a core, and what they must give by plain sums.

A case is one convolution, depthwise convolution or dense layer. All cases have buffers of the same sizes, as vectors of
a firmware must; `kernel_program.py` makes the calls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from edgepress.compress.quantization.requantize import Multiplier, multiply
from edgepress.export.c.pack import layout_of

Array = np.ndarray

X_BYTES, W_BYTES, N_WORDS, Y_BYTES, SCRATCH_BYTES = 4096, 32768, 128, 4096, 8192
CONV, DEPTHWISE, DENSE = 0, 1, 2
KINDS = ("conv", "depthwise", "dense")
AXES = ("batch", "in_h", "in_w", "channels", "out_h", "out_w", "kernel_h", "kernel_w")
AXES += ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_h", "pad_w")


@dataclass(frozen=True)
class Case:
    """One call: inputs as the C program takes them, and the output that must come."""

    inputs: tuple[Array, ...]
    expected: Array
    said: str


def random_case(seed: int, core: str) -> Case:
    """A call whose kind and shape come from the seed, packed for a core."""
    rng = np.random.default_rng(seed)
    kind = int(rng.choice(3, p=[0.5, 0.35, 0.15]))
    while True:
        window = _dense_window(rng) if kind == DENSE else _window(rng, kind)
        outputs = int(rng.integers(1, 40))
        if kind == DEPTHWISE:
            outputs = window["channels"] * int(rng.choice([1, 1, 1, 2, 3]))
        if _fits(window, outputs, kind):
            return _case(rng, kind, window, outputs, core)


def _window(rng: np.random.Generator, kind: int) -> dict[str, int]:
    def pick(*values: int) -> int:
        return int(rng.choice(values))

    one_line = rng.random() < 0.25
    w = {"batch": pick(1, 1, 2), "in_h": 1 if one_line else pick(2, 3, 5, 6, 9)}
    w["in_w"], w["channels"] = (
        pick(1, 3, 5, 8, 11, 25),
        pick(1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 32, 48),
    )
    sizes = (1, 2, 3, 3, 3, 4, 5) if kind == DEPTHWISE else (1, 1, 2, 3, 3, 4)
    w["kernel_h"], w["kernel_w"] = (1 if one_line else pick(*sizes)), pick(*sizes, 7)
    for axis in "hw":
        w[f"stride_{axis}"], w[f"dilation_{axis}"] = pick(1, 1, 2, 3), pick(1, 1, 1, 2)
        reach = (w[f"kernel_{axis}"] - 1) * w[f"dilation_{axis}"] + 1
        w[f"pad_{axis}"] = int(rng.integers(0, max(reach, 1)))
        behind = int(rng.integers(0, max(reach, 1)))
        free = w[f"in_{axis}"] + w[f"pad_{axis}"] + behind - reach
        w[f"out_{axis}"] = free // w[f"stride_{axis}"] + 1 if free >= 0 else 0
    return w


def _dense_window(rng: np.random.Generator) -> dict[str, int]:
    w = dict.fromkeys(AXES, 1)
    w["batch"], w["channels"] = int(rng.integers(1, 6)), int(rng.integers(1, 200))
    w["pad_h"] = w["pad_w"] = 0
    return w


def _fits(w: dict[str, int], outputs: int, kind: int) -> bool:
    pixels = w["batch"] * w["out_h"] * w["out_w"]
    taps = w["kernel_h"] * w["kernel_w"]
    x = w["batch"] * w["in_h"] * w["in_w"] * w["channels"]
    depth = w["channels"] * taps if kind != DEPTHWISE else taps * 4
    small = outputs + 16 <= N_WORDS and (outputs + 16) * (depth + 64) <= W_BYTES
    return 0 < pixels * outputs <= Y_BYTES and x <= X_BYTES and small


def _case(
    rng: np.random.Generator, kind: int, window: dict[str, int], outputs: int, core: str
) -> Case:
    layout, channels = layout_of(core), window["channels"]
    kernel = (window["kernel_h"], window["kernel_w"])
    depth = kernel[0] * kernel[1] * (1 if kind == DEPTHWISE else channels)
    x = rng.integers(-128, 128, (window["batch"], window["in_h"], window["in_w"], channels))
    weights = rng.integers(-127, 128, (outputs, *kernel, depth // (kernel[0] * kernel[1])))
    if rng.random() < 0.2:  # the largest sums there are
        x, weights = np.full_like(x, -128), np.full_like(weights, rng.choice([-127, 127]))
    x_zero, zero = (int(n) for n in rng.integers(-128, 128, 2))
    bias = rng.integers(-(2**14), 2**14, outputs)
    large = rng.random() < 0.2
    if large:  # sums that stay within int8 under factors of 1/2 and more
        weights = rng.integers(-1, 2, weights.shape) * (rng.random(weights.shape) < 0.2)
        x, bias = np.clip(x, x_zero - 20, x_zero + 20), rng.integers(-40, 40, outputs)
        x = np.clip(x, -128, 127)
    scale = _scale(rng, outputs, depth, large)
    low = int(rng.choice([zero, zero, max(-128, zero - 6), -128, -20]))
    high = max(low, int(rng.choice([127, 127, 60])))
    acc = bias + _sums(x - x_zero, weights, window, kind == DEPTHWISE)
    expected = np.clip(zero + multiply(acc, scale), low, high).astype(np.int8)
    packed, scratch = _packed(layout, kind, weights.astype(np.int8), window, depth)
    folds = kind != DEPTHWISE or layout.folds_depthwise
    folded = bias - (x_zero + layout.offset) * weights.reshape(outputs, -1).sum(1) * folds
    made = layout.vectors if kind == DEPTHWISE else layout.product_vectors
    words = made(*(v.astype(np.int32) for v in (folded, scale.m0, scale.shift)), zero)
    aside = len(words) > 1  # arrays of one word an output, else one of several
    held = [_filled(v, N_WORDS if aside else 4 * N_WORDS) for v in words.values()]
    head = [
        kind,
        *(window[a] for a in AXES),
        outputs,
        depth,
        zero,
        low,
        high,
        x_zero,
        x.size,
        expected.size,
        scratch,
        layout.depthwise_fields(window, outputs // channels).get("band", 0),
    ]
    inputs = (
        np.array(head, np.int32),
        _filled(x.astype(np.int8).reshape(-1), X_BYTES),
        _filled(packed, W_BYTES),
        _filled(np.concatenate(held), 4 * N_WORDS),
    )
    said = f"{KINDS[kind]} {window} outputs {outputs}"
    return Case(inputs, _filled(expected.reshape(-1), Y_BYTES), said)


def _scale(rng: np.random.Generator, outputs: int, depth: int, large: bool) -> Multiplier:
    """Factors that bring sums into eight bits, or some of 1/2 and more; sometimes half a step is met often."""
    shift = rng.integers(-12, -6, outputs) - int(np.log2(depth + 1)) // 2
    if large:  # the largest is often just 0
        shift = rng.integers(-4, int(rng.choice([1, 1, 4])), outputs)
    exact = rng.random() < 0.3
    m0 = np.full(outputs, 2**30) if exact else rng.integers(2**30, 2**31, outputs)
    return Multiplier(m0 * 2.0**-31 * 2.0**shift, m0.astype(np.int64), shift.astype(np.int64))


def _packed(
    layout: object, kind: int, weights: Array, window: dict[str, int], depth: int
) -> tuple[Array, int]:
    """(weights as the layout has them, bytes of scratch)."""
    if kind == DEPTHWISE:
        scratch = layout.depthwise_scratch(window, len(weights) // window["channels"]) or 0  # type: ignore[attr-defined]
        return layout.depthwise_window(weights[..., 0].transpose(1, 2, 0), window), scratch  # type: ignore[attr-defined]
    if kind == DENSE:
        return layout.matrix(weights.reshape(len(weights), -1)), 0  # type: ignore[attr-defined]
    return layout.conv(weights, window), layout.conv_scratch(window, depth)  # type: ignore[attr-defined]


def _sums(x: Array, weights: Array, w: dict[str, int], depthwise: bool) -> Array:
    """[N, H', W', O] sums of a convolution by its definition; `x` counts from its zero point, 0 is the padding."""
    result = np.zeros((w["batch"], w["out_h"], w["out_w"], len(weights)), np.int64)
    spread = np.repeat(x, len(weights) // x.shape[3], axis=3) if depthwise else x
    for i in range(w["out_h"]):
        for j in range(w["out_w"]):
            for a in range(w["kernel_h"]):
                for b in range(w["kernel_w"]):
                    line = i * w["stride_h"] - w["pad_h"] + a * w["dilation_h"]
                    column = j * w["stride_w"] - w["pad_w"] + b * w["dilation_w"]
                    if not (0 <= line < w["in_h"] and 0 <= column < w["in_w"]):
                        continue
                    pixel, tap = spread[:, line, column], weights[:, a, b]
                    result[:, i, j] += pixel * tap[:, 0] if depthwise else pixel @ tap.T
    return result


def _filled(values: Array, count: int) -> Array:
    assert values.size <= count, (values.size, count)
    return np.concatenate([values, np.zeros(count - values.size, values.dtype)])
