"""Which tensors share one scale: classes of a union-find over an int8 graph, decided before calibration.

Tensors joined by an operator whose int8 kernel demands equal parameters on both sides (`rules.py`) form one
class with one observer. A tensor whose parameters are fixed (sigmoid, softmax, tanh, 8-bit pixels) never
drags others along: where it meets them, its edge is requantized, and the reason is written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .graph import GraphView, NodeView
from .qparams import QParams
from .rules import OutputRule, by_onnx


class UnionFind:
    """Disjoint sets of names; the representative is the name that was added first."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._order: dict[str, int] = {}

    def add(self, name: str) -> None:
        """Make `name` known, as a set of its own."""
        if name not in self._parent:
            self._parent[name] = name
            self._order[name] = len(self._order)

    def find(self, name: str) -> str:
        """Representative of the set that holds `name`."""
        root = name
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[name] != root:
            self._parent[name], name = root, self._parent[name]
        return root

    def union(self, a: str, b: str) -> str:
        """Join two sets; gives the representative."""
        first, second = sorted((self.find(a), self.find(b)), key=self._order.__getitem__)
        self._parent[second] = first
        return first

    def sets(self) -> dict[str, list[str]]:
        """Representative -> members, both in the order they were added."""
        found: dict[str, list[str]] = {}
        for name in self._parent:
            found.setdefault(self.find(name), []).append(name)
        return found


@dataclass(frozen=True)
class TensorClass:
    """Tensors with the same parameters.

    Attributes:
        members: activations and constants, in graph order.
        sources: the activations among them that bring in values of their own; a reshaped, pooled or joined
            tensor only repeats (or averages) what its inputs hold.
        constants: initializers that must take the class's parameters.
        fixed: parameters the kernel (or the pixel format) dictates.
        is_output: True if a member is a graph output or the logits in front of a final softmax.
    """

    members: tuple[str, ...]
    sources: tuple[str, ...]
    constants: tuple[str, ...] = ()
    fixed: QParams | None = None
    is_output: bool = False


@dataclass(frozen=True)
class Tying:
    """All classes, the class of each tensor (an index), and requantized edges.

    `requantize` maps (node name, input index) to (class index, reason).
    """

    classes: tuple[TensorClass, ...]
    of: Mapping[str, int]
    requantize: Mapping[tuple[str, int], tuple[int, str]] = field(default_factory=dict)


def constant_key(name: str, node: NodeView) -> str:
    """Name of a class-bound constant as used by one node."""
    return f"{name}@{node.name}"


def output_rule(view: GraphView, node: NodeView) -> OutputRule | None:
    """How `node`'s int8 kernel relates its output to its input; None if there is no such kernel."""
    if node.domain:
        return None
    if node.op == "Relu":
        return OutputRule.FREE
    if node.op == "Clip":
        return OutputRule.FREE if view.fused_into(node) is not None else OutputRule.SAME_AS_INPUT
    if view.is_global_pool(node):
        return OutputRule.FREE
    rule = by_onnx(node.op)
    return None if rule is None else rule.output


class _Tie:
    """One run over the int8 nodes in graph order."""

    def __init__(self, view: GraphView, int8: Mapping[str, NodeView], pins: Mapping[str, QParams]):
        self.view, self.int8 = view, int8
        self.sets = UnionFind()
        self.fixed: dict[str, QParams] = dict(pins)
        self.repeats: set[str] = set()
        self.edges: dict[tuple[str, int], tuple[str, str]] = {}

    def run(self) -> Tying:
        for node in self.view.nodes:
            if node.name in self.int8:
                self._visit(node)
        return self._result()

    def _visit(self, node: NodeView) -> None:
        inputs = self.view.real_inputs(node)
        for _, name in inputs:
            if name not in self.view.constants and not self._is_inside_kernel(name):
                self.sets.add(name)
        outputs = [
            name for name in self.view.real_outputs(node) if not self._is_inside_kernel(name)
        ]
        for name in outputs:
            self.sets.add(name)
        rule = output_rule(self.view, node)
        if rule is OutputRule.SAME_AS_INPUT and outputs:
            self._join(node, inputs, outputs)
        elif rule is OutputRule.FIXED:
            entry = by_onnx(node.op)
            assert entry is not None and entry.fixed is not None  # by OutputRule.FIXED
            self.fixed[outputs[0]] = QParams((entry.fixed[0],), (entry.fixed[1],))

    def _is_inside_kernel(self, name: str) -> bool:
        """True for the tensor between a compute node and its fused activation."""
        node = self.view.producer.get(name)
        return (
            node is not None
            and node.name in self.int8
            and self.view.fused_activation(node) is not None
        )

    def _fixed_of(self, name: str) -> QParams | None:
        return self.fixed.get(self.sets.find(name)) if name in self.sets._parent else None

    def _join(self, node: NodeView, inputs: list[tuple[int, str]], outputs: list[str]) -> None:
        keys = [(i, constant_key(n, node) if n in self.view.constants else n) for i, n in inputs]
        for _, key in keys:
            self.sets.add(key)
        wanted = {self._fixed_of(key) for _, key in keys}
        mixed = len(wanted) > 1
        self.repeats.update(outputs)
        root = outputs[0]
        for name in outputs[1:]:
            root = self._union(root, name)
        for index, key in keys:
            fixed = self._fixed_of(key)
            if mixed and fixed is not None:
                self.edges[node.name, index] = (outputs[0], self._reason(node, key, wanted))
            else:
                root = self._union(root, key)
        if all(
            (node.name, i) in self.edges for i, _ in keys
        ):  # nothing but fixed inputs that differ
            self.repeats.difference_update(outputs)

    def _reason(self, node: NodeView, key: str, wanted: set[QParams | None]) -> str:
        what = "those of other inputs are fixed too, but different"
        if None in wanted:
            what = "the other inputs have ranges of their own"
        return f"{node.op} needs equal parameters; those of '{key}' are fixed, {what}"

    def _union(self, a: str, b: str) -> str:
        fixed = self._fixed_of(a) or self._fixed_of(b)
        root = self.sets.union(a, b)
        if fixed is not None:
            self.fixed[root] = fixed
        return root

    def _result(self) -> Tying:
        outputs = _output_tensors(self.view, self.int8)
        classes: list[TensorClass] = []
        of: dict[str, int] = {}
        for root, members in self.sets.sets().items():
            constants = tuple(m for m in members if m not in self.view.types)
            tensors = [m for m in members if m in self.view.types]
            sources = tuple(m for m in tensors if m not in self.repeats)
            is_output = not outputs.isdisjoint(tensors)
            of.update(dict.fromkeys(members, len(classes)))
            classes.append(
                TensorClass(tuple(members), sources, constants, self.fixed.get(root), is_output)
            )
        edges = {edge: (of[name], reason) for edge, (name, reason) in self.edges.items()}
        return Tying(tuple(classes), of, edges)


def tie(view: GraphView, int8: Mapping[str, NodeView], pins: Mapping[str, QParams]) -> Tying:
    """Classes of equal parameters for the int8 part of a graph.

    Args:
        view: the graph.
        int8: the nodes that compute on integers, by name.
        pins: tensors (graph inputs) whose parameters are known beforehand.
    """
    return _Tie(view, int8, pins).run()


def _output_tensors(view: GraphView, int8: Mapping[str, NodeView]) -> set[str]:
    """Graph outputs, and the logits in front of a final softmax, sigmoid or tanh."""
    found, waiting = set(view.outputs), list(view.outputs)
    while waiting:
        node = view.producer.get(waiting.pop())
        if node is None or node.name not in int8:
            continue
        rule = output_rule(view, node)
        if rule is OutputRule.FIXED or (rule is OutputRule.SAME_AS_INPUT and node.op in _VIEWS):
            found.add(node.inputs[0])
            waiting.append(node.inputs[0])
    return found


_VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
