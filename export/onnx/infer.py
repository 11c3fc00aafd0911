"""Static shapes of every tensor: onnx's own inference on a skeleton that leaves big constants out."""

from __future__ import annotations

from typing import Any

from ...runtime.errors import InputError
from .graph import Graph

SKELETON_LIMIT = 256
"""Constants of more elements than this enter inference by type only: none of them is a shape."""

_KEEPS_SHAPE = frozenset({"GroupNormalization"})
"""Operators with one output like their input for which onnx has no inference of its own."""


def infer(graph: Graph, where: str = "") -> None:
    """Fill `graph.shapes` and `graph.dtypes` anew for all values that inference understands.

    Raises:
        InputError: shapes contradict each other.
    """
    import onnx

    skeleton = _skeleton(graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(
            skeleton, check_type=False, strict_mode=True, data_prop=True
        )
    except Exception as error:  # onnx raises its own class and plain RuntimeErrors
        raise InputError(
            f"shapes do not fit together: {_first_lines(error)}",
            where=where or None,
            hint="check the model's input shape, or export it again",
        ) from error
    kept = {name: graph.shapes[name] for name in graph.inputs if name in graph.shapes}
    graph.shapes = kept
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        graph.learn(value)


def _skeleton(graph: Graph) -> Any:
    """The graph with outputs of unknown shape and large constants turned into inputs."""
    import onnx

    model = onnx.ModelProto(ir_version=10)
    for domain, version in sorted(graph.domains.items()):
        model.opset_import.add(domain=domain, version=version)
    model.functions.extend(graph.functions)
    model.graph.name = graph.name
    for node in graph.sorted_nodes():
        if node.op in _KEEPS_SHAPE and not node.domain:
            model.graph.node.add(
                op_type="Identity", name=node.name, input=node.inputs[:1], output=node.outputs[:1]
            )
            continue
        proto = model.graph.node.add(op_type=node.op, name=node.name, domain=node.domain)
        proto.input.extend(node.inputs)
        proto.output.extend(node.outputs)
        proto.attribute.extend(node.attributes.values())
    for name in graph.inputs:
        model.graph.input.append(graph.value(name))
    for name, values in graph.constants.items():
        if values.size <= SKELETON_LIMIT:
            model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        else:
            dtype = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, dtype, values.shape))
    for name in graph.outputs:
        model.graph.output.add(name=name)
        if name in graph.dtypes:  # the declared shape may be symbolic: inference says what it is
            tensor = model.graph.output[-1].type.tensor_type
            tensor.elem_type = graph.dtypes[name]
    return model


def _first_lines(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300]


def missing(graph: Graph) -> list[str]:
    """Values that nodes write and whose static shape is unknown."""
    return [
        name
        for node in graph.nodes
        for name in node.outputs
        if name and (name not in graph.shapes or name not in graph.dtypes)
    ]
