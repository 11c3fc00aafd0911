"""Constant folding: whatever depends on constants and static shapes only becomes an initializer.

Dequantized constants are left alone: `DequantizeLinear(int8 weight)` is how a quantized model says what its
weights are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.errors import InputError
from .graph import Array, Graph, Node, make_node

KEEP = frozenset(
    {
        "DequantizeLinear",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Bernoulli",
        "Multinomial",
        "If",
        "Loop",
        "Scan",
    }
)
"""Operators that are never evaluated ahead: quantized weights, chance and control flow."""

LARGEST_BYTES = 1 << 28
"""A folded tensor may be this large; beyond it the nodes stay."""


def constant_nodes_to_initializers(graph: Graph) -> bool:
    """`Constant` nodes become initializers."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "Constant" and not n.domain]:
        value = _constant_value(node)
        graph.remove(node)
        graph.constants[node.outputs[0]] = value
        changed = True
    return changed


def _constant_value(node: Node) -> Array:
    import onnx

    if "value" in node.attributes:
        return np.asarray(onnx.numpy_helper.to_array(node.attributes["value"].t))
    for key, dtype in (("float", np.float32), ("int", np.int64)):
        if f"value_{key}" in node.attributes:
            return np.asarray(node.get(f"value_{key}"), dtype)
        if f"value_{key}s" in node.attributes:
            return np.asarray(node.get(f"value_{key}s"), dtype).reshape(-1)
    raise InputError(
        f"constant '{node.name or node.outputs[0]}' holds no dense numeric value",
        hint="text and sparse constants cannot run on a device; export the model without them",
    )


def fold_shapes(graph: Graph) -> bool:
    """`Shape` and `Size` of tensors whose static shape is known become constants."""
    changed = False
    for node in [n for n in graph.nodes if n.op in ("Shape", "Size") and not n.domain]:
        shape = graph.shape(node.inputs[0])
        if shape is None:
            continue
        value: Array = np.asarray(shape, np.int64)
        if node.op == "Size":
            value = np.asarray(value.prod(), np.int64)
        else:
            value = value[slice(node.get("start", 0), node.get("end"))]
        graph.remove(node)
        graph.constants[node.outputs[0]] = value
        changed = True
    return changed


def fold_constants(graph: Graph) -> bool:
    """Evaluate every node that reads constants only, all of them in one onnxruntime call."""
    ready = _foldable(graph)
    if not ready:
        return False
    wanted = _frontier(graph, ready)
    values = _evaluate(graph, ready, wanted)
    for node in ready:
        graph.remove(node)
    graph.constants.update(values)
    return True


def _foldable(graph: Graph) -> list[Node]:
    known, ready = set(graph.constants), []
    for node in graph.sorted_nodes():
        if node.op in KEEP or node.domain or not node.inputs:
            continue
        if all(name in known for name in node.reads()) and _small(graph, node):
            ready.append(node)
            known.update(node.outputs)
    return ready


def _small(graph: Graph, node: Node) -> bool:
    sizes = [np.prod(graph.shapes.get(name, ()), dtype=np.float64) for name in node.outputs]
    return bool(sum(sizes) * 8 <= LARGEST_BYTES)


def _frontier(graph: Graph, ready: list[Node]) -> list[str]:
    """Folded values that something outside the folded nodes reads."""
    inside = set(ready)
    return [
        name
        for node in ready
        for name in node.outputs
        if name and (name in graph.outputs or any(user not in inside for user in graph.users(name)))
    ]


def _evaluate(graph: Graph, nodes: list[Node], wanted: list[str]) -> dict[str, Array]:
    part = Graph()
    part.domains, part.outputs = dict(graph.domains), wanted
    read = {name for node in nodes for name in node.reads()}
    part.constants = {name: graph.constants[name] for name in read if name in graph.constants}
    part.dtypes = {name: graph.dtypes[name] for name in wanted if name in graph.dtypes}
    for node in nodes:
        part.add(node)
    if not wanted:
        return {}
    model = part.write()
    for output in model.graph.output:
        if output.name not in part.dtypes:
            output.ClearField("type")
    return dict(zip(wanted, _run(model), strict=True))


def _run(model: Any) -> list[Array]:
    """Outputs of a model without inputs: by onnxruntime, else by onnx's reference implementation."""
    from onnx.reference import ReferenceEvaluator

    from .check import run

    try:
        return run(model, {})
    except InputError:
        pass
    try:
        return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, {})]
    except Exception as error:  # the reference implementation raises whatever numpy does
        names = ", ".join(f"{node.op_type} '{node.name}'" for node in model.graph.node[:4])
        raise InputError(
            f"cannot evaluate the constant part of the graph ({names}): {error}",
            hint="simplify or export the model again",
        ) from error


def resolve_constant_outputs(graph: Graph) -> bool:
    """A graph output that became constant is written by an Identity of an initializer."""
    changed = False
    for name in graph.outputs:
        if name in graph.constants:
            inner = graph.constant(f"{name}_value", graph.constants.pop(name))
            graph.replace_uses(name, inner)
            graph.add(make_node("Identity", [inner], [name]))
            changed = True
    return changed
