"""Activations and normalisations that older exporters spell out, recognised and named again.

One named operator is one kernel, one output scale, and a LayerNormalization stays float as a whole when the rest
of the model is quantized.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .graph import Array, Graph, Node, make_node


def scalar(graph: Graph, name: str) -> float | None:
    """Value of a constant with one element, None for anything else."""
    values = graph.constants.get(name)
    if values is None or values.size != 1 or values.dtype.kind != "f":
        return None
    return float(values.reshape(-1)[0])


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and abs(value - wanted) <= 1e-5 * max(abs(wanted), 1.0)


def _operand(graph: Graph, node: Node | None, op: str, wanted: float) -> str | None:
    """The other operand of `node` if it is `op` with the scalar `wanted`."""
    if node is None or node.op != op or node.domain or len(node.inputs) != 2:
        return None
    for index in (0, 1):
        if _near(scalar(graph, node.inputs[index]), wanted):
            return node.inputs[1 - index]
    return None


@dataclass(frozen=True)
class _Factors:
    """A product flattened: its non-constant factors and the product of its scalar ones."""

    values: tuple[str, ...]
    constant: float
    nodes: tuple[Node, ...]


def _factors(graph: Graph, node: Node) -> _Factors:
    """Flatten a tree of Mul whose inner products nobody else reads."""
    values: list[str] = []
    nodes, constant = [node], 1.0
    for name in node.inputs:
        number = scalar(graph, name)
        inner = graph.producer(name)
        if number is not None:
            constant *= number
        elif (
            inner is not None
            and inner.op == "Mul"
            and not inner.domain
            and graph.only_user(name) is node
        ):
            below = _factors(graph, inner)
            values.extend(below.values)
            constant *= below.constant
            nodes.extend(below.nodes)
        else:
            values.append(name)
    return _Factors(tuple(values), constant, tuple(nodes))


def fuse_activations(graph: Graph) -> bool:
    """x * (1 + erf(x / sqrt 2)) / 2 and its tanh form are Gelu; x * hard_sigmoid(x) is HardSwish."""
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes or node.op != "Mul" or node.domain:
            continue
        product = _factors(graph, node)
        if len(product.values) != 2:
            continue
        for index in (0, 1):
            value, gate = product.values[index], product.values[1 - index]
            found = _activation(graph, value, gate, product.constant)
            if found is None:
                continue
            for part in product.nodes:
                graph.remove(part)
            op, approximate = found
            fused = make_node(
                op, [value], node.outputs, node.name, node.scope, approximate=approximate
            )
            graph.add(fused)
            changed = True
            break
    return changed


def _activation(
    graph: Graph, value: str, gate: str, constant: float
) -> tuple[str, str | None] | None:
    writer = graph.producer(gate)
    if writer is None:
        return None
    if writer.op == "HardSigmoid" and writer.inputs[0] == value and _near(constant, 1.0):
        sixth = _near(writer.get("alpha", 0.2), 1 / 6) and _near(writer.get("beta", 0.5), 0.5)
        return ("HardSwish", None) if sixth else None
    if writer.op == "Clip" and _near(constant, 1 / 6):
        bounds = [scalar(graph, name) for name in writer.inputs[1:3]]
        shifted = _operand(graph, graph.producer(writer.inputs[0]), "Add", 3.0)
        return ("HardSwish", None) if bounds == [0.0, 6.0] and shifted == value else None
    if not _near(constant, 0.5):
        return None
    inner = _operand(graph, writer, "Add", 1.0)
    bent = graph.producer(inner) if inner else None
    if bent is None or bent.domain:
        return None
    argument = graph.producer(bent.inputs[0])
    if bent.op == "Erf" and _operand(graph, argument, "Mul", 1 / np.sqrt(2.0)) == value:
        return "Gelu", None
    if bent.op == "Tanh" and _is_tanh_argument(graph, argument, value):
        return "Gelu", "tanh"
    return None


def _is_tanh_argument(graph: Graph, node: Node | None, value: str) -> bool:
    """sqrt(2 / pi) * (x + 0.044715 x^3)"""
    inner = _operand(graph, node, "Mul", float(np.sqrt(2 / np.pi)))
    total = graph.producer(inner) if inner else None
    if total is None or total.op != "Add" or value not in total.inputs:
        return False
    other = total.inputs[1 - total.inputs.index(value)]
    cubic = graph.producer(other)
    if cubic is None or cubic.op != "Mul":
        return False
    product = _factors(graph, cubic)
    if not _near(product.constant, 0.044715):
        return False
    powers = 0
    for name in product.values:
        power = graph.producer(name)
        if name == value:
            powers += 1
        elif power is not None and power.op == "Pow" and power.inputs[0] == value:
            powers += int(scalar(graph, power.inputs[1]) or 0)
        elif power is not None and power.op == "Mul" and power.inputs == [value, value]:
            powers += 2
    return powers == 3


def fuse_layer_norms(graph: Graph) -> bool:
    """(x - mean) / sqrt(mean((x - mean)^2) + eps) over the last axes is LayerNormalization, factors included."""
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes or node.op != "Div" or node.domain:
            continue
        match = _layer_norm(graph, node)
        shape = graph.shape(node.inputs[0])
        if match is None or shape is None:
            continue
        value, axis, epsilon = match
        target, scale, bias, used = _affine_tail(graph, node, shape[axis:])
        for part in used:
            graph.remove(part)
        inputs = [value, graph.constant(f"{target}.scale", scale)]
        if bias is not None:
            inputs.append(graph.constant(f"{target}.bias", bias))
        name = used[-1].name
        graph.add(
            make_node(
                "LayerNormalization", inputs, [target], name, node.scope, axis=axis, epsilon=epsilon
            )
        )
        changed = True
    return changed


def _layer_norm(graph: Graph, node: Node) -> tuple[str, int, float] | None:
    """(x, first axis, epsilon) if `node` divides a centred value by its deviation."""
    centred = graph.producer(node.inputs[0])
    root = graph.producer(node.inputs[1])
    if centred is None or centred.op != "Sub" or root is None or root.op != "Sqrt":
        return None
    padded = graph.producer(root.inputs[0])
    if padded is None or padded.op != "Add":
        return None
    epsilon = next(
        (scalar(graph, name) for name in padded.inputs if scalar(graph, name) is not None), None
    )
    variance = next((graph.producer(name) for name in padded.inputs if graph.producer(name)), None)
    mean = graph.producer(centred.inputs[1])
    if epsilon is None or variance is None or mean is None or mean.inputs[0] != centred.inputs[0]:
        return None
    axes = [_mean_axes(graph, part) for part in (mean, variance)]
    rank = graph.rank(centred.inputs[0])
    if axes[0] is None or axes[0] != axes[1] or axes[0] != list(range(rank - len(axes[0]), rank)):
        return None
    square = graph.producer(variance.inputs[0])
    if square is None or not _is_square(graph, square, node.inputs[0]):
        return None
    return centred.inputs[0], axes[0][0], epsilon


def _mean_axes(graph: Graph, node: Node) -> list[int] | None:
    if (
        node.op != "ReduceMean"
        or not node.get("keepdims", 1)
        or node.input(1) not in graph.constants
    ):
        return None
    rank = graph.rank(node.inputs[0])
    return sorted(int(a) % rank for a in graph.constants[node.inputs[1]].reshape(-1))


def _is_square(graph: Graph, node: Node, value: str) -> bool:
    if node.op == "Mul":
        return node.inputs == [value, value]
    return (
        node.op == "Pow" and node.inputs[0] == value and _near(scalar(graph, node.inputs[1]), 2.0)
    )


def _affine_tail(
    graph: Graph, node: Node, shape: tuple[int, ...]
) -> tuple[str, Array, Array | None, list[Node]]:
    """(output, scale, bias, nodes) of the Mul and Add by constants of `shape` that follow."""
    scale: Array = np.ones(shape, np.float32)
    bias: Array | None = None
    used = [node]
    for op in ("Mul", "Add"):
        reader = graph.only_user(used[-1].outputs[0])
        if reader is None or reader.op != op or reader.domain or len(reader.inputs) != 2:
            continue
        other = next((n for n in reader.inputs if n in graph.constants), None)
        if other is None or graph.constants[other].shape != shape:
            continue
        values = graph.constants[other].astype(np.float32)
        scale, bias = (values, bias) if op == "Mul" else (scale, values)
        used.append(reader)
    return used[-1].outputs[0], scale, bias, used
