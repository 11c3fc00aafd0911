"""The layer table: published MAC counts of real files, small TFLite files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.devices.layers import layer_table
from edgepress.runtime.errors import InputError
from onnx import TensorProto
from support.data import need_data
from support.lite_files import tiny_dense
from support.lite_lstm import lstm_file
from support.onnx_files import qdq_conv

PUBLISHED = {
    "kws_dscnn": 2_664_792,
    "ic_resnet8": 12_505_748,
    "vww_mobilenetv1_025": 7_491_972,
    "ad_fcae": 264_192,
}


# ---------------------------------------------------------------- real files


@pytest.mark.parametrize("kind", ["float", "int8"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_macs(name: str, kind: str) -> None:
    """As counted by Vela, by which MLPerf Tiny's results are compared; one convention for all."""
    table = layer_table(need_data(f"models/mlperf_tiny/{name}_{kind}.tflite"))
    assert table.macs == PUBLISHED[name]
    assert table.binary_macs == 0 and table.format == "tflite"


def test_parameters_and_bytes_of_a_real_pair() -> None:
    folder = need_data("models/mlperf_tiny")
    small, large = (layer_table(folder / f"ic_resnet8_{k}.tflite") for k in ("int8", "float"))
    assert small.parameters == large.parameters == 77_706
    biases = 3 * (16 + 32 + 64) + 10
    assert large.weight_bytes == 4 * 77_706
    assert small.weight_bytes == 77_706 + 3 * biases
    conv = next(layer for layer in small.layers if layer.operator == "CONV_2D")
    assert conv.quantization == "weights int8 per channel (16), activations int8"
    products = [layer for layer in small.layers if layer.weight_bits]
    assert small.bit_operations == 64 * sum(layer.macs for layer in products)


def test_weights_without_activations_quantized() -> None:
    table = layer_table(need_data("models/mlperf_tiny/kws_dscnn_float.tflite"))
    conv = table.layers[0]
    assert conv.quantization == "weights int8 per tensor, activations float32"
    assert (conv.weight_bits, conv.activation_bits) == (8, 32)
    assert conv.weight_bytes == 64 * 40 + 4 * 64


@pytest.mark.parametrize(("name", "bits"), [("1w1a", 1), ("2w2a", 2)])
def test_qonnx_files(name: str, bits: int) -> None:
    table = layer_table(need_data(f"models/qonnx/mnist_tfc_{name}.qonnx.onnx"))
    products = [layer for layer in table.layers if layer.operator == "MatMul"]
    assert [layer.macs for layer in products] == [50_176, 4_096, 4_096, 640]
    assert {(layer.weight_bits, layer.activation_bits) for layer in products} == {(bits, bits)}
    assert sum(layer.weight_bytes for layer in products) == 59_008 * bits // 8
    assert table.binary_macs == (59_008 if bits == 1 else 0)
    assert table.bit_operations == 59_008 * bits * bits
    assert not any("Quant" in layer.operator for layer in table.layers)


def test_every_reference_file_has_a_table_or_one_clear_error() -> None:
    root = need_data("models")
    files = sorted([*root.rglob("*.tflite"), *root.rglob("*.onnx")])
    assert len(files) == 18
    for path in files:
        if "bad_qdim" in path.name:
            with pytest.raises(InputError, match="quantized_dimension must be in range"):
                layer_table(path)
        else:
            table = layer_table(path)
            assert table.macs > 0 and not [x for x in table.layers if x.note], path.name


def test_float_onnx_file_by_hand() -> None:
    table = layer_table(need_data("models/onnx/kws_9conv_float.onnx"))
    convs = 125 * 32 * 40 + 4 * (125 * 32 * 9 + 125 * 32 * 32)
    assert table.macs == convs + 32 * 24 * 5 + 32 * 12
    stored = onnx.load(need_data("models/onnx/kws_9conv_float.onnx")).graph.initializer
    floats = [t for t in stored if t.data_type == TensorProto.FLOAT]
    assert table.parameters == sum(int(np.prod(t.dims)) for t in floats)


# ---------------------------------------------------------------- TFLite by hand


@pytest.mark.parametrize(
    ("dtype", "kind", "n_bytes", "bits"),
    [
        (np.float32, "FLOAT32", 48, 32),
        (np.float16, "FLOAT16", 24, 16),
        (np.int8, "INT8", 12, 8),
        (np.uint8, "INT4", 6, 4),
        (np.uint8, "INT2", 3, 2),
    ],
)
def test_tflite_weight_types(dtype: Any, kind: str, n_bytes: int, bits: int) -> None:
    stored = {"INT4": 6, "INT2": 3}.get(kind, 12)
    weights = np.ones(stored, dtype)
    scale = () if "FLOAT" in kind else (0.5, 0.5, 0.5)
    (layer,) = layer_table(tiny_dense(weights=weights, weight_type=kind, scale=scale)).layers
    assert (layer.parameters, layer.macs) == (15, 12)
    assert layer.weight_bytes == n_bytes + 12 and layer.weight_bits == bits
    assert layer.bit_operations == 12 * bits * 32
    assert ("per channel (3)" in layer.quantization) == bool(scale)


def test_tflite_half_precision_weights_behind_dequantize() -> None:
    import ai_edge_litert.schema_py_generated as schema

    def behind(made: Any) -> None:
        graph = made.subgraphs[0]
        wide = schema.TensorT()
        wide.name, wide.shape, wide.buffer, wide.type = "wide", [3, 4], 0, schema.TensorType.FLOAT32
        graph.tensors.append(wide)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        made.operatorCodes.append(code)
        first = schema.OperatorT()
        first.opcodeIndex, first.inputs, first.outputs = 1, [1], [4]
        graph.operators[0].inputs = [0, 4, 2]
        graph.operators.insert(0, first)

    data = tiny_dense(weights=np.ones(12, np.float16), weight_type="FLOAT16", edit=behind)
    (layer,) = layer_table(data).layers
    assert (layer.operator, layer.weight_bits) == ("FULLY_CONNECTED", 16)
    assert layer.parameters == 15 and layer.weight_bytes == 24 + 12
    assert layer.input_shapes == ((1, 4),)


def test_tflite_lstm() -> None:
    (layer,) = layer_table(lstm_file()).layers
    assert layer.macs == 3 * 4 * 4 * (2 + 4)
    assert layer.parameters == 4 * 4 * (2 + 4 + 1)
    assert layer.input_shapes[0] == (1, 3, 2)


def test_tflite_custom_operator() -> None:
    def custom(made: Any) -> None:
        code = made.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = 32
        code.customCode = "Frobnicate"

    (layer,) = layer_table(tiny_dense(edit=custom)).layers
    assert layer.operator == "Frobnicate" and layer.macs == 0
    assert layer.note == "custom operator: its work is not known"
    assert layer.parameters == 15


# ---------------------------------------------------------------- what is refused


def test_damaged_files_are_one_error(tmp_path: Path) -> None:
    whole = qdq_conv().SerializeToString()
    for data in (b"hello world", whole[:-7], tiny_dense()[:-30]):
        with pytest.raises(InputError) as caught:
            layer_table(data, where="here")
        assert caught.value.where == "here"
    with pytest.raises(InputError, match="cannot read"):
        layer_table(tmp_path / "absent.onnx")
