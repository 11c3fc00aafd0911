"""Removal of what computes nothing: identities, dropout, idle casts, dead nodes, doubled constants."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import cache

import numpy as np

from .graph import OPSET, Graph, Node

Pass = Callable[[Graph], bool]


def remove_identities(graph: Graph) -> bool:
    """Bypass nodes whose first output equals their first input."""
    changed = False
    for node in list(graph.nodes):
        if node.domain or not _is_identity(graph, node):
            continue
        changed |= bypass(graph, node)
    return changed


def bypass(graph: Graph, node: Node) -> bool:
    """Let readers of `node` read its first input; False where a graph output must keep the node."""
    source, target = node.inputs[0], node.outputs[0]
    if target not in graph.outputs:
        graph.remove(node)
        graph.replace_uses(target, source)
        return True
    writer = graph.producer(source)
    if writer is None or source in graph.outputs:
        return False
    graph.remove(node)
    graph.replace_uses(target, source)
    graph.rename_output(writer, writer.outputs.index(source), target)
    return True


def _is_identity(graph: Graph, node: Node) -> bool:
    if not node.inputs or any(
        graph.users(name) or name in graph.outputs for name in node.outputs[1:]
    ):
        return False
    check = _IDENTITY.get(node.op)
    return check is not None and check(graph, node)


def _always(graph: Graph, node: Node) -> bool:
    return True


def _dropout(graph: Graph, node: Node) -> bool:
    mode = graph.constants.get(node.input(2))
    return not node.input(2) or (mode is not None and not bool(mode))


def _cast(graph: Graph, node: Node) -> bool:
    return graph.dtype(node.inputs[0]) == node.get("to")


def _slices_nothing(graph: Graph, node: Node) -> bool:
    """A slice of the same shape that does not turn an axis around (as torch.flip does)."""
    steps = graph.constants.get(node.input(4))
    forward = not node.input(4) or (steps is not None and bool((steps > 0).all()))
    return forward and _same_shape(graph, node)


def _cast_like(graph: Graph, node: Node) -> bool:
    dtype = graph.dtype(node.inputs[0])
    return dtype is not None and dtype == graph.dtype(node.inputs[1])


def _transpose(graph: Graph, node: Node) -> bool:
    order = node.get("perm")
    return order is not None and order == sorted(order)


def _same_shape(graph: Graph, node: Node) -> bool:
    shape = graph.shape(node.inputs[0])
    return shape is not None and shape == graph.shape(node.outputs[0])


def _pad(graph: Graph, node: Node) -> bool:
    pads = graph.constants.get(node.input(1))
    return pads is not None and not pads.any()


def _one_input(graph: Graph, node: Node) -> bool:
    return len(node.inputs) == 1


def _neutral(value: float) -> Callable[[Graph, Node], bool]:
    """True where the second operand is `value` all over and does not widen the first."""

    def check(graph: Graph, node: Node) -> bool:
        constant = graph.constants.get(node.inputs[1])
        if constant is None or constant.size > 4096 or not np.all(constant == value):
            return False
        return _same_shape(graph, node)

    return check


_IDENTITY: dict[str, Callable[[Graph, Node], bool]] = {
    "Identity": _always,
    "Dropout": _dropout,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Transpose": _transpose,
    "Reshape": _same_shape,
    "Flatten": _same_shape,
    "Expand": _same_shape,
    "Tile": _same_shape,
    "Slice": _slices_nothing,
    "Pad": _pad,
    "Concat": _one_input,
    "Sum": _one_input,
    "Max": _one_input,
    "Min": _one_input,
    "Mul": _neutral(1.0),
    "Div": _neutral(1.0),
    "Add": _neutral(0.0),
    "Sub": _neutral(0.0),
    "Pow": _neutral(1.0),
}


def remove_dead(graph: Graph) -> bool:
    """Drop nodes and constants that no output depends on."""
    live: set[Node] = set()
    stack = [node for node in map(graph.producer, graph.outputs) if node]
    while stack:
        node = stack.pop()
        if node in live:
            continue
        live.add(node)
        stack.extend(source for source in map(graph.producer, node.reads()) if source)
    dead = [node for node in graph.nodes if node not in live]
    for node in dead:
        graph.remove(node)
    unread = [n for n in graph.constants if not graph.users(n) and n not in graph.outputs]
    for name in unread:
        del graph.constants[name]
    for node in graph.nodes:
        if len(node.outputs) > 1 and not node.domain:
            _drop_unread_outputs(graph, node)
    return bool(dead or unread)


def _drop_unread_outputs(graph: Graph, node: Node) -> None:
    """Leave out outputs that nobody reads, where the operator lets one leave them out."""
    needed = _needed_outputs(node.op)
    for index, name in enumerate(node.outputs):
        if index >= needed and name and not graph.users(name) and name not in graph.outputs:
            node.outputs[index] = ""
    while len(node.outputs) > needed and not node.outputs[-1]:
        node.outputs.pop()


@cache
def _needed_outputs(op: str) -> int:
    """Leading outputs that must stay; all of them where their number means something (Split)."""
    import onnx

    if op in ("Split", "LSTM", "GRU", "RNN") or not onnx.defs.has(op, OPSET, ""):
        return sys.maxsize
    return max(int(onnx.defs.get_schema(op, OPSET, "").min_output), 1)


def share_constants(graph: Graph) -> bool:
    """Store equal constants once: integers of any size, and float tensors of rank two and more.

    Float vectors and scalars stay apart: biases that are equal by chance get scales of their own later.
    """
    seen: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    changed = False
    for name in list(graph.constants):
        values = graph.constants[name]
        if values.dtype.kind == "f" and values.ndim < 2 and not _is_scale(graph, name):
            continue
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()
        first = seen.setdefault((str(values.dtype), values.shape, digest), name)
        if first != name and name not in graph.outputs:
            graph.replace_uses(name, first)
            del graph.constants[name]
            changed = True
    return changed


def _is_scale(graph: Graph, name: str) -> bool:
    users = graph.users(name)
    return bool(users) and all(
        user.op in ("QuantizeLinear", "DequantizeLinear") and user.input(1) == name
        for user in users
    )
