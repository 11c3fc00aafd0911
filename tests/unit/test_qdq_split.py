"""split: Q/DQ pairs of any exporter become one plan, uint8 shifted exactly, shared integers kept apart."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.compress.quantization.qparams import QParams
from edgepress.export.onnx.graph import Graph
from edgepress.export.onnx.qdq_split import split
from edgepress.runtime.errors import InputError
from onnx import TensorProto, helper, numpy_helper


def model(nodes: list, constants: dict[str, np.ndarray], shape: list[int]) -> Graph:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    return Graph.read(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    )


def pair(source: str, target: str, scale: str, zero: str) -> list:
    return [
        helper.make_node(
            "QuantizeLinear", [source, scale, zero], [f"{target}.q"], name=f"{target}.q"
        ),
        helper.make_node("DequantizeLinear", [f"{target}.q", scale, zero], [target], name=target),
    ]


SCALES = {
    "s": np.float32(0.1),
    "t": np.float32(0.25),
    "z": np.uint8(7),
    "z8": np.int8(3),
}


def test_layer_with_uint8_activations() -> None:
    weight = np.arange(-4, 4, dtype=np.int8).reshape(2, 4, 1, 1)
    constants = {
        **SCALES,
        "w": weight,
        "ws": np.float32([0.5, 0.25]),
        "wz": np.zeros(2, np.int8),
        "b": np.int32([100, -100]),
        "bs": np.float32([0.05, 0.025]),
        "bz": np.zeros(2, np.int32),
    }
    nodes = [
        *pair("x", "xd", "s", "z"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="wd", axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bd"], name="bd", axis=0),
        helper.make_node("Conv", ["xd", "wd", "bd"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        *pair("r", "y", "t", "z"),
    ]
    graph = model(nodes, constants, [1, 4, 3, 3])
    plan = split(graph).named()
    assert [n.op for n in graph.sorted_nodes()] == ["Conv", "Relu"]
    assert plan.activations == {
        "x": QParams((float(np.float32(0.1)),), (7 - 128,)),
        "y": QParams((0.25,), (7 - 128,)),
    }
    (conv,) = [n for n in graph.nodes if n.op == "Conv"]
    stored = plan.constants[conv.inputs[1]]
    np.testing.assert_array_equal(stored.values, weight)
    assert (stored.qparams.axis, stored.qparams.narrow) == (0, True)
    np.testing.assert_array_equal(plan.constants[conv.inputs[2]].values, [100, -100])
    assert plan.constants[conv.inputs[2]].qparams.bits == 32
    np.testing.assert_allclose(graph.constants[conv.inputs[2]], [5.0, -2.5])


def test_integers_shared_by_two_layers_get_values_of_their_own() -> None:
    constants = {**SCALES, "w": np.int8([[1, -2], [3, 4]]), "wz": np.int8(0), "u": np.float32(2.0)}
    nodes = [
        *pair("x", "xd", "s", "z8"),
        helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["w1"], name="w1"),
        helper.make_node("DequantizeLinear", ["w", "u", "wz"], ["w2"], name="w2"),
        helper.make_node("Gemm", ["xd", "w1"], ["a"], name="first", transB=1),
        *pair("a", "ad", "t", "z8"),
        helper.make_node("Gemm", ["ad", "w2"], ["b"], name="second", transB=1),
        *pair("b", "y", "t", "z8"),
    ]
    graph = model(nodes, constants, [1, 2])
    plan = split(graph).named()
    first, second = graph.sorted_nodes()
    assert first.inputs[1] != second.inputs[1]
    np.testing.assert_allclose(graph.constants[second.inputs[1]], [[2, -4], [6, 8]])
    assert plan.constants[second.inputs[1]].qparams.scale == (2.0,)


def test_a_second_pair_with_other_parameters_is_an_edge_and_an_equal_one_is_nothing() -> None:
    nodes = [
        *pair("x", "xd", "s", "z"),
        *pair("xd", "xe", "s", "z"),
        helper.make_node("Sigmoid", ["xe"], ["g"], name="sigmoid"),
        *pair("g", "gd", "s", "z"),
        *pair("gd", "ge", "t", "z"),
        helper.make_node("Concat", ["xe", "ge"], ["c"], name="concat", axis=1),
        *pair("c", "y", "t", "z"),
    ]
    plan = split(model(nodes, SCALES, [1, 2])).named()
    assert set(plan.activations) == {"x", "g", "y"}
    assert set(plan.requantize) == {("concat", 1)}
    assert plan.requantize["concat", 1][0] == QParams((0.25,), (-121,))


def test_values_handed_on_keep_their_parameters_and_constants_become_integers() -> None:
    constants = {**SCALES, "k": np.float32([0.3, 2.0]), "shape": np.int64([2, 2])}
    nodes = [
        *pair("x", "xd", "s", "z"),
        helper.make_node("Reshape", ["xd", "shape"], ["r"], name="reshape"),
        helper.make_node("Transpose", ["r"], ["t_"], name="transpose"),
        *pair("k", "kd", "t", "z"),
        helper.make_node("Mul", ["t_", "kd"], ["m"], name="mul"),
        *pair("m", "y", "t", "z"),
    ]
    graph = model(nodes, constants, [1, 4])
    plan = split(graph).named()
    assert plan.activations["r"] == plan.activations["t_"] == plan.activations["x"]
    (mul,) = [n for n in graph.nodes if n.op == "Mul"]
    np.testing.assert_array_equal(plan.constants[mul.inputs[1]].values, [1 + 7 - 128, 8 + 7 - 128])


@pytest.mark.parametrize("broken", ["no DQ", "computed scale", "float8"])
def test_what_is_no_pair_is_refused(broken: str) -> None:
    constants = dict(SCALES)
    nodes = pair("x", "y", "s", "z")
    if broken == "no DQ":
        nodes = [
            nodes[0],
            helper.make_node("Cast", ["y.q"], ["y"], name="cast", to=TensorProto.FLOAT),
        ]
    if broken == "computed scale":
        del constants["s"]
        nodes = [helper.make_node("ReduceMax", ["x"], ["s"], name="max", keepdims=0), *nodes]
    if broken == "float8":
        constants["z"] = np.zeros((), np.int16)
    with pytest.raises(InputError):
        split(model(nodes, constants, [1, 4]))
