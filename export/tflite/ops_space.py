"""Operators that repeat values or trade channels for space: Expand, Tile, DepthToSpace, SpaceToDepth."""

from __future__ import annotations

from .absorb import Int8Test, always
from .context import Lowering
from .layout import NEW, channels_last, expand_order, physical_shape
from .neutral import Node
from .operands import known, moved, pass_on


def repeat(low: Lowering, node: Node) -> None:
    """Lower an Expand or Tile: TILE, after a RESHAPE where the result has more axes."""
    name, out = node.inputs[0], node.outputs[0]
    shape, target = low.value(name).shape, low.value(out).shape
    if node.operator == "Tile":
        known(low, node, 1, "repeats")
    order = low.order_of(name)
    index = moved(low, node, name, order, low.quantization(out))
    missing = len(target) - len(shape)
    if missing:
        order = expand_order(order, missing)
        wider = physical_shape((1,) * missing + shape, order)
        made = low.temporary(node, "wider", wider)
        low.reshape_into(node, index, made)
        index = made
    whole = (1,) * missing + shape
    counts = [1 if axis == NEW else target[axis] // whole[axis] for axis in order]
    if all(count == 1 for count in counts):
        pass_on(low, node, index, order)
    else:
        low.emit_result(node, "TILE", [index, low.integers(counts)], order)


def depth_to_space(low: Lowering, node: Node) -> None:
    """Lower a DepthToSpace: DEPTH_TO_SPACE takes blocks first (DCR); channels first (CRD) is turned."""
    block = int(node.attributes["blocksize"])
    order = channels_last(4)
    index = moved(low, node, node.inputs[0], order, low.quantization(node.outputs[0]))
    if node.attributes.get("mode", "DCR") == "DCR":
        low.emit_result(node, "DEPTH_TO_SPACE", [index], order, {"block_size": block})
        return
    n, h, w, c = low.model.tensors[index].shape
    inner = c // (block * block)
    split = low.temporary(node, "blocks", (n * h, w, inner, block, block))
    low.reshape_into(node, index, split)
    turned = low.temporary(node, "turned", (n * h, block, w, block, inner))
    low.emit(node, "TRANSPOSE", [split, low.integers([0, 3, 1, 4, 2])], [turned])
    low.reshape_into(node, turned, low.result(node.outputs[0], order))


def space_to_depth(low: Lowering, node: Node) -> None:
    """Lower a SpaceToDepth; both orders of blocks and channels agree."""
    order = channels_last(4)
    index = moved(low, node, node.inputs[0], order, low.quantization(node.outputs[0]))
    options = {"block_size": int(node.attributes["blocksize"])}
    low.emit_result(node, "SPACE_TO_DEPTH", [index], order, options)


LOWERINGS = {
    "Expand": repeat,
    "Tile": repeat,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}

INT8: dict[str, Int8Test] = {name: always for name in LOWERINGS}
