"""ONNX files with smaller weights: what is stored, what it costs, and that the TFLite file of the same kind agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.qparams import symmetric
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx import storage
from edgepress.export.onnx.check import run
from edgepress.export.parity import verify
from edgepress.export.parity_records import Candidate
from edgepress.export.tflite import to_tflite
from edgepress.runtime.errors import InputError
from onnx import helper, numpy_helper
from support import ptq
from support.lowering import make_hub
from support.passes import random

MAKERS = {
    "fp16": storage.to_fp16,
    "weight-only": storage.to_weight_only,
    "dynamic": storage.to_dynamic,
}
TOLERANCE = {"fp16": 1e-3, "weight-only": 2e-2, "dynamic": 2e-2}
"""Of the largest output: 11 bits of mantissa; 8-bit weights; 8-bit weights and activations."""


AMPLIFIES = {"h": 4.0}
"""The recurrent layer reads large values near the bend of its gates: its error is several times that of its input."""


def network() -> onnx.ModelProto:
    """Every operator with weights: convolutions of all kinds, dense, matrices on both sides, recurrent, a table."""
    constants = {
        "w1": random(16, 4, 3, 3, seed=1) * np.float32(0.2),
        "b1": random(16, seed=2),
        "w2": random(32, 1, 3, 3, seed=3) * np.float32(0.3),
        "w3": random(32, 8, 3, 3, seed=4) * np.float32(0.2),
        "w5": random(24, 32, seed=6) * np.float32(0.3),
        "b5": random(24, seed=7),
        "w6": random(24, 20, seed=8),
        "left": random(30, 5, seed=9),
        "shape": np.asarray([5, 1, 4], np.int64),
        "w7": random(1, 32, 4, seed=10),
        "r7": random(1, 32, 8, seed=11) * np.float32(0.3),
        "table": random(40, 5, seed=12),
        "rows": np.asarray([3, 7, 11], np.int64),
        "five": np.asarray([5, 4], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["a_"], "relu"),
        helper.make_node("Conv", ["a_", "w2"], ["b"], "depthwise", group=16),
        helper.make_node("ConvTranspose", ["b", "w3"], ["d"], "up", strides=[2, 2], group=2),
        helper.make_node("GlobalAveragePool", ["b"], ["e"], "pool"),
        helper.make_node("Flatten", ["e"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w5", "b5"], ["g"], "fc", transB=1),
        helper.make_node("MatMul", ["g", "w6"], ["y"], "mm"),
        helper.make_node("Reshape", ["y", "five"], ["y5"], "five_rows"),
        helper.make_node("MatMul", ["left", "y5"], ["z"], "mm_left"),
        helper.make_node("Reshape", ["y", "shape"], ["s"], "sequence"),
        helper.make_node("LSTM", ["s", "w7", "r7"], ["h", "", ""], "lstm", hidden_size=8),
        helper.make_node("Gather", ["table", "rows"], ["t"], "lookup", axis=0),
    ]
    return make_hub(nodes, {"x": (1, 4, 9, 9)}, ["y", "d", "z", "h", "t"], constants)


FEEDS = {"x": random(1, 4, 9, 9, seed=21)}


def operators(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def stored(model: Any, dtype: str) -> dict[str, np.ndarray]:
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {name: array for name, array in arrays.items() if array.dtype == dtype}


@pytest.mark.parametrize("precision", MAKERS)
def test_onnxruntime_runs_it_with_float_borders(precision: str) -> None:
    hub = network()
    before = hub.SerializeToString(deterministic=True)
    made = MAKERS[precision](hub)
    onnx.checker.check_model(made, full_check=True)
    assert hub.SerializeToString(deterministic=True) == before
    assert hubs.read_metadata(made).precision == precision
    for value in (*made.graph.input, *made.graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    for optimise in (False, True):
        pairs = zip(hub.graph.output, run(hub, FEEDS), run(made, FEEDS, optimise), strict=True)
        for value, want, have in pairs:
            error = np.abs(have - want).max() / np.abs(want).max()
            assert 0 < error < TOLERANCE[precision] * AMPLIFIES.get(value.name, 1.0), value.name


def test_every_large_weight_is_compressed_and_nothing_else() -> None:
    made = storage.to_fp16(network())
    assert {v.size for v in stored(made, "float32").values()} == {16, 24}  # the biases
    assert len(stored(made, "float16")) == 9
    made = storage.to_weight_only(network())
    scales = {v.size for v in stored(made, "float32").values()}
    # biases, scales per channel, and pieces of the LSTM that are too small to compress
    assert scales == {16, 24} | {32, 8, 20, 30, 40} | {128, 64}
    assert len(stored(made, "int8")) == 8
    assert all(np.abs(v.astype(int)).max() == 127 for v in stored(made, "int8").values())


def test_integers_are_symmetric_per_output_channel() -> None:
    values = numpy_helper.to_array(next(t for t in network().graph.initializer if t.name == "w5"))
    params = symmetric(np.abs(values).max(axis=1), axis=0)
    found = stored(storage.to_weight_only(network()), "int8")["w5.q"]
    assert np.array_equal(found, params.quantize(values))


def test_dynamic_layers_multiply_integers() -> None:
    made = storage.to_dynamic(network())
    counts = {op: operators(made).count(op) for op in ("MatMulInteger", "ConvInteger", "Conv")}
    assert counts == {
        "MatMulInteger": 2,
        "ConvInteger": 1,
        "Conv": 1,
    }  # Gemm, MatMul; depthwise stays
    depthwise = next(n for n in made.graph.node if n.op_type == "Conv")
    assert depthwise.name == "depthwise"
    makers = {n.output[0]: n.op_type for n in made.graph.node}
    assert makers[depthwise.input[1]] == "DequantizeLinear"


def test_an_input_of_two_layers_is_quantized_once() -> None:
    constants = {"a": random(16, 16, seed=1), "b": random(16, 16, seed=2)}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["p"], "one"),
        helper.make_node("MatMul", ["x", "b"], ["q"], "two"),
        helper.make_node("Add", ["p", "q"], ["y"], "sum"),
    ]
    made = storage.to_dynamic(make_hub(nodes, {"x": (3, 16)}, ["y"], constants))
    assert operators(made).count("DynamicQuantizeLinear") == 1


def test_a_shared_weight_is_stored_once() -> None:
    constants = {"a": random(16, 16, seed=1)}
    nodes = [
        helper.make_node("Gemm", ["x", "a"], ["p"], "one", transB=1),
        helper.make_node("Gemm", ["p", "a"], ["y"], "two", transB=1),
    ]
    hub = make_hub(nodes, {"x": (1, 16)}, ["y"], constants)
    for precision in ("fp16", "weight-only"):
        made = MAKERS[precision](hub)
        assert len(stored(made, "float16") | stored(made, "int8")) == 1
    feeds = {"x": random(1, 16, seed=3)}
    for maker in MAKERS.values():
        (want,), (have,) = run(hub, feeds), run(maker(hub), feeds)
        assert np.abs(have - want).max() < 0.04 * np.abs(want).max()


@pytest.mark.parametrize("name", ["residual", "depthwise", "series"])
@pytest.mark.parametrize("precision", ["fp16", "weight-only"])
def test_onnx_and_tflite_of_one_precision_agree(name: str, precision: str, tmp_path: Path) -> None:
    """Both hold the same rounded weights: what is left between them is float arithmetic."""
    hub = ptq.float_hub(name)
    onnx_file = hubs.save(MAKERS[precision](hub), tmp_path / f"{name}.onnx")
    tflite = tmp_path / f"{name}.tflite"
    tflite.write_bytes(to_tflite(hub, precision=precision, metadata=hubs.read_metadata(hub)))
    engines = [Candidate(tflite, engine) for engine in ("tflite", "litert")]
    report = verify(hub, [onnx_file, *engines], ptq.samples(name, 8, 3))
    assert report.passed, [row.reason for row in report.outputs]
    against = [row for row in report.outputs if row.against == onnx_file.name]
    assert len(against) == 2
    assert all(row.distance.relative < 1e-4 for row in against)


def test_files_get_as_small_as_promised() -> None:
    weight = random(256, 256, seed=1)
    hub = make_hub(
        [helper.make_node("Gemm", ["x", "w"], ["y"], "fc", transB=1)],
        {"x": (1, 256)},
        ["y"],
        {"w": weight},
    )
    size = {k: len(m(hub).SerializeToString(deterministic=True)) for k, m in MAKERS.items()}
    floats = len(hub.SerializeToString(deterministic=True))
    assert floats / size["fp16"] > 1.99
    assert floats / size["weight-only"] > 3.9
    assert floats / size["dynamic"] > 3.8
    assert storage.to_fp16(hub).SerializeToString(deterministic=True) == (
        storage.to_fp16(hub).SerializeToString(deterministic=True)
    )


def test_advice_names_depthwise_convolutions() -> None:
    (note,) = storage.advice(network(), "dynamic")
    assert "depthwise" in note
    assert storage.advice(network(), "fp16") == ()
    assert storage.advice(ptq.float_hub("series"), "weight-only") == ()


def test_what_cannot_be_stored_is_refused() -> None:
    for maker in MAKERS.values():
        with pytest.raises(InputError, match="quantized already"):
            maker(ptq.quantized_hub("series"))
    hub = make_hub(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "fc")],
        {"x": (1, 16)},
        ["y"],
        {"w": np.full((16, 16), 1e5, np.float32)},
    )
    with pytest.raises(InputError, match="float16"):
        storage.to_fp16(hub)
    with pytest.raises(InputError, match="constant 'w'"):
        storage.to_fp16(hub)
