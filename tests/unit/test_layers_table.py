"""The layer table: published MAC counts of real files, and small graphs counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.devices.layers import LayerInfo, footprint, layer_table
from edgepress.devices.layers_weights import is_weights_archive, weight_table
from edgepress.runtime.errors import InputError
from onnx import TensorProto, helper
from support.data import need_data
from support.lite_files import tiny_dense
from support.lite_lstm import lstm_file
from support.onnx_files import model

PUBLISHED = {
    "kws_dscnn": 2_664_792,
    "ic_resnet8": 12_505_748,
    "vww_mobilenetv1_025": 7_491_972,
    "ad_fcae": 264_192,
}


def node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, outputs, outputs[0], **attributes)


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def only(made: onnx.ModelProto, operator: str) -> LayerInfo:
    (found,) = [layer for layer in layer_table(made).layers if layer.operator == operator]
    return found


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
    files = sorted([*root.rglob("*.tflite"), *root.rglob("*.onnx"), *root.rglob("resnet*.npz")])
    assert len(files) == 20
    for path in files:
        if path.suffix == ".npz":
            assert is_weights_archive(path.read_bytes()) and weight_table(path)
        elif "bad_qdim" in path.name:
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


# ---------------------------------------------------------------- ONNX by hand


@pytest.mark.parametrize(
    ("operator", "weights", "attributes", "macs"),
    [
        ("Conv", (8, 3, 3, 3), {"pads": [1] * 4}, 8 * 36 * 27),
        ("Conv", (6, 1, 3, 3), {"group": 3, "pads": [1] * 4}, 6 * 36 * 9),
        ("Conv", (6, 3, 2, 2), {"strides": [2, 2]}, 6 * 9 * 12),
        ("ConvTranspose", (3, 5, 2, 2), {"strides": [2, 2]}, 36 * 3 * 5 * 4),
        ("ConvTranspose", (3, 1, 2, 2), {"group": 3}, 36 * 3 * 4),
    ],
)
def test_convolutions(operator: str, weights: Any, attributes: Any, macs: int) -> None:
    made = model(
        [node(operator, ["x", "w"], ["y"], **attributes)],
        {"x": [1, 3, 6, 6]},
        ["y"],
        {"w": ones(*weights)},
    )
    layer = only(made, operator)
    assert layer.macs == macs and layer.bit_operations == 1024 * macs
    assert layer.parameters == np.prod(weights) and layer.weight_bytes == 4 * np.prod(weights)


def test_dense_products_and_their_constants() -> None:
    made = model(
        [
            node("Gemm", ["x", "w", "b"], ["h"], transB=1),
            node("MatMul", ["h", "v"], ["m"]),
            node("Add", ["m", "b3"], ["y"]),
        ],
        {"x": ["N", 4]},
        ["y"],
        {"w": ones(5, 4), "b": ones(5), "v": ones(5, 3), "b3": ones(3)},
    )
    table = layer_table(made)
    assert [x.macs for x in table.layers] == [20, 15, 0]
    assert [x.parameters for x in table.layers] == [25, 15, 3]
    assert table.notes == ("free dimensions are counted as 1",)
    assert footprint(table).packed_weight_bytes == 4 * 43


def test_product_of_two_activations() -> None:
    made = model(
        [
            node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
            node("MatMul", ["x", "t"], ["s"]),
            node("Softmax", ["s"], ["y"]),
        ],
        {"x": [1, 2, 5, 7]},
        ["y"],
        {},
    )
    product, softmax = only(made, "MatMul"), only(made, "Softmax")
    assert product.macs == 2 * 5 * 5 * 7 and product.bit_operations == 1024 * product.macs
    assert product.weight_bits == product.parameters == 0
    assert softmax.macs == 2 * 50 and softmax.bit_operations == 0


@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent(operator: str, gates: int) -> None:
    steps, batch, features, units = 5, 2, 3, 4
    made = model(
        [helper.make_node(operator, ["x", "w", "r", "b"], ["", "y"], "rnn", hidden_size=units)],
        {"x": [steps, batch, features]},
        ["y"],
        {
            "w": ones(1, gates * units, features),
            "r": ones(1, gates * units, units),
            "b": ones(1, 2 * gates * units),
        },
    )
    layer = only(made, operator)
    assert layer.macs == steps * batch * gates * units * (features + units)
    assert layer.parameters == gates * units * (features + units + 2)


def test_pools_and_means_count_what_they_look_at() -> None:
    made = model(
        [
            node("AveragePool", ["x"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
            node("GlobalAveragePool", ["a"], ["g"]),
        ],
        {"x": [1, 3, 6, 6]},
        ["g"],
        {},
    )
    assert [layer.macs for layer in layer_table(made).layers] == [3 * 9 * 4, 27]


def qdq(bits: int = 8) -> onnx.ModelProto:
    """Conv in Q/DQ form with a Relu, int8 weights per channel and an int32 bias."""
    kind = TensorProto.INT4 if bits == 4 else TensorProto.INT8
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        node("DequantizeLinear", ["b", "sb", "zb"], ["bd"], axis=0),
        node("Conv", ["xd", "wd", "bd"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("QuantizeLinear", ["r", "s", "z"], ["rq"]),
        node("DequantizeLinear", ["rq", "s", "z"], ["y"]),
    ]
    constants = {
        "s": np.float32(0.1),
        "z": np.int8(0),
        "sw": ones(4),
        "sb": ones(4),
        "b": ones(4, dtype=np.int32),
        "zb": np.zeros(4, np.int32),
    }
    made = model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants)
    made.graph.initializer.append(helper.make_tensor("w", kind, [4, 2, 3, 3], [1] * 72))
    made.graph.initializer.append(helper.make_tensor("zw", kind, [4], [0] * 4))
    return made


@pytest.mark.parametrize("bits", [8, 4])
def test_q_dq_pairs_and_constants_belong_to_their_layer(bits: int) -> None:
    table = layer_table(qdq(bits))
    assert [layer.operator for layer in table.layers] == ["Conv", "Relu"]
    conv = table.layers[0]
    assert conv.parameters == 72 + 4
    assert conv.weight_bytes == 72 * bits // 8 + 4 * 4
    assert (conv.weight_bits, conv.activation_bits) == (bits, 8)
    assert conv.bit_operations == conv.macs * bits * 8
    assert conv.quantization == f"weights int{bits} per channel (4), activations 8-bit"
    assert conv.input_shapes == ((1, 2, 5, 5),)


def test_weights_quantized_in_the_graph_count_at_their_integer_width() -> None:
    """Float weights behind Q, Clip and DQ, as quantization-aware training exports them."""
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("Clip", ["q", "low", "high"], ["c"]),
        node("DequantizeLinear", ["c", "s", "z"], ["wd"]),
        node("Conv", ["x", "wd"], ["y"]),
    ]
    constants = {
        "w": ones(4, 2, 3, 3),
        "s": np.float32(0.5),
        "z": np.int8(0),
        "low": np.int8(-7),
        "high": np.int8(7),
    }
    layer = only(model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants), "Conv")
    assert layer.weight_bits == 4 and layer.weight_bytes == 36 and layer.activation_bits == 32


def test_activations_clipped_to_fewer_levels() -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("Clip", ["q", "low", "high"], ["c"]),
        node("DequantizeLinear", ["c", "s", "z"], ["xd"]),
        node("Conv", ["xd", "w"], ["y"]),
    ]
    constants = {
        "s": np.float32(0.5),
        "z": np.int8(0),
        "low": np.int8(-4),
        "high": np.int8(3),
        "w": ones(4, 2, 3, 3),
    }
    table = layer_table(model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants))
    assert [layer.operator for layer in table.layers] == ["Conv"]
    assert table.layers[0].activation_bits == 3
    assert table.bit_operations == table.macs * 32 * 3


def test_integer_operators() -> None:
    """QOperator form, and products of activations quantized on the way."""
    nodes = [
        node(
            "QLinearConv",
            ["x", "s", "z", "w", "s", "zw", "s", "z", "b"],
            ["c"],
            kernel_shape=[3, 3],
        ),
        node("DequantizeLinear", ["c", "s", "z"], ["cf"]),
        node("Flatten", ["cf"], ["f"]),
        node("DynamicQuantizeLinear", ["f"], ["fq", "fs", "fz"]),
        node("MatMulInteger", ["fq", "v", "fz", "zw"], ["y"]),
    ]
    constants = {
        "s": np.float32(0.5),
        "z": np.uint8(0),
        "w": ones(4, 2, 3, 3, dtype=np.int8),
        "zw": np.int8(0),
        "b": ones(4, dtype=np.int32),
        "v": ones(36, 5, dtype=np.int8),
    }
    kinds = {"x": TensorProto.UINT8, "y": TensorProto.INT32}
    made = model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants, kinds=kinds)
    conv, product = only(made, "QLinearConv"), only(made, "MatMulInteger")
    assert (conv.macs, conv.parameters, conv.weight_bytes) == (4 * 9 * 18, 76, 72 + 16)
    assert (product.macs, product.parameters, product.weight_bytes) == (180, 180, 180)
    for layer in (conv, product):
        assert (layer.weight_bits, layer.activation_bits) == (8, 8)


def test_packed_signs_of_a_model_local_function() -> None:
    """One byte holds eight weights; the function's body unpacks them for an ordinary Conv."""
    body = [
        node("Unsqueeze", ["w", "last"], ["wide"]),
        node("BitShift", ["wide", "shifts"], ["moved"], direction="RIGHT"),
        node("BitwiseAnd", ["moved", "one"], ["bit"]),
        node("Cast", ["bit"], ["float"], to=TensorProto.FLOAT),
        node("Mul", ["float", "minus2"], ["scaled"]),
        node("Add", ["scaled", "plus1"], ["signs"]),
        node("Reshape", ["signs", "shape"], ["kernel"]),
        node("Sign", ["x"], ["sx"]),
        node("Conv", ["sx", "kernel"], ["y"]),
    ]
    made_of = {
        "last": np.array([1]),
        "shifts": np.arange(8, dtype=np.uint8),
        "one": np.uint8(1),
        "minus2": np.float32(-2),
        "plus1": np.float32(1),
    }
    constants = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.asarray(v)))
        for name, v in made_of.items()
    ]
    function = helper.make_function(
        "edgepress",
        "BinaryConv",
        ["x", "w", "shape"],
        ["y"],
        [*constants, *body],
        [helper.make_opsetid("", 21)],
    )
    call = helper.make_node("BinaryConv", ["x", "packed", "to"], ["out"], "b", domain="edgepress")
    made = model(
        [call],
        {"x": [1, 4, 5, 5]},
        ["out"],
        {"packed": np.zeros(14, np.uint8), "to": np.array([3, 4, 3, 3])},
        domains=["edgepress"],
        functions=[function],
    )
    layer = only(made, "Conv")
    assert layer.parameters == 108 and layer.weight_bytes == 14
    assert layer.binary_macs == layer.macs == layer.bit_operations == 3 * 9 * 36


def test_a_shared_constant_counts_once() -> None:
    made = model(
        [node("MatMul", ["x", "w"], ["h"]), node("MatMul", ["h", "w"], ["y"])],
        {"x": [1, 4]},
        ["y"],
        {"w": ones(4, 4)},
    )
    first, second = layer_table(made).layers
    assert (first.parameters, second.parameters) == (16, 0)
    assert second.macs == 16 and second.note == "shares 'w' with 'h'"


def test_unknown_operators_are_listed_with_a_note() -> None:
    nodes = [
        helper.make_node("Frob", ["x"], ["f"], "frob", domain="com.example"),
        node("MatMul", ["f", "w"], ["y"]),
    ]
    made = model(nodes, {"x": [1, 4]}, ["y"], {"w": ones(4, 2)}, domains=["com.example"])
    frob, product = layer_table(made).layers
    assert frob.operator == "com.example.Frob"
    assert frob.note == "custom operator: its work is not known"
    assert product.macs == 0 and "a shape is not known" in product.note
    made.graph.value_info.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, ["N", 4]))
    assert layer_table(made).macs == 8  # what the file tells is taken where inference ends


def test_the_model_stays_as_it_is() -> None:
    made = qdq()
    before = made.SerializeToString()
    layer_table(made)
    assert made.SerializeToString() == before


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
    whole = qdq().SerializeToString()
    for data in (b"hello world", whole[:-7], tiny_dense()[:-30]):
        with pytest.raises(InputError) as caught:
            layer_table(data, where="here")
        assert caught.value.where == "here"
    with pytest.raises(InputError, match="cannot read"):
        layer_table(tmp_path / "absent.onnx")


def test_weights_of_a_state_dict() -> None:
    table = weight_table(need_data("models/cifar10_resnet/resnet20_cifar10.npz"))
    by_name = {tensor.name: tensor for tensor in table}
    assert by_name["conv1.weight"].shape == (16, 3, 3, 3)
    assert by_name["conv1.weight"].n_bytes == 4 * 432
    learned = [t for t in table if "running" not in t.name and "num_batches" not in t.name]
    assert sum(t.elements for t in learned) == 269_722


def test_weight_archives_that_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    np.savez(tmp_path / "whole.npz", x=np.ones(100))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-30])
    (tmp_path / "text.npz").write_text("no")
    wanted = {
        "objects": "holds Python objects",
        "cut": "not a sound .npz",
        "text": "not a sound .npz",
        "absent": "cannot read",
    }
    for name, message in wanted.items():
        with pytest.raises(InputError, match=message):
            weight_table(tmp_path / f"{name}.npz")
