"""Read-only view of a hub model for the planner: nodes, constants, shapes, who makes and who reads a tensor.

The planner decides on this view and never changes the model; `export/onnx/qdq.py` writes what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError

Array = NDArray[Any]

WEIGHTED = ("Conv", "ConvTranspose", "Gemm")
"""Operators with a weight at input 1 and perhaps a bias at input 2."""

FUSING = frozenset((*WEIGHTED, "MatMul", "Add", "Sub", "Mul", "MaxPool", "AveragePool"))
"""Operators whose int8 kernels apply a following Relu or Clip themselves."""

FUSED_RANGES = ((0.0, 6.0), (-1.0, 1.0))
"""Bounds of a Clip that int8 kernels can apply (ReLU6 and ReLU_N1_TO_1)."""

_REAL_INPUTS: dict[str, tuple[int, ...]] = {
    "Conv": (0,),
    "ConvTranspose": (0,),
    "Gemm": (0,),
    "Clip": (0,),
    "Resize": (0,),
}
"""Inputs that carry activations (or constants stored like them), where not all float inputs do."""


@dataclass(frozen=True, eq=False)
class NodeView:
    """One operator; an omitted optional input is the empty string."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    proto: Any = field(repr=False, default=None)

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """Attribute values by name; text as str, lists as tuples."""
        from onnx import helper

        return {a.name: _plain(helper.get_attribute_value(a)) for a in self.proto.attribute}

    def input(self, index: int) -> str:
        """Input `index`, or "" where it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else ""


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (int, float, str)) or hasattr(value, "SerializeToString"):
        return value
    return tuple(value)


class GraphView:
    """A model's main graph. All tables are keyed by tensor name."""

    def __init__(self, model: Any):
        from onnx import numpy_helper

        graph = model.graph
        self.constants: dict[str, Array] = {
            t.name: numpy_helper.to_array(t) for t in graph.initializer
        }
        self.inputs = tuple(i.name for i in graph.input if i.name not in self.constants)
        self.outputs = tuple(o.name for o in graph.output)
        self.nodes = tuple(
            NodeView(
                proto.name or proto.output[0],
                proto.op_type,
                "" if proto.domain == "ai.onnx" else proto.domain,
                tuple(proto.input),
                tuple(proto.output),
                proto,
            )
            for proto in graph.node
        )
        self.by_name = {node.name: node for node in self.nodes}
        if len(self.by_name) != len(self.nodes):
            raise InputError(
                "node names are not unique", hint="bring the model into hub form first"
            )
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.types: dict[str, str] = {name: c.dtype.name for name, c in self.constants.items()}
        for value in (*graph.input, *graph.value_info, *graph.output):
            self._learn(value)
        self.producer = {name: node for node in self.nodes for name in node.outputs if name}
        self.consumers: dict[str, list[tuple[NodeView, int]]] = {}
        for node in self.nodes:
            for index, name in enumerate(node.inputs):
                if name:
                    self.consumers.setdefault(name, []).append((node, index))
        self._check_types()

    def _learn(self, value: Any) -> None:
        from onnx import helper

        tensor = value.type.tensor_type
        if tensor.elem_type:
            self.types[value.name] = np.dtype(
                helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            ).name
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            self.shapes[value.name] = tuple(d.dim_value for d in dims)

    def _check_types(self) -> None:
        for name in (*self.inputs, *self.producer):
            if name not in self.types or name not in self.shapes:
                raise InputError(
                    "type or static shape is unknown",
                    where=f"tensor {name!r}",
                    hint="bring the model into hub form first: static shapes, batch 1",
                )

    def shape(self, name: str) -> tuple[int, ...]:
        """Static shape of a constant or value."""
        constant = self.constants.get(name)
        return self.shapes[name] if constant is None else tuple(constant.shape)

    def is_real(self, name: str) -> bool:
        """True for a float32 tensor, constant or not."""
        return self.types.get(name) == "float32"

    def is_activation(self, name: str) -> bool:
        """True for a float32 tensor computed or fed at run time."""
        return bool(name) and name not in self.constants and self.is_real(name)

    def is_used(self, name: str) -> bool:
        """True if a node reads `name` or it is a graph output."""
        return name in self.consumers or name in self.outputs

    def real_inputs(self, node: NodeView) -> list[tuple[int, str]]:
        """(index, name) of the inputs whose values are quantized like activations.

        Weights and biases, bounds of Clip and scales of Resize are not among them; float constants of
        elementwise operators, Concat, Pad and the like are.
        """
        chosen = _REAL_INPUTS.get(node.op, tuple(range(len(node.inputs))))
        if node.op == "MatMul" and node.input(1) in self.constants:
            chosen = (0,)
        return [
            (i, node.inputs[i]) for i in chosen if node.input(i) and self.is_real(node.inputs[i])
        ]

    def real_outputs(self, node: NodeView) -> list[str]:
        """float32 outputs that somebody reads."""
        return [name for name in node.outputs if name and self.is_real(name) and self.is_used(name)]

    def has_weight(self, node: NodeView) -> bool:
        """True if input 1 is a constant weight with parameters of its own per channel."""
        if node.op in WEIGHTED:
            return node.input(1) in self.constants
        return node.op == "MatMul" and node.input(1) in self.constants

    def clip_bounds(self, node: NodeView) -> tuple[float, float] | None:
        """(low, high) of a Relu or Clip, infinite where open; None for other nodes or computed bounds."""
        if node.op == "Relu":
            return 0.0, float("inf")
        if node.op != "Clip":
            return None
        bounds = [-float("inf"), float("inf")]
        for position in (1, 2):
            name = node.input(position)
            if name and name not in self.constants:
                return None
            if name:
                bounds[position - 1] = float(self.constants[name].reshape(()))
        return bounds[0], bounds[1]

    def fused_into(self, node: NodeView) -> NodeView | None:
        """The compute node that a Relu or Clip is part of in an int8 kernel, else None."""
        bounds = self.clip_bounds(node)
        if bounds is None or (node.op == "Clip" and bounds not in FUSED_RANGES):
            return None
        source = node.inputs[0]
        before = self.producer.get(source)
        if before is None or before.op not in FUSING or before.domain:
            return None
        alone = len(self.consumers[source]) == 1 and source not in self.outputs
        return before if alone else None

    def fused_activation(self, node: NodeView) -> NodeView | None:
        """The Relu or Clip that follows `node` inside one int8 kernel, else None."""
        readers = self.consumers.get(node.outputs[0], []) if node.op in FUSING else []
        if len(readers) != 1:
            return None
        return readers[0][0] if self.fused_into(readers[0][0]) is node else None

    def is_global_pool(self, node: NodeView) -> bool:
        """True for a mean over all of the spatial axes: its int8 kernel may change the scale."""
        if node.op == "GlobalAveragePool":
            return True
        if node.op != "AveragePool" or any(node.attributes.get("pads", ())):
            return False
        spatial = self.shape(node.inputs[0])[2:]
        return tuple(node.attributes["kernel_shape"]) == spatial
