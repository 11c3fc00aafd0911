"""A graph with Q/DQ pairs -> the float graph and the `QuantPlan` that holds every number of the pairs.

The inverse of `qdq.apply`: integers of weights and biases, scales and zero points pass unchanged, except that
uint8 becomes int8 by the exact shift q - 128, z - 128. What a foreign exporter wrote thus gets the one form the
hub has. Between operators that hand values on (slice after slice) the parameters are passed on too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...compress.quantization.qparams import QParams
from ...compress.quantization.records import QuantizedConstant, QuantPlan
from ...compress.quantization.rules import FUSED_ACTIVATIONS, OutputRule, by_onnx
from ...runtime.errors import InputError
from .graph import Array, Graph, Node


@dataclass
class SplitPlan:
    """Parameters by place (node and slot, or input name), so that renaming keeps them; see `named`."""

    inputs: dict[str, QParams] = field(default_factory=dict)
    outputs: dict[tuple[Node, int], QParams] = field(default_factory=dict)
    constants: dict[tuple[Node, int], QuantizedConstant] = field(default_factory=dict)
    edges: dict[tuple[Node, int], tuple[QParams, str]] = field(default_factory=dict)

    def named(self, observer: str = "") -> QuantPlan:
        """The plan under the names the graph has now."""
        activations = dict(self.inputs)
        activations.update({node.outputs[i]: q for (node, i), q in self.outputs.items()})
        return QuantPlan(
            activations=activations,
            constants={node.inputs[i]: c for (node, i), c in self.constants.items()},
            requantize={(node.name, i): edge for (node, i), edge in self.edges.items()},
            observer=observer,
        )


def split(graph: Graph) -> SplitPlan:
    """Take all Q/DQ pairs out of `graph` (in place); its layers then hold float constants.

    Raises `InputError` for a Q without DQ, for parameters that are no constants, and for 4-bit or float8 types.
    """
    plan = SplitPlan()
    for node in graph.sorted_nodes():
        if node.op == "DequantizeLinear" and node.inputs[0] in graph.constants:
            _constant(graph, node, plan)
        elif node.op == "QuantizeLinear" and node.inputs[0] in graph.constants:
            _quantized_constant(graph, node, plan)
        elif node.op == "QuantizeLinear" and node in graph.nodes:
            _pair(graph, node, plan)
    left = [n.name for n in graph.nodes if n.op in ("QuantizeLinear", "DequantizeLinear")]
    if left:
        raise InputError("a QuantizeLinear or DequantizeLinear stands alone", where=left[0])
    _pass_on(graph, plan)
    return plan


def parameters(graph: Graph, node: Node, rank: int) -> tuple[QParams, int]:
    """int8 or int32 parameters of a Q or DQ node, and the shift that takes its integers there."""
    scale = graph.constants.get(node.inputs[1])
    zero = graph.constants.get(node.input(2))
    if scale is None or zero is None or zero.dtype.name not in ("int8", "uint8", "int32"):
        raise InputError(
            "scale and zero point must be constants of int8, uint8 or int32",
            where=node.name,
            hint="quantize to 8 bits",
        )
    shift = -128 if zero.dtype == np.uint8 else 0
    scales = np.atleast_1d(scale).astype(np.float32)
    zeros = np.broadcast_to(np.atleast_1d(zero).astype(np.int64) + shift, scales.shape)
    axis = int(node.get("axis", 1)) % rank if scale.ndim and rank else None
    bits = 32 if zero.dtype == np.int32 else 8
    return QParams(tuple(scales.tolist()), tuple(zeros.tolist()), bits, axis=axis), shift


def _constant(graph: Graph, node: Node, plan: SplitPlan) -> None:
    """DQ of integers: each reader gets float values of its own, and the plan the integers."""
    stored = graph.constants[node.inputs[0]]
    qparams, shift = parameters(graph, node, stored.ndim)
    values = (stored.astype(np.int64) + shift).astype(np.int32 if qparams.bits == 32 else np.int8)
    _store(graph, node, QuantizedConstant(values, qparams), plan)


def _quantized_constant(graph: Graph, node: Node, plan: SplitPlan) -> None:
    """Q then DQ of a float constant: made integers here as onnxruntime makes them."""
    (reader,) = graph.users(node.outputs[0])
    values = graph.constants[node.inputs[0]]
    qparams, _ = parameters(graph, node, values.ndim)
    integers = qparams.quantize(values).astype(np.int8)
    graph.remove(node)
    _store(graph, reader, QuantizedConstant(integers, qparams), plan)


def _store(graph: Graph, node: Node, constant: QuantizedConstant, plan: SplitPlan) -> None:
    target = node.outputs[0]
    real: Array = constant.qparams.dequantize(constant.values)
    graph.remove(node)
    for user in graph.users(target):
        for index in [i for i, name in enumerate(user.inputs) if name == target]:
            place = _layer_constant(user, index, constant)
            graph.set_input(user, index, graph.constant(f"{target}.real", real))
            plan.constants[user, index] = place


def _layer_constant(user: Node, index: int, constant: QuantizedConstant) -> QuantizedConstant:
    """Weights and biases are per channel even with one channel, and weights are narrow (no -128)."""
    qparams, values = constant.qparams, constant.values
    is_layer = user.op in ("Conv", "ConvTranspose", "Gemm") and index in (1, 2)
    if not is_layer:
        return constant
    axis = 1 if user.op == "ConvTranspose" and index == 1 else 0
    if qparams.axis is None and values.shape[axis] == 1:
        qparams = QParams(qparams.scale, qparams.zero_point, qparams.bits, axis=axis)
    narrow = index == 1 and not np.any(qparams.zero_point) and bool((values != -128).all())
    return QuantizedConstant(
        values, QParams(qparams.scale, qparams.zero_point, qparams.bits, True, narrow, qparams.axis)
    )


def _pair(graph: Graph, node: Node, plan: SplitPlan) -> None:
    """Q and its DQs of a computed value: the value keeps its name, the parameters go to the plan."""
    qparams, _ = parameters(graph, node, 0)
    readers = graph.users(node.outputs[0])
    if not readers or any(r.op != "DequantizeLinear" for r in readers):
        raise InputError(
            "what follows QuantizeLinear must be DequantizeLinear",
            where=node.name,
            hint="keep Q and DQ in pairs and 8 bits wide",
        )
    source = node.inputs[0]
    writer = graph.producer(source)
    place = None if writer is None else (writer, writer.outputs.index(source))
    known = plan.inputs.get(source) if place is None else plan.outputs.get(place)
    for reader in readers:
        _bypass(graph, reader, source, None if known in (None, qparams) else qparams, plan)
    graph.remove(node)
    if known is not None:
        return
    if place is None:
        plan.inputs[source] = qparams
    else:
        plan.outputs[place] = qparams


def _bypass(
    graph: Graph, reader: Node, source: str, other: QParams | None, plan: SplitPlan
) -> None:
    """Let what read the DQ read `source`; `other` is set where it wants parameters of its own."""
    target = reader.outputs[0]
    graph.remove(reader)
    for user in graph.users(target):
        for index in [i for i, name in enumerate(user.inputs) if name == target]:
            if other is not None:
                plan.edges[user, index] = (
                    other,
                    f"{user.op} needs its inputs under one scale and this one has another",
                )
            graph.set_input(user, index, source)
    if target in graph.outputs:
        writer = graph.producer(source)
        if writer is None or source in graph.outputs or other is not None:
            raise InputError("a graph output needs a tensor of its own", where=target)
        graph.rename_output(writer, writer.outputs.index(source), target)


def _pass_on(graph: Graph, plan: SplitPlan) -> None:
    """Operators that hand values on give their output the parameters of their input."""
    for node in graph.sorted_nodes():
        rule = by_onnx(node.op)
        if rule is None or rule.output is not OutputRule.SAME_AS_INPUT or node.domain:
            continue
        source = node.inputs[0]
        writer = graph.producer(source)
        known = (
            plan.inputs.get(source)
            if writer is None
            else plan.outputs.get((writer, writer.outputs.index(source)))
        )
        users = graph.users(node.outputs[0])
        fused = len(users) == 1 and users[0].op in FUSED_ACTIVATIONS
        for index in range(len(node.outputs)):
            if known is not None and (node, index) not in plan.outputs and not fused:
                plan.outputs[node, index] = known


def integers(plan: QuantPlan) -> Mapping[str, Any]:
    """Integer constants of a plan by name, for comparisons."""
    return {name: constant.values for name, constant in plan.constants.items()}
