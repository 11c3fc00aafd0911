"""One operator of an ONNX graph in a form that passes can change, compared by identity."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Node:
    """One operator; compared by identity. `attributes` holds AttributeProtos by name.

    An omitted optional input is the empty string. `domain` is "" for ai.onnx.
    """

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    domain: str = ""
    scope: str = ""

    def get(self, name: str, default: Any = None) -> Any:
        """Value of attribute `name` (text as str), or `default`."""
        import onnx

        if name not in self.attributes:
            return default
        value = onnx.helper.get_attribute_value(self.attributes[name])
        if isinstance(value, bytes):
            return value.decode()
        return list(value) if not isinstance(value, (int, float)) and _is_sequence(value) else value

    def set(self, name: str, value: Any) -> None:
        """Set attribute `name`; None removes it."""
        import onnx

        self.attributes.pop(name, None)
        if value is not None:
            self.attributes[name] = onnx.helper.make_attribute(name, value)

    def input(self, index: int) -> str:
        """Input `index`, or "" where it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def subgraphs(self) -> list[Any]:
        """GraphProtos held by this node's attributes (bodies of If, Loop, Scan)."""
        return [a.g for a in self.attributes.values() if a.HasField("g")]

    def reads(self) -> Iterator[str]:
        """Every value this node reads, those captured by its subgraphs included."""
        yield from (name for name in self.inputs if name)
        for graph in self.subgraphs():
            yield from captured(graph)


def _is_sequence(value: Any) -> bool:
    return hasattr(value, "__len__") and not hasattr(value, "SerializeToString")


def make_node(
    op: str,
    inputs: list[str],
    outputs: list[str],
    name: str = "",
    scope: str = "",
    **attributes: Any,
) -> Node:
    """A node of ai.onnx with plain attribute values; None leaves an attribute out."""
    node = Node(op, list(inputs), list(outputs), name=name or outputs[0], scope=scope)
    for key, value in attributes.items():
        if value is not None:
            node.set(key, value)
    return node


def captured(graph: Any) -> set[str]:
    """Names a GraphProto reads from the scope around it."""
    own = {i.name for i in graph.initializer} | {i.name for i in graph.input}
    read: set[str] = {o.name for o in graph.output}
    for node in graph.node:
        read.update(name for name in node.input if name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                read.update(captured(attribute.g))
        own.update(node.output)
    return read - own


def node_from_proto(proto: Any) -> Node:
    """Working form of a NodeProto; bodies of control flow are copied, since passes rename inside them."""
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    attributes = {a.name: copy.deepcopy(a) if a.HasField("g") else a for a in proto.attribute}
    scope = next((p.value for p in proto.metadata_props if p.key == SCOPE_KEY), "")
    inputs = list(proto.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    return Node(proto.op_type, inputs, list(proto.output), attributes, proto.name, domain, scope)


SCOPE_KEY = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter says which module a node comes from."""


def proto_from_node(node: Node) -> Any:
    """NodeProto of a node; attributes in alphabetical order, no documentation."""
    import onnx

    proto = onnx.NodeProto(op_type=node.op, name=node.name, domain=node.domain)
    proto.input.extend(node.inputs)
    proto.output.extend(node.outputs)
    proto.attribute.extend(node.attributes[key] for key in sorted(node.attributes))
    for attribute in proto.attribute:
        attribute.doc_string = ""
    return proto


def rename_captured(graph: Any, old: str, new: str) -> None:
    """Let a body read `new` where it read `old` from the scope around it."""
    if old not in captured(graph):
        return
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                rename_captured(attribute.g, old, new)
    # A branch may give a captured value straight back: an Identity keeps the output's own name legal.
    for output in graph.output:
        if output.name == old:
            output.name = new
