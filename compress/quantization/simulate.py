"""A float model that computes what a plan, or a part of it, would compute: for measuring, never for writing.

Weights and biases are replaced by the real values of their integers, activations pass a QuantizeLinear and a
DequantizeLinear. Unlike `export/onnx/qdq.py`, which writes whole plans for engines, any set of nodes can be taken, as
if all others were kept float; and layers can be looked at before their output is rounded.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import GraphView, NodeView
from .qparams import QParams
from .records import QuantPlan
from .tying import constant_key

if TYPE_CHECKING:
    from onnx import ModelProto


def simulated(
    hub: ModelProto, view: GraphView, plan: QuantPlan, nodes: Collection[str] | None = None
) -> ModelProto:
    """The float hub with the quantization of `nodes` (default: all that the plan has on integers) imitated.

    A chosen node reads rounded inputs and constants; its output is rounded for everybody. What no chosen node
    touches stays as it is. Tensors keep their names and their values before rounding.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(hub)
    if nodes is None:
        nodes = {n.name for n in view.nodes if n.name not in plan.float_nodes}
    _Writer(model, view, plan, frozenset(nodes)).write()
    return model


class _Writer:
    """Rewrites one copy of the hub."""

    def __init__(self, model: ModelProto, view: GraphView, plan: QuantPlan, nodes: frozenset[str]):
        self.graph, self.view, self.plan, self.chosen = model.graph, view, plan, nodes
        self.nodes: list[Any] = []
        self.rounded: dict[str, str] = {}  # tensor -> its rounded value, for everybody
        self.edges: dict[tuple[str, QParams], str] = {}  # rounded for those who ask
        self.made: dict[str, np.ndarray[Any, Any]] = {}

    def write(self) -> None:
        from onnx import numpy_helper

        for proto, node in zip(list(self.graph.node), self.view.nodes, strict=True):
            self._read(proto, node)
            self.nodes.append(proto)
            if node.name in self.chosen:
                self._round_outputs(proto)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        for name, values in self.made.items():
            self.graph.initializer.append(numpy_helper.from_array(values, name))

    def _read(self, proto: Any, node: NodeView) -> None:
        for index, name in enumerate(node.inputs):
            if not name:
                continue
            if name in self.view.constants:
                proto.input[index] = self._constant(name, node)
                continue
            source = self.rounded.get(name, name)
            if node.name in self.chosen and name in self.plan.activations:
                source = self._edge(name, source, self.plan.activations[name])
                wanted = self.plan.requantize.get((node.name, index))
                if wanted is not None:
                    source = self._edge(name, source, wanted[0])
            proto.input[index] = source

    def _edge(self, name: str, source: str, params: QParams) -> str:
        """`source`, rounded once; values that are rounded under `params` already stay."""
        if self.rounded.get(name) == source and params == self.plan.activations[name]:
            return source
        if (source, params) not in self.edges:
            self.edges[source, params] = self._pair(source, params, f"{source}/r{len(self.edges)}")
        return self.edges[source, params]

    def _round_outputs(self, proto: Any) -> None:
        """Everybody behind reads the rounded value; a graph output keeps its name for the rounded one."""
        for index, name in enumerate(list(proto.output)):
            params = self.plan.activations.get(name)
            if params is None:
                continue
            if name in self.view.outputs:
                proto.output[index] = f"{name}/unrounded"
                self._pair(proto.output[index], params, name)
                self.rounded[name] = name
            else:
                self.rounded[name] = self._pair(name, params, f"{name}/rounded")

    def _pair(self, source: str, params: QParams, target: str) -> str:
        from onnx import helper

        scale, zero = f"{target}/s", f"{target}/z"
        self.made[scale] = np.asarray(params.scale[0], np.float32)
        self.made[zero] = np.asarray(params.zero_point[0], np.int8)
        middle = f"{target}/q"
        self.nodes.append(helper.make_node("QuantizeLinear", [source, scale, zero], [middle]))
        self.nodes.append(helper.make_node("DequantizeLinear", [middle, scale, zero], [target]))
        return target

    def _constant(self, name: str, node: NodeView) -> str:
        """The name of the constant's rounded values for a chosen node."""
        if node.name not in self.chosen:
            return name
        held = self.plan.constants.get(constant_key(name, node), self.plan.constants.get(name))
        if held is None:
            return name
        target = f"{constant_key(name, node)}/rounded"
        self.made[target] = held.qparams.dequantize(held.values)
        return target
