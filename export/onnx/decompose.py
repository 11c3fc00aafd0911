"""Operators that device engines lack, written out in operators they have.

Called twice on the way to an int8 file: with `for_int8` before planning, where everything that int8 can compute
in parts is taken apart; and without it by the TFLite writer, where what stayed float (normalisations over the
data) is written out in float. Their parts must not be quantized one by one: a variance has no 8-bit range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .graph import Graph, Node
from .infer import infer
from .metadata import finish, read_metadata
from .naming import name_by_file
from .normalise import normalise, tidy
from .recurrent import GATES, Builder, unroll


def decompose(model: Any, for_int8: bool) -> Any:
    """A hub model without operators that TFLite lacks; `model` is not changed.

    Args:
        model: hub, float or with Q/DQ pairs.
        for_int8: True before planning int8: recurrent layers and HardSigmoid only. False for writing:
            LayerNormalization, InstanceNormalization, GroupNormalization, Softplus, Mish, Reciprocal, Pow,
            ReduceL2, ReduceSumSquare and sums or extrema of many values as well.

    Raises:
        UnsupportedOperatorError: a recurrent layer in a form that cannot be unrolled.
    """
    rules = _INT8 if for_int8 else {**_INT8, **_FLOAT}
    wanted = set(rules) | set(GATES)
    if not any(_is_wanted(node, wanted) for node in model.graph.node):
        return model
    graph = Graph.read(model)
    infer(graph)
    unroll(graph)
    while _rewrite(graph, rules):
        infer(graph)
    if any(node.op == "QuantizeLinear" for node in graph.nodes):
        tidy(graph)
    else:  # what was just written out must not be recognised again
        normalise(graph, recognise=for_int8)
    name_by_file(graph)
    return finish(graph, read_metadata(model))


def _is_wanted(node: Any, wanted: set[str]) -> bool:
    """True for a node some rule may rewrite."""
    if node.domain or node.op_type not in wanted:
        return False
    return node.op_type not in ("Max", "Min") or len(node.input) != 2


def _rewrite(graph: Graph, rules: dict[str, Callable[[Graph, Node], bool]]) -> bool:
    changed = False
    for node in graph.sorted_nodes():
        if not node.domain and node.op in rules:
            changed |= rules[node.op](graph, node)
    return changed


def _replace(graph: Graph, node: Node) -> tuple[Builder, str]:
    """Take the node out; gives a builder and the prefix for its parts."""
    graph.remove(node)
    return Builder(graph, node.scope), node.name or node.outputs[0]


def _end(build: Builder, node: Node, op: str, inputs: list[str], **attributes: Any) -> bool:
    """The last part writes what the whole node wrote, under the node's own name."""
    from .graph import make_node

    name = node.name or node.outputs[0]
    build.graph.add(make_node(op, inputs, node.outputs[:1], name, node.scope, **attributes))
    return True


def _scalar(graph: Graph, name: str, value: float) -> str:
    return graph.constant(name, np.float32(value))


# ----------------------------------------------------------------- for int8 and float


def _hard_sigmoid(graph: Graph, node: Node) -> bool:
    """clip(a x + b, 0, 1) = clip(6 a x + 6 b, 0, 6) / 6: a fused Relu6, which int8 kernels have."""
    alpha, beta = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
    build, p = _replace(graph, node)
    value = node.inputs[0]
    if abs(6 * alpha - 1) > 1e-6:
        value = build.add("Mul", [value, _scalar(graph, f"{p}.slope", 6 * alpha)], f"{p}.sloped")
    value = build.add("Add", [value, _scalar(graph, f"{p}.offset", 6 * beta)], f"{p}.shifted")
    bounds = [_scalar(graph, f"{p}.low", 0.0), _scalar(graph, f"{p}.high", 6.0)]
    value = build.add("Clip", [value, *bounds], f"{p}.clipped")
    return _end(build, node, "Mul", [value, _scalar(graph, f"{p}.sixth", 1 / 6)])


_INT8: dict[str, Callable[[Graph, Node], bool]] = {"HardSigmoid": _hard_sigmoid}


# ----------------------------------------------------------------- for float only


def _normalised(build: Builder, value: str, axes: list[int], epsilon: float, p: str) -> str:
    """(x - mean) / sqrt(variance + epsilon) over `axes`."""
    graph = build.graph
    name = graph.constant(f"{p}.axes", np.asarray(axes, np.int64))
    mean = build.add("ReduceMean", [value, name], f"{p}.mean")
    centred = build.add("Sub", [value, mean], f"{p}.centred")
    square = build.add("Mul", [centred, centred], f"{p}.square")
    variance = build.add("ReduceMean", [square, name], f"{p}.variance")
    padded = build.add("Add", [variance, _scalar(graph, f"{p}.epsilon", epsilon)], f"{p}.padded")
    deviation = build.add("Sqrt", [padded], f"{p}.deviation")
    return build.add("Div", [centred, deviation], f"{p}.normalised")


def _scale_shift(
    graph: Graph, build: Builder, node: Node, value: str, shape: list[int], p: str
) -> bool:
    """value * scale + bias, the parameters reshaped to broadcast."""
    names = [_reshaped(graph, node.input(index), shape, p) for index in (1, 2)]
    if not names[1]:
        return _end(build, node, "Mul", [value, names[0]])
    scaled = build.add("Mul", [value, names[0]], f"{p}.scaled")
    return _end(build, node, "Add", [scaled, names[1]])


def _reshaped(graph: Graph, name: str, shape: list[int], p: str) -> str:
    if not name:
        return ""
    return graph.constant(f"{p}.factors", graph.constants[name].reshape(shape))


def _has_constant_parameters(graph: Graph, node: Node) -> bool:
    return all(name in graph.constants for name in node.inputs[1:3] if name)


def _layer_norm(graph: Graph, node: Node) -> bool:
    shape = graph.shape(node.inputs[0])
    if shape is None or not _has_constant_parameters(graph, node) or len(node.outputs) > 1:
        return False
    axis = int(node.get("axis", -1)) % len(shape)
    build, p = _replace(graph, node)
    axes = list(range(axis, len(shape)))
    value = _normalised(build, node.inputs[0], axes, float(node.get("epsilon", 1e-5)), p)
    target = list(graph.constants[node.inputs[1]].shape)
    return _scale_shift(graph, build, node, value, target, p)


def _instance_norm(graph: Graph, node: Node) -> bool:
    shape = graph.shape(node.inputs[0])
    if shape is None or not _has_constant_parameters(graph, node):
        return False
    build, p = _replace(graph, node)
    axes = list(range(2, len(shape)))
    value = _normalised(build, node.inputs[0], axes, float(node.get("epsilon", 1e-5)), p)
    return _scale_shift(graph, build, node, value, [1, -1] + [1] * len(axes), p)


def _group_norm(graph: Graph, node: Node) -> bool:
    shape = graph.shape(node.inputs[0])
    if shape is None or not _has_constant_parameters(graph, node):
        return False
    build, p = _replace(graph, node)
    groups = int(node.get("num_groups"))
    grouped = build.reshape(node.inputs[0], [shape[0], groups, -1], f"{p}.grouped")
    value = _normalised(build, grouped, [2], float(node.get("epsilon", 1e-5)), p)
    value = build.reshape(value, list(shape), f"{p}.ungrouped")
    return _scale_shift(graph, build, node, value, [1, -1] + [1] * (len(shape) - 2), p)


def _softplus_of(build: Builder, value: str, p: str) -> str:
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    graph = build.graph
    positive = build.add("Relu", [value], f"{p}.positive")
    small = build.add(
        "Exp", [build.add("Neg", [build.add("Abs", [value], f"{p}.abs")], f"{p}.neg")], f"{p}.exp"
    )
    more = build.add("Add", [small, _scalar(graph, f"{p}.one", 1.0)], f"{p}.plus")
    return build.add("Add", [positive, build.add("Log", [more], f"{p}.log")], f"{p}.softplus")


def _softplus(graph: Graph, node: Node) -> bool:
    build, p = _replace(graph, node)
    return _end(build, node, "Identity", [_softplus_of(build, node.inputs[0], p)])


def _mish(graph: Graph, node: Node) -> bool:
    build, p = _replace(graph, node)
    bent = build.add("Tanh", [_softplus_of(build, node.inputs[0], p)], f"{p}.tanh")
    return _end(build, node, "Mul", [node.inputs[0], bent])


def _reciprocal(graph: Graph, node: Node) -> bool:
    build, p = _replace(graph, node)
    return _end(build, node, "Div", [_scalar(graph, f"{p}.one", 1.0), node.inputs[0]])


def _pow(graph: Graph, node: Node) -> bool:
    exponent = graph.constants.get(node.inputs[1])
    if (
        exponent is None
        or exponent.size != 1
        or float(exponent.reshape(-1)[0]) not in (2.0, 0.5, 1.0)
    ):
        return False
    power = float(exponent.reshape(-1)[0])
    build, _ = _replace(graph, node)
    value = node.inputs[0]
    if power == 2.0:
        return _end(build, node, "Mul", [value, value])
    return _end(build, node, "Sqrt" if power == 0.5 else "Identity", [value])


def _reduce_squares(graph: Graph, node: Node) -> bool:
    build, p = _replace(graph, node)
    value = node.inputs[0]
    square = build.add("Mul", [value, value], f"{p}.square")
    keep = int(node.get("keepdims", 1))
    inputs = [square, *node.inputs[1:2]]
    if node.op == "ReduceSumSquare":
        return _end(build, node, "ReduceSum", inputs, keepdims=keep)
    total = build.add("ReduceSum", inputs, f"{p}.total", keepdims=keep)
    return _end(build, node, "Sqrt", [total])


def _pairwise(graph: Graph, node: Node) -> bool:
    """Sum, Max, Min or Mean of many values, two at a time."""
    if len(node.inputs) == 2 and node.op in ("Max", "Min"):
        return False
    build, p = _replace(graph, node)
    op = node.op if node.op in ("Max", "Min") else "Add"
    value = node.inputs[0]
    for index, other in enumerate(node.inputs[1:]):
        value = build.add(op, [value, other], f"{p}.{index}")
    if node.op == "Mean":
        return _end(build, node, "Mul", [value, _scalar(graph, f"{p}.share", 1 / len(node.inputs))])
    return _end(build, node, "Identity", [value])


_FLOAT: dict[str, Callable[[Graph, Node], bool]] = {
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "Softplus": _softplus,
    "Mish": _mish,
    "Reciprocal": _reciprocal,
    "Pow": _pow,
    "ReduceL2": _reduce_squares,
    "ReduceSumSquare": _reduce_squares,
    "Sum": _pairwise,
    "Max": _pairwise,
    "Min": _pairwise,
    "Mean": _pairwise,
}
