"""Concat and Split along any axis, wherever that axis lies in memory."""

from __future__ import annotations

from .absorb import Int8Test, always
from .context import Lowering
from .layout import Order, physical_axis
from .neutral import Node, same_parameters
from .operands import first_order, known, moved, pass_on
from .ops_slice import emit_slice


def concat(low: Lowering, node: Node) -> None:
    """Lower a Concat; in int8 every part is brought to the output's parameters."""
    out = node.outputs[0]
    rank = len(low.value(out).shape)
    order = first_order(low, node)
    params = low.quantization(out)
    names = [name for name in node.inputs if 0 not in low.value(name).shape]
    parts = [moved(low, node, name, order, params) for name in names]
    if len(parts) == 1:
        pass_on(low, node, parts[0], order)
        return
    options = {
        "axis": physical_axis(order, int(node.attributes["axis"]), rank),
        "fused_activation_function": "NONE",
    }
    low.emit_result(node, "CONCATENATION", parts, order, options)


def split(low: Lowering, node: Node) -> None:
    """Lower a Split: SPLIT into equal parts, SPLIT_V otherwise, SLICE where one part is read alone."""
    name = node.inputs[0]
    shape, order = low.value(name).shape, low.order_of(name)
    axis = int(node.attributes.get("axis", 0)) % len(shape)
    known(low, node, 1, "part sizes")
    sizes = [low.value(out).shape[axis] for out in node.outputs]
    used = [position for position, out in enumerate(node.outputs) if _is_read(low, out)]
    if len(used) == 1:
        _one_part(low, node, used[0], axis, sizes)
        return
    index = low.natural(name)
    lies = physical_axis(order, axis, len(shape))
    made = [_part(low, node, position, order) for position in range(len(node.outputs))]
    options = {"num_splits": len(sizes)}
    if len(set(sizes)) == 1:
        low.emit(node, "SPLIT", [low.integers(lies), index], [m for m, _ in made], options)
    else:
        inputs = [index, low.integers(sizes), low.integers(lies)]
        low.emit(node, "SPLIT_V", inputs, [m for m, _ in made], options)
    for raw, final in made:
        if raw != final:
            low.emit(node, "QUANTIZE", [raw], [final], version=2)
            reason = f"node {node.name!r}: Split needs one scale throughout"
            low.extra_quantize.append((low.model.tensors[final].name, reason))


def _is_read(low: Lowering, name: str) -> bool:
    return bool(name) and (name in low.consumers or name in low.graph.outputs)


def _part(low: Lowering, node: Node, position: int, order: Order) -> tuple[int, int]:
    """(tensor that SPLIT writes, tensor of the output): two where parameters differ."""
    out = node.outputs[position]
    final = low.result(out, order)
    source = low.quantization(node.inputs[0])
    if source is None or same_parameters(source, low.quantization(out)):
        return final, final
    shape = low.model.tensors[final].shape
    return low.temporary(node, f"part{position}", shape, params=source), final


def _one_part(low: Lowering, node: Node, position: int, axis: int, sizes: list[int]) -> None:
    out = node.outputs[position]
    alone = Node(node.name, node.operator, node.inputs[:1], (out,), int8=node.int8)
    rank = len(low.value(node.inputs[0]).shape)
    begin = [0] * rank
    begin[axis] = sum(sizes[:position])
    emit_slice(low, alone, begin, list(low.value(out).shape))


LOWERINGS = {"Concat": concat, "Split": split}

INT8: dict[str, Int8Test] = {name: always for name in LOWERINGS}
