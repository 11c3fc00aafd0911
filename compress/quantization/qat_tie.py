"""Which tensors share one activation quantizer, decided on the rewritten graph before any training.

Tensors joined by an operator whose int8 kernel demands equal scales (rules.py: pooling, concatenation,
reshape, slice, pad, ...) form one class with one quantizer. The output of a compute operator that is followed
by nothing but a fused activation has no quantizer of its own. Sigmoid, tanh and softmax have outputs with
fixed parameters; where such a tensor meets others in a concatenation, the edge gets a quantizer of its own,
which becomes one QUANTIZE operator: the only kind this pass ever adds, each with its reason.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import fx

from .qparams import QParams
from .rules import OutputRule, by_onnx

FUSES = ("Conv", "ConvTranspose", "Gemm", "Add", "Sub", "Mul")
"""Operators whose int8 kernels apply a following activation themselves."""

FUSED_RANGES = ((0.0, 6.0), (-1.0, 1.0))
"""Bounds of the clips among these activations."""

_FREE_HERE = ("Input", "Constant", "Requantize", "Relu")
"""Tensors with a scale of their own that the rules do not list; a ReLU on its own may change the scale."""


@dataclass
class TensorClass:
    """Tensors with one quantizer; `fixed` parameters are the kernel's and never learned."""

    nodes: list[fx.Node]
    fixed: QParams | None = None
    is_input: bool = False
    is_output: bool = False


@dataclass
class Tying:
    """The classes in graph order, and "tensor: reason" for each extra requantization."""

    classes: list[TensorClass] = field(default_factory=list)
    requantized: list[str] = field(default_factory=list)


def is_fused_activation(node: fx.Node) -> bool:
    """True for a ReLU, Clip(0, 6) or Clip(-1, 1) that the operator in front of it computes itself."""
    kind = node.meta.get("kind")
    if kind not in ("Relu", "Clip") or (
        kind == "Clip" and tuple(node.args[1:]) not in FUSED_RANGES
    ):
        return False
    source = node.args[0]
    return (
        isinstance(source, fx.Node)
        and source.meta.get("kind") in FUSES
        and len(source.users) == 1
        and not is_fused_activation(source)
    )


def is_fused_away(node: fx.Node) -> bool:
    """True if the only use of the tensor is inside a fused operator, so that it never exists in int8."""
    return len(node.users) == 1 and is_fused_activation(next(iter(node.users)))


def _rule(node: fx.Node) -> OutputRule:
    if node.meta["kind"] in _FREE_HERE or is_fused_activation(node):
        return OutputRule.FREE
    rule = by_onnx(node.meta["kind"])
    return rule.output if rule is not None else OutputRule.SAME_AS_INPUT  # a clip on its own


def tie(graph: fx.Graph) -> Tying:
    """Sort all tensors of a rewritten graph into classes; inserts the requantizing identities it needs."""
    result = Tying()
    of: dict[fx.Node, TensorClass] = {}
    for node in list(graph.nodes):
        if node.op == "output":
            for tensor in node.all_input_nodes:
                of[tensor].is_output = True
            continue
        if node.meta["kind"] == "Placeholder" or is_fused_away(node):
            continue
        inputs = [n for n in node.all_input_nodes if n in of]
        if _rule(node) is OutputRule.SAME_AS_INPUT and inputs:
            joined = _join(graph, node, inputs, of, result)
            joined.nodes.append(node)
            of[node] = joined
        else:
            of[node] = _new_class(node, result)
    return result


def _new_class(node: fx.Node, result: Tying) -> TensorClass:
    created = TensorClass([node], is_input=node.meta["kind"] == "Input")
    rule = by_onnx(node.meta["kind"])
    if rule is not None and rule.fixed is not None:
        created.fixed = QParams((rule.fixed[0],), (rule.fixed[1],))
    result.classes.append(created)
    return created


def _join(
    graph: fx.Graph,
    node: fx.Node,
    inputs: list[fx.Node],
    of: dict[fx.Node, TensorClass],
    result: Tying,
) -> TensorClass:
    """One class for all inputs of a same-scale operator."""
    distinct = {id(of[n]): of[n] for n in inputs}
    if len(distinct) > 1:
        for source in inputs:
            fixed = of[source].fixed
            if fixed is not None and any(c.fixed != fixed for c in distinct.values()):
                _requantize(graph, node, source, of, result)
    merged, *others = {id(of[n]): of[n] for n in node.all_input_nodes if n in of}.values()
    for other in others:
        merged.nodes += other.nodes
        merged.is_input |= other.is_input
        merged.is_output |= other.is_output
        of.update(dict.fromkeys(other.nodes, merged))
        result.classes.remove(other)
    return merged


def _requantize(
    graph: fx.Graph,
    node: fx.Node,
    source: fx.Node,
    of: dict[fx.Node, TensorClass],
    result: Tying,
) -> None:
    with graph.inserting_before(node):
        edge = graph.call_function(requantize, (source,))
    edge.meta = {**source.meta, "kind": "Requantize"}
    node.replace_input_with(source, edge)
    of[edge] = _new_class(edge, result)
    result.requantized.append(
        f"{edge.name}: {source.name} has the fixed scale of {source.meta['kind']},"
        f" {node.name} ({node.meta['kind']}) needs the scale of its other inputs"
    )


def requantize(x: object) -> object:
    """Marks an edge that changes scale; the quantizer behind it does the work."""
    return x
