"""How weights are stored: fp16, dynamic-range and weight-only int8, in every engine; what each costs in accuracy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgepress.export.tflite import to_tflite
from edgepress.export.tflite.lower import lower
from edgepress.export.tflite.op_versions import ENGINES as RELEASES
from edgepress.export.tflite.op_versions import first_release
from edgepress.export.tflite.write import write
from edgepress.runtime.errors import InputError, UsageError
from edgepress.runtime.tflite_schema import read_model
from onnx import helper
from support.lowering import ENGINES, make_hub, run_onnx, run_tflite
from support.passes import random
from support.quantized import quantize


def network() -> onnx.ModelProto:
    """Every layer that has weights, all of them large enough to be worth compressing."""
    constants = {
        "w1": random(16, 4, 3, 3, seed=1) * np.float32(0.2),
        "b1": random(16, seed=2),
        "w2": random(32, 1, 3, 3, seed=3) * np.float32(0.3),
        "w3": random(16, 8, 3, 3, seed=4) * np.float32(0.2),
        "w4": random(16, 8, 3, 3, seed=5) * np.float32(0.2),
        "w5": random(10, 32, seed=6) * np.float32(0.3),
        "b5": random(10, seed=7),
        "w6": random(10, 20, seed=8),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["a_"], "relu"),
        helper.make_node("Conv", ["a_", "w2"], ["b"], "depthwise", group=16),
        helper.make_node("Conv", ["b", "w3"], ["c"], "grouped", group=4, pads=[1] * 4),
        helper.make_node("ConvTranspose", ["c", "w4"], ["d"], "up", strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["b"], ["e"], "pool"),
        helper.make_node("Flatten", ["e"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w5", "b5"], ["g"], "fc", transB=1),
        helper.make_node("MatMul", ["g", "w6"], ["y"], "mm"),
    ]
    return make_hub(nodes, {"x": (1, 4, 9, 9)}, ["y", "d"], constants)


SAMPLE = {"x": random(1, 4, 9, 9, seed=11)}
TOLERANCE = {"fp16": 2e-3, "dynamic": 6e-2, "weight-only": 4e-2}
"""Of the largest output: 11 bits of mantissa; 8-bit weights and, dynamic, 8-bit activations in five layers."""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("precision", TOLERANCE)
def test_engines_run_compressed_weights(precision: str, engine: str) -> None:
    data = to_tflite(network(), precision=precision, io_layout="nchw")
    for want, have in zip(
        run_onnx(network(), SAMPLE), run_tflite(data, [SAMPLE["x"]], engine), strict=True
    ):
        error = np.abs(have - want).max() / np.abs(want).max()
        assert 0 < error < TOLERANCE[precision]  # something was rounded, and not more than that


def test_sizes_and_where_the_bytes_are() -> None:
    hub = network()
    plain, half, dynamic, only = (
        len(to_tflite(hub, precision=p)) for p in ("float32", "fp16", "dynamic", "weight-only")
    )
    weights = sum(4 * np.prod(t.dims) for t in hub.graph.initializer if t.name.startswith("w"))
    assert plain - half > 0.42 * weights and plain - dynamic > 0.65 * weights
    assert abs(only - dynamic) < 0.1 * plain


def test_each_kernel_reads_what_it_can() -> None:
    """Hybrid kernels take int8 weights directly; TRANSPOSE_CONV has none and gets a DEQUANTIZE."""
    lowered = lower(network(), precision="dynamic").model
    made = {o.outputs[0]: o.code for o in lowered.operators}
    reads = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
    for operator in lowered.operators:
        if operator.code not in reads:
            continue
        weight = lowered.tensors[operator.inputs[1]]
        if operator.code == "TRANSPOSE_CONV":
            assert made[operator.inputs[1]] == "DEQUANTIZE"
        else:
            assert weight.dtype == "int8" and weight.quantization is not None
            per_tensor = operator.code == "FULLY_CONNECTED"
            assert (len(weight.quantization.scale) == 1) == per_tensor
        bias = lowered.tensors[operator.inputs[2]] if operator.code != "TRANSPOSE_CONV" else None
        assert bias is None or bias.dtype == "float32"


def test_one_dequantize_for_a_weight_two_layers_share() -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], "one", transB=1),
        helper.make_node("Gemm", ["a", "w"], ["y"], "two", transB=1),
    ]
    model = make_hub(nodes, {"x": (1, 16)}, ["y"], {"w": random(16, 16)})
    lowered = lower(model, precision="fp16").model
    assert [o.code for o in lowered.operators].count("DEQUANTIZE") == 1


def test_small_constants_stay_float() -> None:
    model = make_hub(
        [helper.make_node("Gemm", ["x", "w"], ["y"], "fc", transB=1)],
        {"x": (1, 4)},
        ["y"],
        {"w": random(3, 4)},
    )
    for precision in TOLERANCE:
        assert [o.code for o in lower(model, precision=precision).model.operators] == [
            "FULLY_CONNECTED"
        ]


def test_a_weight_too_large_for_half_is_refused() -> None:
    big = random(16, 16) * np.float32(1e6)
    model = make_hub(
        [helper.make_node("Gemm", ["x", "w"], ["y"], "fc", transB=1)],
        {"x": (1, 16)},
        ["y"],
        {"w": big},
    )
    with pytest.raises(InputError, match="does not fit float16"):
        lower(model, precision="fp16")


def dequantized_weights() -> tuple[onnx.ModelProto, np.ndarray]:
    """A hub whose weights alone are quantized, one scale per channel; and its integers."""
    integers = np.random.default_rng(0).integers(-127, 128, (16, 16)).astype(np.int8)
    scales = np.abs(random(16)) + np.float32(0.1)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], "dq", axis=0),
        helper.make_node("Gemm", ["x", "w"], ["y"], "fc", transB=1),
    ]
    constants = {"q": integers, "s": scales, "z": np.zeros(16, np.int8)}
    return make_hub(nodes, {"x": (1, 16)}, ["y"], constants), integers


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("precision", ["auto", "weight-only"])
def test_quantized_weights_alone_stay_as_they_are(precision: str, engine: str) -> None:
    hub, integers = dequantized_weights()
    lowered = lower(hub, precision=precision)
    assert lowered.precision == "weight-only"
    assert any(
        t.dtype == "int8" and np.array_equal(t.data, integers) for t in lowered.model.tensors
    )
    x = random(1, 16)
    (want,), (have,) = run_onnx(hub, {"x": x}), run_tflite(write(lowered.model), [x], engine)
    np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-3)
    with pytest.raises(UsageError, match="no quantization"):
        lower(hub, precision="int8")


@pytest.mark.parametrize("precision", ["float32", "fp16", "dynamic", "weight-only", "int8"])
def test_versions_are_the_lowest_and_known_to_every_engine(precision: str) -> None:
    hub = quantize(network(), [SAMPLE], per_channel=False) if precision == "int8" else network()
    lowest = {
        "float32": {
            "CONV_2D": 1,
            "DEPTHWISE_CONV_2D": 1,
            "FULLY_CONNECTED": 1,
            "TRANSPOSE_CONV": 1,
        },
        "fp16": {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "DEQUANTIZE": 3},
        "dynamic": {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 3},
        "weight-only": {"CONV_2D": 1, "DEQUANTIZE": 5},
        "int8": {
            "CONV_2D": 3,
            "DEPTHWISE_CONV_2D": 3,
            "FULLY_CONNECTED": 4,
            "TRANSPOSE_CONV": 2,
            "MEAN": 2,
        },
    }[precision]
    model = read_model(write(lower(hub, precision=precision).model)).main
    for operator in model.operators:
        name, version = operator.code.name, operator.code.version
        released = first_release(name, version)
        assert released is not None and released <= min(RELEASES.values()), (name, version)
        if name in lowest:
            assert version <= lowest[name], (name, version)
