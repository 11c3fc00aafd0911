"""Names of nodes, values and constants: from module paths, from traced scopes, from the file; unique and stable."""

from __future__ import annotations

import pytest
from edgepress.export.onnx import naming
from edgepress.export.onnx.graph import Graph
from support.passes import floats, parse, random, read


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("['', 'layer1', 'layer1.0', 'layer1.0.conv', 'conv2d']", "layer1.0.conv"),
        ("['', 'conv2d']", ""),
        ("['conv2d']", ""),
        ("[broken", ""),
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/conv1/Conv", "conv1"),
        ("/Relu", ""),
        ("/a/b/c/Add_1", "a.b.c"),
        ("node_Conv_3", ""),
        ("", ""),
    ],
)
def test_module_paths(scope: str, path: str) -> None:
    assert naming.module_path(scope) == path


def named(scopes: list[str], parameters: frozenset[str] = frozenset({"conv.weight"})) -> Graph:
    text = "(float[1,2,4,4] x) => (y) { a = Conv(x, w) b = Relu(a) c = Mul(b, k) y = Add(c, k) }"
    model = parse(text, w=random(2, 2, 1, 1), k=floats(2.0))
    graph = read(model)
    graph.constants["conv.weight"] = graph.constants.pop("w")
    graph.replace_uses("w", "conv.weight")
    for node, scope in zip(graph.sorted_nodes(), scopes, strict=True):
        node.scope = scope
    naming.name_by_module(graph, parameters)
    return graph


def test_a_node_alone_in_its_module_has_the_modules_name() -> None:
    graph = named(["/conv/Conv", "/block/act/Relu", "/block/Mul", "/block/Add"])
    names = [node.name for node in graph.sorted_nodes()]
    assert names == ["conv", "block.act", "block.mul", "block.add"]
    assert [node.outputs[0] for node in graph.sorted_nodes()] == [*names[:3], "y"]
    assert {"conv.weight", "block.mul.constant"} == set(graph.constants)


def test_several_nodes_of_a_module_are_numbered_and_unscoped_ones_called_by_operator() -> None:
    graph = named(["/m/Conv", "/m/Relu", "", ""])
    assert [node.name for node in graph.sorted_nodes()] == ["m.conv", "m.relu", "mul", "add"]
    assert graph.outputs == ["y"]


def test_a_module_called_like_an_input_gets_a_number() -> None:
    graph = named(["/x/Conv", "/y/Relu", "", ""])
    names = [node.name for node in graph.sorted_nodes()]
    assert names[:2] == ["x_1", "y_1"] and graph.inputs == ["x"] and graph.outputs == ["y"]


def test_names_of_a_file_stay_and_become_unique() -> None:
    model = parse("(float[1,3] x) => (y) { a = Tanh(x) b = Exp(a) y = Neg(b) }")
    for node, name in zip(model.graph.node, ["same", "same", ""], strict=True):
        node.name = name
    graph = read(model)
    naming.name_by_file(graph)
    assert [node.name for node in graph.sorted_nodes()] == ["same", "same_1", "y"]
    naming.name_by_file(graph)
    assert [node.name for node in graph.sorted_nodes()] == ["same", "same_1", "y"]


def test_ends_are_renamed_around_what_is_in_the_way() -> None:
    graph = read(
        parse("(float[1,3] x) => (y) { input = Tanh(x) y = Add(input, output) }", output=floats(1))
    )
    graph.rename_ends("input", ["input"])
    graph.rename_ends("output", ["output"])
    assert graph.inputs == ["input"] and graph.outputs == ["output"]
    model = graph.write()
    assert [node.op_type for node in model.graph.node] == ["Tanh", "Add"]
    assert model.graph.node[0].input[0] == "input" and model.graph.node[1].output[0] == "output"
