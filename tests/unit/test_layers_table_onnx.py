"""The layer table of small ONNX graphs, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.devices.layers import LayerInfo, footprint, layer_table
from onnx import TensorProto, helper
from support.onnx_files import model
from support.onnx_files import qdq_conv as qdq


def node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, outputs, outputs[0], **attributes)


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def only(made: onnx.ModelProto, operator: str) -> LayerInfo:
    (found,) = [layer for layer in layer_table(made).layers if layer.operator == operator]
    return found


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
