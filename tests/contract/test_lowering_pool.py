"""Max, average and global pooling: every padding, counted or not, one and two axes, float and int8."""

from __future__ import annotations

import itertools
from typing import Any

import onnx
import pytest
from edgepress.compress.quantization.qparams import QParams
from edgepress.export.tflite.lower import Lowered, lower
from edgepress.runtime.errors import UnsupportedOperatorError
from onnx import helper
from support.lowering import ENGINES, assert_same_float, lsb_difference, make_hub
from support.passes import random
from support.quantized import quantize, ranges

SIZES, KERNELS, STRIDES, PADS = (7, 8, 32, 33), (1, 2, 3, 5), (1, 2), (0, 1, 2)


def codes(lowered: Lowered) -> list[str]:
    return [operator.code for operator in lowered.model.operators]


def pool(op: str, shape: tuple[int, ...], **attributes: Any) -> onnx.ModelProto:
    return make_hub(
        [helper.make_node(op, ["x"], ["y"], "pool", **attributes)], {"x": shape}, ["y"], {}
    )


@pytest.mark.parametrize("kind", ["max", "average", "average with pads"])
@pytest.mark.parametrize("spatial", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_padding_matrix(size: int, spatial: int, kind: str) -> None:
    """Every window of one size in one file; negative values show a padding with 0 in a maximum."""
    op = "MaxPool" if kind == "max" else "AveragePool"
    more = {"count_include_pad": 1} if "pads" in kind else {}
    nodes, outputs = [], []
    for kernel, stride, pad in itertools.product(KERNELS, STRIDES, PADS):
        if pad >= kernel:
            continue
        name = f"k{kernel}s{stride}p{pad}"
        window = {
            "kernel_shape": [kernel] * spatial,
            "strides": [stride] * spatial,
            "pads": [pad] * 2 * spatial,
        }
        nodes.append(helper.make_node(op, ["x"], [name], name, **window, **more))
        outputs.append(name)
    shape = (1, 2, *[size] * spatial)
    model = make_hub(nodes, {"x": shape}, outputs, {})
    assert_same_float(model, {"x": random(*shape) - 3}, layouts=("nhwc",))


POOLS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "cube": ("MaxPool", (1, 4, 4, 4), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "oblong": ("MaxPool", (1, 3, 6, 9), {"kernel_shape": [2, 3], "strides": [1, 3]}),
    "one-sided": ("MaxPool", (1, 3, 6, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    "other side": ("MaxPool", (1, 3, 6, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]}),
    "same lower": ("MaxPool", (1, 3, 6, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "ceil": ("MaxPool", (1, 3, 7, 7), {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "mean, cube": ("AveragePool", (1, 4, 4, 4), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "mean, ceil": ("AveragePool", (1, 3, 7, 7), {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "mean, ceil, counted": (
        "AveragePool",
        (1, 3, 8, 8),
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "ceil_mode": 1, "count_include_pad": 1},
    ),
    "mean, uneven": ("AveragePool", (1, 3, 6, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]}),
    "1-D": ("MaxPool", (1, 4, 9), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    "1-D mean": ("AveragePool", (1, 4, 8), {"kernel_shape": [2], "strides": [2]}),
    "global": ("GlobalAveragePool", (1, 4, 4, 4), {}),
    "global max": ("GlobalMaxPool", (1, 4, 4, 4), {}),
    "global 1-D": ("GlobalAveragePool", (1, 4, 9), {}),
    "global max 1-D": ("GlobalMaxPool", (1, 4, 9), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", POOLS)
def test_float(name: str) -> None:
    op, shape, attributes = POOLS[name]
    assert_same_float(pool(op, shape, **attributes), {"x": random(*shape) - 2})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", POOLS)
def test_int8(name: str, engine: str) -> None:
    op, shape, attributes = POOLS[name]
    model = pool(op, shape, **attributes)
    samples = [{"x": random(*shape, seed=s) - 1} for s in range(4)]
    hub = quantize(model, samples)
    steps = lsb_difference(hub, samples[0], engine)
    assert steps.max() <= (0 if "Max" in op else 1)
    floats = {"DEQUANTIZE"} & set(codes(lower(hub)))
    # an average whose divisor changes along the border would be rounded twice: it stays float
    assert bool(floats) == (name in ("mean, ceil", "mean, ceil, counted", "mean, uneven"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "GlobalAveragePool"])
def test_another_output_scale(op: str, engine: str) -> None:
    """A mean takes any scale in one rounding; the others need one QUANTIZE, which is listed."""
    attributes = {} if op.startswith("Global") else {"kernel_shape": [2, 2], "strides": [2, 2]}
    model = pool(op, (1, 3, 4, 4), **attributes)
    sample = {"x": random(1, 3, 4, 4)}
    params = ranges(model, [sample])
    params["y"] = QParams((0.013,), (7,))
    hub = quantize(model, [sample], params=params)
    lowered = lower(hub)
    single = op == "GlobalAveragePool"
    assert (codes(lowered)[-1] == "QUANTIZE") != single
    assert len(lowered.extra_quantize) == (0 if single else 1)
    assert lsb_difference(hub, sample, engine).max() <= 1


def test_a_fused_activation() -> None:
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a"], "pool", kernel_shape=[2, 2]),
        helper.make_node("Relu", ["a"], ["y"], "act"),
    ]
    model = make_hub(nodes, {"x": (1, 3, 5, 5)}, ["y"], {})
    assert codes(assert_same_float(model, {"x": random(1, 3, 5, 5) - 1}, layouts=("nhwc",))) == [
        "MAX_POOL_2D"
    ]


def test_what_no_engine_runs_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperatorError, match="dilated.*\\n?.*pool"):
        lower(pool("MaxPool", (1, 3, 9, 9), kernel_shape=[2, 2], dilations=[2, 2]))
    nodes = [helper.make_node("MaxPool", ["x"], ["y", "i"], "pool", kernel_shape=[2, 2])]
    model = make_hub(nodes, {"x": (1, 3, 4, 4)}, ["y", "i"], {}, {"i": onnx.TensorProto.INT64})
    with pytest.raises(UnsupportedOperatorError, match="indices"):
        lower(model)
