"""An ONNX graph in a form that passes can rewrite: nodes with identity, constants as numpy arrays, known shapes.

`Graph.read` takes a ModelProto apart (and never touches it), `Graph.write` builds a new one in topological
order. Passes change nodes through `add`, `remove`, `set_input` and `replace_uses`, which keep the index of
producers and users right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError
from .node import Node, make_node, node_from_proto, proto_from_node, rename_captured

__all__ = ["Array", "Graph", "IR_VERSION", "Node", "OPSET", "make_node"]

Array = NDArray[Any]

OPSET = 21
IR_VERSION = 10


class Graph:
    """A model's main graph. `shapes` and `dtypes` hold what inference found (static shapes only)."""

    def __init__(self) -> None:
        self.name = "edgepress"
        self.nodes: dict[Node, None] = {}
        self.constants: dict[str, Array] = {}
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, int] = {}
        self.functions: list[Any] = []
        self.domains: dict[str, int] = {"": OPSET}
        self.metadata: dict[str, str] = {}
        self._producer: dict[str, Node] = {}
        self._users: dict[str, dict[Node, None]] = {}
        self._counters: dict[str, int] = {}

    # ------------------------------------------------------------------ index

    def add(self, node: Node) -> Node:
        """Add a node; its place is found when the graph is written."""
        self.nodes[node] = None
        for name in node.outputs:
            if name:
                self._producer[name] = node
        for name in node.reads():
            self._users.setdefault(name, {})[node] = None
        return node

    def remove(self, node: Node) -> None:
        """Take a node out; its outputs have no producer afterwards."""
        del self.nodes[node]
        for name in node.outputs:
            if self._producer.get(name) is node:
                del self._producer[name]
        for name in node.reads():
            self._users.get(name, {}).pop(node, None)

    def set_input(self, node: Node, index: int, name: str) -> None:
        """Make `node` read `name` at `index` (appending omitted inputs as needed)."""
        while len(node.inputs) <= index:
            node.inputs.append("")
        old = node.inputs[index]
        node.inputs[index] = name
        if old and old not in node.reads():
            self._users[old].pop(node, None)
        if name:
            self._users.setdefault(name, {})[node] = None

    def replace_uses(self, old: str, new: str) -> None:
        """Let every reader of `old` read `new`; graph outputs keep their names."""
        for node in self.users(old):
            node.inputs = [new if name == old else name for name in node.inputs]
            for graph in node.subgraphs():
                rename_captured(graph, old, new)
            self._users.setdefault(new, {})[node] = None
        self._users[old] = {}

    def rename_output(self, node: Node, index: int, name: str) -> None:
        """Give output `index` of `node` another name, for its readers too."""
        old = node.outputs[index]
        node.outputs[index] = name
        del self._producer[old]
        self._producer[name] = node
        self.replace_uses(old, name)
        self._move_type(old, name)

    def _move_type(self, old: str, new: str) -> None:
        if old in self.shapes:
            self.shapes[new] = self.shapes.pop(old)
        if old in self.dtypes:
            self.dtypes[new] = self.dtypes.pop(old)

    def rename_ends(self, kind: str, names: list[str]) -> None:
        """Rename all graph inputs (`kind` "input") or outputs; a value in the way gets another name."""
        ends = self.inputs if kind == "input" else self.outputs
        for index, name in enumerate(names):
            old = ends[index]
            if old == name:
                continue
            self._make_way(name)
            old = ends[index]
            ends[index] = name
            writer = self.producer(old)
            if writer is not None:
                self.rename_output(writer, writer.outputs.index(old), name)
                continue
            self.replace_uses(old, name)
            self._move_type(old, name)

    def _make_way(self, name: str) -> None:
        """Give whatever is called `name` a fresh name."""
        if not self._taken(name):
            return
        other = self.fresh(f"{name}_inner")
        writer = self.producer(name)
        for ends in (self.inputs, self.outputs):
            ends[:] = [other if end == name else end for end in ends]
        if writer is not None:
            self.rename_output(writer, writer.outputs.index(name), other)
            return
        if name in self.constants:
            self.constants[other] = self.constants.pop(name)
        self.replace_uses(name, other)
        self._move_type(name, other)

    def producer(self, name: str) -> Node | None:
        """The node that writes `name`; None for inputs and constants."""
        return self._producer.get(name)

    def users(self, name: str) -> list[Node]:
        """The nodes that read `name`."""
        return list(self._users.get(name, ()))

    def only_user(self, name: str) -> Node | None:
        """The one node that reads `name`, None if there are more or `name` is a graph output."""
        users = self._users.get(name, {})
        return next(iter(users)) if len(users) == 1 and name not in self.outputs else None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Static shape of a constant or value, None if unknown."""
        if name in self.constants:
            return tuple(self.constants[name].shape)
        return self.shapes.get(name)

    def rank(self, name: str) -> int:
        """Number of axes, -1 if unknown."""
        shape = self.shape(name)
        return -1 if shape is None else len(shape)

    def dtype(self, name: str) -> int | None:
        """TensorProto type of a constant or value, None if unknown."""
        import onnx

        if name in self.constants:
            return int(onnx.helper.np_dtype_to_tensor_dtype(self.constants[name].dtype))
        return self.dtypes.get(name)

    def fresh(self, base: str) -> str:
        """A name nobody uses, `base` itself if free."""
        name, count = base, self._counters.get(base, 0)
        while self._taken(name):
            count += 1
            name = f"{base}_{count}"
        self._counters[base] = count
        return name

    def _taken(self, name: str) -> bool:
        return (
            not name
            or name in self._producer
            or name in self.constants
            or name in self.inputs
            or name in self.outputs
            or bool(self._users.get(name))
        )

    def constant(self, base: str, values: Any) -> str:
        """Store an array under a free name made from `base`; gives the name."""
        name = self.fresh(base)
        self.constants[name] = np.asarray(values)
        return name

    # --------------------------------------------------------------- read, write

    @staticmethod
    def read(model: Any) -> Graph:
        """Working form of `model`, whose parts must be sound (see `intake.check`)."""
        import onnx

        graph = Graph()
        graph.name = model.graph.name or "edgepress"
        graph.metadata = {p.key: p.value for p in model.metadata_props}
        graph.domains = {
            ("" if o.domain == "ai.onnx" else o.domain): o.version for o in model.opset_import
        }
        graph.functions = list(model.functions)
        for tensor in model.graph.initializer:
            graph.constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
        graph.inputs = [i.name for i in model.graph.input if i.name not in graph.constants]
        graph.outputs = [o.name for o in model.graph.output]
        for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
            graph.learn(value)
        for proto in model.graph.node:
            graph.add(node_from_proto(proto))
        graph._split_doubled_outputs()
        return graph

    def _split_doubled_outputs(self) -> None:
        """Inputs and constants given back, and values given back twice, get an Identity as their writer."""
        for index, name in enumerate(self.outputs):
            if name in self.outputs[:index] or self.producer(name) is None:
                again = self.fresh(f"{name}_output")
                self.add(make_node("Identity", [name], [again]))
                self.outputs[index] = again
                dtype = self.dtype(name)
                if dtype is not None:
                    self.dtypes[again] = dtype

    def learn(self, value: Any) -> None:
        """Take dtype and static shape from a ValueInfoProto."""
        if not value.type.HasField("tensor_type"):
            return
        tensor = value.type.tensor_type
        if tensor.elem_type:
            self.dtypes[value.name] = tensor.elem_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            self.shapes[value.name] = tuple(d.dim_value for d in dims)

    def sorted_nodes(self) -> list[Node]:
        """Nodes in a stable topological order: each after what it reads, else as they were added.

        Raises:
            InputError: the graph has a cycle.
        """
        order: list[Node] = []
        state: dict[Node, int] = {}
        for root in self.nodes:
            stack = [root]
            while stack:
                node = stack[-1]
                if state.get(node) == 2:
                    stack.pop()
                    continue
                sources = [s for s in map(self.producer, node.reads()) if s and state.get(s) != 2]
                if not sources:
                    state[node] = 2
                    order.append(stack.pop())
                    continue
                state[node] = 1
                looped = next((s for s in sources if state.get(s) == 1), None)
                if looped is not None:
                    raise InputError(
                        f"the graph has a cycle through {node.op} '{node.name}'",
                        where=looped.name,
                        hint="an ONNX graph must be acyclic; export the model again",
                    )
                stack.extend(reversed(sources))
        return order

    def write(self) -> Any:
        """A new ModelProto (IR 10) with everything this graph holds, in topological order."""
        import onnx

        nodes = self.sorted_nodes()
        model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="edgepress")
        for domain, version in sorted(self.domains.items()):
            model.opset_import.add(domain=domain, version=version)
        for key, text in sorted(self.metadata.items()):
            model.metadata_props.add(key=key, value=text)
        model.functions.extend(self.functions)
        model.graph.name = self.name
        model.graph.node.extend(proto_from_node(node) for node in nodes)
        read = {name for node in nodes for name in node.reads()} | set(self.outputs)
        for name, values in self.constants.items():
            if name in read:
                model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        model.graph.input.extend(self.value(name) for name in self.inputs)
        model.graph.output.extend(self.value(name) for name in self.outputs)
        skip = {*self.inputs, *self.outputs, *self.constants}
        for node in nodes:
            for name in node.outputs:
                if name and name not in skip and name in self.dtypes and name in self.shapes:
                    model.graph.value_info.append(self.value(name))
        return model

    def value(self, name: str) -> Any:
        """ValueInfoProto of `name` as far as its type is known."""
        import onnx

        dtype = self.dtypes.get(name, onnx.TensorProto.FLOAT)
        return onnx.helper.make_tensor_value_info(name, dtype, self.shapes.get(name))
