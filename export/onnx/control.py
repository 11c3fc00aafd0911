"""Branches that are known ahead are inlined; what else has a body cannot run on a device and is refused."""

from __future__ import annotations

import copy
from typing import Any

from ...runtime.errors import UnsupportedOperatorError
from .graph import Graph
from .node import make_node, node_from_proto


def inline_constant_ifs(graph: Graph) -> bool:
    """An `If` whose condition is a constant is replaced by the branch it takes."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "If" and not n.domain]:
        condition = graph.constants.get(node.inputs[0])
        if condition is None:
            continue
        branch = node.attributes[
            "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
        ].g
        graph.remove(node)
        _inline(graph, branch, node.outputs, node.scope)
        changed = True
    return changed


def _inline(graph: Graph, branch: Any, targets: list[str], scope: str) -> None:
    import onnx

    names: dict[str, str] = {}
    for tensor in branch.initializer:
        names[tensor.name] = graph.constant(tensor.name, onnx.numpy_helper.to_array(tensor))
    written = {name for proto in branch.node for name in proto.output if name}
    wanted = {output.name: target for output, target in zip(branch.output, targets, strict=True)}
    for name in sorted(written):
        names[name] = wanted[name] if name in wanted else graph.fresh(name)
    for proto in branch.node:
        node = node_from_proto(copy.deepcopy(proto))
        node.inputs = [names.get(name, name) for name in node.inputs]
        node.outputs = [names.get(name, name) for name in node.outputs]
        node.scope = node.scope or scope
        graph.add(node)
    for output, target in zip(branch.output, targets, strict=True):
        if output.name not in written:  # the branch gives back a captured or constant value
            graph.add(_identity(names.get(output.name, output.name), target, scope))
        elif wanted[output.name] != target:  # one value under two names
            graph.add(_identity(wanted[output.name], target, scope))


def _identity(source: str, target: str, scope: str) -> Any:
    return make_node("Identity", [source], [target], "", scope)


def refuse_control_flow(graph: Graph, where: str = "") -> None:
    """Raise for every node that still has a body.

    Raises:
        UnsupportedOperatorError: names operator and node.
    """
    for node in graph.nodes:
        if node.subgraphs():
            raise UnsupportedOperatorError(
                f"control flow that depends on the data: {node.op} '{node.name or node.outputs[0]}'",
                where=where or None,
                hint="unroll the loop, fix the condition, or export the model without it",
            )
