"""Constant factors and offsets with fewer nodes: chains merged, divisions turned, attention's two scales made one."""

from __future__ import annotations

import numpy as np

from .fold import Affine, add_affine
from .graph import Array, Graph, Node, make_node


def no_division(graph: Graph) -> bool:
    """x / c becomes x * (1/c) and x - c becomes x + (-c): int8 kernels of Div are missing in some engines."""
    changed = False
    for node in list(graph.nodes):
        if node.op not in ("Div", "Sub") or node.domain or node.inputs[0] in graph.constants:
            continue
        values = graph.constants.get(node.inputs[1])
        if (
            values is None
            or values.dtype != np.float32
            or (node.op == "Div" and np.any(values == 0))
        ):
            continue
        other = 1.0 / values.astype(np.float64) if node.op == "Div" else -values
        name = graph.constant(node.inputs[1], other.astype(np.float32))
        op = "Mul" if node.op == "Div" else "Add"
        graph.remove(node)
        graph.add(make_node(op, [node.inputs[0], name], node.outputs, node.name, node.scope))
        changed = True
    return changed


def _constant_step(graph: Graph, node: Node | None) -> tuple[str, Array] | None:
    """(value, constant) of a Mul or Add with one float constant that does not widen the value."""
    if node is None or node.op not in ("Mul", "Add") or node.domain or len(node.inputs) != 2:
        return None
    for index in (0, 1):
        values = graph.constants.get(node.inputs[index])
        source = node.inputs[1 - index]
        if values is None or values.dtype != np.float32 or source in graph.constants:
            continue
        shape = graph.shape(source)
        if shape is not None and shape == graph.shape(node.outputs[0]):
            return source, values
    return None


def merge_chains(graph: Graph) -> bool:
    """Mul after Mul, and Add after Add, with constants: one node."""
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes:
            continue
        step = _constant_step(graph, node)
        first = graph.producer(step[0]) if step else None
        earlier = _constant_step(graph, first)
        if not step or not earlier or first is None or first.op != node.op:
            continue
        if graph.only_user(step[0]) is not node:
            continue
        a, b = earlier[1].astype(np.float64), step[1].astype(np.float64)
        merged = (a * b if node.op == "Mul" else a + b).astype(np.float32)
        graph.remove(node)
        graph.remove(first)
        name = graph.constant(f"{node.outputs[0]}.constant", merged)
        graph.add(make_node(node.op, [earlier[0], name], node.outputs, node.name, node.scope))
        changed = True
    return changed


def channel_affine_to_conv(graph: Graph) -> bool:
    """Mul then Add (or Add then Mul) by constants per channel of an image becomes one depthwise 1x1 Conv.

    Quantized, the convolution has a weight scale per channel and one rounding; the pair has two of each.
    """
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes:
            continue
        second = _channel_step(graph, node)
        first_node = graph.producer(second[0]) if second else None
        first = _channel_step(graph, first_node)
        if not second or not first or first_node is None or first_node.op == node.op:
            continue
        if graph.only_user(second[0]) is not node:
            continue
        (source, a), (_, b) = first, second
        one, zero = np.ones_like(a), np.zeros_like(a)
        step = Affine(a * one, b + zero) if first_node.op == "Mul" else Affine(b + zero, a * b)
        graph.remove(node)
        graph.remove(first_node)
        rank = graph.rank(source)
        add_affine(graph, source, node.outputs[0], step, rank, node.name, node.scope)
        changed = True
    return changed


def _channel_step(graph: Graph, node: Node | None) -> tuple[str, Array] | None:
    """(value, one number per channel) where the constant is [C, 1, ...] or [1, C, 1, ...] with C > 1."""
    step = _constant_step(graph, node)
    if step is None:
        return None
    source, values = step
    shape = graph.shape(source)
    if shape is None or len(shape) < 3 or shape[1] == 1 or values.ndim < len(shape) - 1:
        return None
    full = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
    if full.shape != (1, shape[1]) + (1,) * (len(shape) - 2):
        return None
    return source, full.reshape(-1).astype(np.float64)


def one_attention_scale(graph: Graph) -> bool:
    """MatMul(a * s, b * t) with scalars s, t becomes MatMul(a * st, b): attention scales queries only."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "MatMul" and not n.domain]:
        left, right = (_scalar_factor(graph, name, node) for name in node.inputs)
        if left is None or right is None:
            continue
        factor = np.float32(float(left[1]) * float(right[1]))
        graph.set_input(left[0], left[2], graph.constant(f"{left[0].outputs[0]}.scale", factor))
        source = next(n for n in right[0].inputs if n not in graph.constants)
        graph.remove(right[0])
        graph.set_input(node, 1, source)
        changed = True
    return changed


def _scalar_factor(graph: Graph, name: str, reader: Node) -> tuple[Node, float, int] | None:
    """(Mul node, factor, index of the factor) if `name` is a value times a scalar, read here only."""
    node = graph.producer(name)
    if node is None or node.op != "Mul" or graph.only_user(name) is not reader:
        return None
    if reader.inputs.count(name) != 1:
        return None
    for index in (0, 1):
        values = graph.constants.get(node.inputs[index])
        if (
            values is not None
            and values.size == 1
            and node.inputs[1 - index] not in graph.constants
        ):
            return node, float(values.reshape(-1)[0]), index
    return None


_MOVES = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity")


def scale_into_layer(graph: Graph) -> bool:
    """A scalar factor behind data movement is multiplied into the linear layer whose output is moved."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "Mul" and not n.domain]:
        step = _constant_step(graph, node)
        if step is None or step[1].size != 1:
            continue
        source, values = step
        if _scale_layer_behind(graph, source, node, float(values.reshape(-1)[0])):
            graph.remove(node)
            graph.add(make_node("Identity", [source], node.outputs, node.name, node.scope))
            changed = True
    return changed


def _scale_layer_behind(graph: Graph, name: str, reader: Node, factor: float) -> bool:
    """Follow single-reader moves and a bias Add up to MatMul with a constant or Gemm, and scale its constants."""
    touched: list[tuple[Node, int]] = []
    while True:
        node = graph.producer(name)
        if node is None or node.domain or graph.only_user(name) is not reader:
            return False
        if node.op in _MOVES:
            reader, name = node, node.inputs[0]
            continue
        if node.op == "Add" and not touched:
            index = next((i for i in (0, 1) if node.inputs[i] in graph.constants), None)
            if index is None:
                return False
            touched.append((node, index))
            reader, name = node, node.inputs[1 - index]
            continue
        if node.op == "MatMul" and node.inputs[1] in graph.constants:
            touched.append((node, 1))
        elif node.op == "Gemm" and all(n in graph.constants for n in node.inputs[1:] if n):
            touched.extend((node, index) for index in (1, 2) if node.input(index))
        else:
            return False
        break
    if any(graph.constants[n.inputs[i]].dtype != np.float32 for n, i in touched):
        return False
    for layer, index in touched:
        old = layer.inputs[index]
        scaled = (graph.constants[old].astype(np.float64) * factor).astype(np.float32)
        if len(graph.users(old)) == 1:
            graph.constants[old] = scaled
        else:
            graph.set_input(layer, index, graph.constant(old, scaled))
    return True
