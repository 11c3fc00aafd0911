"""Pad: PAD with zero, PADV2 with another value, MIRROR_PAD to reflect; edge and wrap pick their rows by GATHER."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .absorb import Int8Test, always
from .context import Lowering, lite_quantization
from .layout import NEW, Order
from .neutral import Node
from .operands import known, moved, pass_on
from .ops_slice import gather_axis

LARGEST_RANK = 5

Pairs = list[tuple[int, int]]


def pad(low: Lowering, node: Node) -> None:
    """Lower a Pad with constant pads; negative pads (which crop) are refused."""
    name, out = node.inputs[0], node.outputs[0]
    pairs = _pairs(low, node, len(low.value(name).shape))
    mode = node.attributes.get("mode", "constant")
    order = low.order_of(name)
    index = moved(low, node, name, order, low.quantization(out))
    if not any(before or after for before, after in pairs):
        pass_on(low, node, index, order)
        return
    if mode in ("edge", "wrap"):
        _pick(low, node, index, order, pairs, mode)
        return
    if len(order) > LARGEST_RANK:
        raise low.unsupported(node, f"a tensor of {len(order)} axes", "use at most 5 axes")
    physical = [(0, 0) if axis == NEW else pairs[axis] for axis in order]
    inputs = [index, low.integers(np.asarray(physical, np.int32))]
    if mode == "reflect":
        low.emit_result(node, "MIRROR_PAD", inputs, order, {"mode": "REFLECT"})
    elif mode == "constant":
        _constant(low, node, inputs, order)
    else:
        raise low.unsupported(node, f"mode {mode!r}", "use constant, reflect, edge or wrap")


def _pairs(low: Lowering, node: Node, rank: int) -> Pairs:
    """(before, after) of each ONNX axis."""
    pads = known(low, node, 1, "pads")
    axes = known(low, node, 3, "axes")
    chosen = range(rank) if axes is None else [int(a) % rank for a in axes]
    pairs = [(0, 0)] * rank
    if pads is not None:
        half = len(pads) // 2
        for position, axis in enumerate(chosen):
            pairs[axis] = (int(pads[position]), int(pads[position + half]))
    if any(n < 0 for pair in pairs for n in pair):
        raise low.unsupported(node, "negative pads", "crop with a slice instead")
    return pairs


def _constant(low: Lowering, node: Node, inputs: list[int], order: Order) -> None:
    out = node.outputs[0]
    values = known(low, node, 2, "pad value")
    number = 0.0 if values is None else float(values[0])
    if number == 0.0:
        low.emit_result(node, "PAD", inputs, order)
        return
    params = low.quantization(out)
    if params is None:
        fill = low.constant(f"{out}/fill", np.asarray([number], low.value(out).dtype))
    else:
        reach = params.dequantize(np.asarray([-128, 127]))
        if not reach[0] <= number <= reach[1]:
            low.notes.append(
                (out, f"the pad value {number:g} is beyond the int8 range and saturates")
            )
        data = params.quantize(np.asarray([number], np.float32)).astype(np.int8)
        fill = low.constant(f"{out}/fill", data, lite_quantization(params))
    low.emit_result(node, "PADV2", [*inputs, fill], order)


def _pick(
    low: Lowering, node: Node, index: int, order: Order, pairs: Sequence[tuple[int, int]], mode: str
) -> None:
    """Repeat border rows (edge) or rows of the other end (wrap), one GATHER for each padded axis."""
    shape = list(low.model.tensors[index].shape)
    padded = [i for i, axis in enumerate(order) if axis != NEW and any(pairs[axis])]
    for place in padded:
        before, after = pairs[order[place]]
        rows = np.arange(-before, shape[place] + after)
        picks = np.clip(rows, 0, shape[place] - 1) if mode == "edge" else rows % shape[place]
        shape[place] += before + after
        if place == padded[-1]:
            made = low.result(node.outputs[0], order)
        else:
            made = low.temporary(node, f"axis{place}", tuple(shape))
        gather_axis(low, node, index, place, picks.tolist(), made)
        index = made


LOWERINGS = {"Pad": pad}

INT8: dict[str, Int8Test] = {"Pad": always}
