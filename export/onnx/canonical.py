"""One form for what ONNX lets one say in several: means, clips, casts, negative axes, resize arguments."""

from __future__ import annotations

import numpy as np

from .graph import Graph, Node, make_node

_ENORMOUS = 3e38
"""A bound of this size does not bind: exporters write float32's extremes for "none"."""

REDUCTIONS = (
    "ReduceMean",
    "ReduceSum",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
)


def casts_like(graph: Graph) -> bool:
    """CastLike names its type."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "CastLike" and not n.domain]:
        dtype = graph.dtype(node.inputs[1])
        if dtype is None:
            continue
        graph.remove(node)
        graph.add(make_node("Cast", node.inputs[:1], node.outputs, node.name, node.scope, to=dtype))
        changed = True
    return changed


def pools_to_means(graph: Graph) -> bool:
    """GlobalAveragePool, and AveragePool whose window is the whole unpadded image, become ReduceMean.

    In int8 a mean may choose its own output scale, an average pool may not.
    """
    changed = False
    for node in list(graph.nodes):
        if node.domain or node.op not in ("GlobalAveragePool", "AveragePool"):
            continue
        rank = graph.rank(node.inputs[0])
        if rank < 3 or (node.op == "AveragePool" and not _covers_all(graph, node)):
            continue
        graph.remove(node)
        axes = graph.constant(f"{node.outputs[0]}.axes", np.arange(2, rank, dtype=np.int64))
        graph.add(
            make_node("ReduceMean", [node.inputs[0], axes], node.outputs, node.name, node.scope)
        )
        changed = True
    return changed


def _covers_all(graph: Graph, node: Node) -> bool:
    shape, result = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
    if shape is None or result is None or any(n != 1 for n in result[2:]):
        return False
    plain = not any(node.get("pads", [])) and node.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    return (
        plain
        and list(shape[2:]) == node.get("kernel_shape")
        and not any(d != 1 for d in node.get("dilations", []))
    )


def explicit_reductions(graph: Graph) -> bool:
    """Reductions name their axes: a constant input, sorted, not negative."""
    changed = False
    for node in list(graph.nodes):
        if node.op not in REDUCTIONS or node.domain:
            continue
        rank = graph.rank(node.inputs[0])
        if rank < 0 or (node.input(1) and node.input(1) not in graph.constants):
            continue
        given = graph.constants[node.inputs[1]].reshape(-1).tolist() if node.input(1) else []
        if not given and node.get("noop_with_empty_axes", 0):
            alone = "Abs" if node.op in ("ReduceL1", "ReduceL2") else "Identity"
            graph.remove(node)
            graph.add(make_node(alone, node.inputs[:1], node.outputs, node.name, node.scope))
            changed = True
            continue
        wanted = sorted(axis % rank for axis in given) or list(range(rank))
        node.set("noop_with_empty_axes", None)
        if given != wanted:
            axes = graph.constant(f"{node.outputs[0]}.axes", np.asarray(wanted, np.int64))
            graph.set_input(node, 1, axes)
            changed = True
    return changed


def squeeze_into_mean(graph: Graph) -> bool:
    """A reshape that only drops the axes a reduction kept becomes keepdims=0; Unsqueeze before one is taken back."""
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes or node.op not in REDUCTIONS or node.domain:
            continue
        if not node.input(1) or node.inputs[1] not in graph.constants:
            continue
        changed |= _take_reshape(graph, node) or _skip_unsqueeze(graph, node)
    return changed


def _take_reshape(graph: Graph, node: Node) -> bool:
    user = graph.only_user(node.outputs[0])
    shape = graph.shape(node.inputs[0])
    if user is None or shape is None or not node.get("keepdims", 1):
        return False
    if user.op not in ("Reshape", "Flatten", "Squeeze") or user.inputs[0] != node.outputs[0]:
        return False
    axes = set(graph.constants[node.inputs[1]].tolist())
    kept = tuple(n for axis, n in enumerate(shape) if axis not in axes)
    if graph.shape(user.outputs[0]) != kept:
        return False
    graph.remove(user)
    node.set("keepdims", 0)
    graph.rename_output(node, 0, user.outputs[0])
    return True


def _skip_unsqueeze(graph: Graph, node: Node) -> bool:
    """Reduce(Unsqueeze(x)) without kept axes is Reduce(x) where every new axis is reduced."""
    before = graph.producer(node.inputs[0])
    shape = graph.shape(node.inputs[0])
    if before is None or before.op != "Unsqueeze" or shape is None or node.get("keepdims", 1):
        return False
    if before.input(1) not in graph.constants:
        return False
    added = {int(a) % len(shape) for a in graph.constants[before.inputs[1]].reshape(-1)}
    axes = set(graph.constants[node.inputs[1]].tolist())
    if not added <= axes:
        return False
    old = [axis for axis in range(len(shape)) if axis not in added]
    left = [index for index, axis in enumerate(old) if axis in axes]
    if not left:
        return False
    graph.set_input(node, 0, before.inputs[0])
    graph.set_input(node, 1, graph.constant(f"{node.outputs[0]}.axes", np.asarray(left, np.int64)))
    return True


def simplify_clips(graph: Graph) -> bool:
    """Clip(0, none) and Max(x, 0) are Relu; bounds that do not bind are dropped."""
    changed = False
    for node in list(graph.nodes):
        if node.domain or node.op not in ("Clip", "Max"):
            continue
        changed |= _clip(graph, node) if node.op == "Clip" else _max_zero(graph, node)
    return changed


def _clip(graph: Graph, node: Node) -> bool:
    if any(name and name not in graph.constants for name in node.inputs[1:3]):
        return False
    low, high = (graph.constants[n] if n else None for n in (node.input(1), node.input(2)))
    is_float = graph.dtype(node.inputs[0]) == 1
    if not is_float:
        return False
    no_low = low is None or float(low.reshape(-1)[0]) <= -_ENORMOUS
    no_high = high is None or float(high.reshape(-1)[0]) >= _ENORMOUS
    if no_low and no_high:
        return _replace(graph, node, "Identity")
    if no_high and low is not None and float(low.reshape(-1)[0]) == 0.0:
        return _replace(graph, node, "Relu")
    if (no_high and node.input(2)) or (no_low and node.input(1)):
        inputs = [
            node.inputs[0],
            "" if no_low else node.inputs[1],
            "" if no_high else node.input(2),
        ]
        graph.remove(node)
        node.inputs = inputs[:2] if not inputs[2] else inputs
        graph.add(node)
        return True
    return False


def _max_zero(graph: Graph, node: Node) -> bool:
    if len(node.inputs) != 2 or graph.dtype(node.outputs[0]) != 1:
        return False
    for index in (0, 1):
        constant = graph.constants.get(node.inputs[1 - index])
        is_zero = (
            constant is not None and constant.size == 1 and float(constant.reshape(-1)[0]) == 0.0
        )
        if is_zero and graph.shape(node.inputs[index]) == graph.shape(node.outputs[0]):
            node_input = node.inputs[index]
            graph.remove(node)
            graph.add(make_node("Relu", [node_input], node.outputs, node.name, node.scope))
            return True
    return False


def _replace(graph: Graph, node: Node, op: str) -> bool:
    graph.remove(node)
    graph.add(make_node(op, node.inputs[:1], node.outputs, node.name, node.scope))
    return True


def positive_axes(graph: Graph) -> bool:
    """Axis attributes count from the front, where the rank is known."""
    changed = False
    for node in graph.nodes:
        if node.domain or node.op not in (
            "Concat",
            "Split",
            "Softmax",
            "LogSoftmax",
            "Gather",
            "ArgMax",
            "Flatten",
        ):
            continue
        rank = graph.rank(node.inputs[0])
        default = -1 if node.op in ("Softmax", "LogSoftmax") else None
        axis = node.get("axis", default)
        if axis is not None and axis < 0 and rank > 0:
            node.set("axis", axis % rank)
            changed = True
    return changed


def tidy_resizes(graph: Graph) -> bool:
    """Resize without a region of interest where its mode ignores one."""
    changed = False
    for node in graph.nodes:
        if node.op != "Resize" or node.domain or not node.input(1):
            continue
        if node.get("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize":
            graph.set_input(node, 1, "")
            changed = True
    return changed
