"""Nodes of domain "lce" to Larq Compute Engine's custom operators; `lce_graph.py` makes the nodes.

Options are those of LCE's kernels (flexbuffer maps of integers): padding SAME 0, VALID 1; pad_values 0 or 1;
fused_activation_function NONE 0. Filters lie [outputs, rows, columns, words], packed as activations are.

Borders of +1 are SAME with pad_values 1 where TensorFlow's SAME has the same pads, else zero words put around the
bits (bit 0 is +1). Borders of -1, and of channels stored inverted, are words put around. Borders of 0 are no bits:
only SAME with pad_values 0 has them, so other pads go through a larger window and a slice (`zero_borders`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .context import Lowering
from .ir import LiteTensor
from .layout import channels_last, identity
from .lce_bits import pack_words
from .lce_graph import LCE
from .lce_window import ZeroBorders, output_size, zero_borders
from .neutral import Array, Node
from .window import Window, read_window

SAME, VALID = 0, 1

_IMAGE = channels_last(4)


def quantize(low: Lowering, node: Node) -> None:
    """LceQuantize: float32, or int8 against its zero point."""
    name = node.inputs[0]
    shape = low.value(name).shape
    if node.attributes["rows"]:
        index = low.ordered(name, identity(len(shape)))
        target = (1, 1, int(np.prod(shape[:-1])), shape[-1])
    else:
        index = low.ordered(name, channels_last(len(shape)))
        batch, high, wide, channels = low.model.tensors[index].shape
        target = (batch, high, wide, channels)
    index = _reshaped(low, node, index, target)
    final = low.result(node.outputs[0], _IMAGE)
    emit(low, node, "LceQuantize", [index], [final])


def max_pool(low: Lowering, node: Node) -> None:
    """LceBMaxPool2d; its padding never wins: it is left out (SAME) or all ones, that is -1."""
    source = low.value(node.inputs[0])
    pool = Node(node.name, "MaxPool", node.inputs, node.outputs, _two_axes(node.attributes), LCE)
    shape = low.value(node.outputs[0]).shape
    window = read_window(low, pool, pool.attributes["kernel_shape"], shape[2:])
    index = low.ordered(node.inputs[0], _IMAGE)
    padding = {"SAME": SAME, "VALID": VALID}.get(window.padding or "", -1)
    if padding < 0:
        filler = np.full(source.shape[1], -1, np.int32)
        index, padding = _surround(low, node, index, window, filler), VALID
    options = {
        "padding": padding,
        "stride_width": window.stride[1],
        "stride_height": window.stride[0],
        "filter_width": window.kernel[1],
        "filter_height": window.kernel[0],
    }
    emit(low, node, "LceBMaxPool2d", [index], [low.result(node.outputs[0], _IMAGE)], options)


def _two_axes(attributes: dict[str, Any]) -> dict[str, Any]:
    """A pool over one axis as one over two."""
    if len(attributes["kernel_shape"]) == 2:
        return attributes
    found = dict(attributes)
    for key in ("kernel_shape", "strides", "dilations"):
        if attributes.get(key):
            found[key] = [1, *attributes[key]]
    pads = attributes.get("pads")
    if pads:
        found["pads"] = [0, pads[0], 0, pads[1]]
    return found


def convolution(low: Lowering, node: Node) -> None:
    """LceBconv2d, to float32 with multiplier and bias or to bits with thresholds."""
    signs: Array = node.attributes["signs"]
    source = low.value(node.inputs[0]).shape
    pads = node.attributes["pads"]
    window = Window(
        (source[2], source[3]),
        (signs.shape[2], signs.shape[3]),
        node.attributes["strides"],
        node.attributes["dilations"],
        pads[:2],
        pads[2:],
    )
    index = low.ordered(node.inputs[0], _IMAGE)
    padding, pad_values, borders = VALID, 0, None
    if node.attributes["fill"] and any(pads):
        filler = pack_words(node.attributes["fill"] * node.attributes["fill_turn"])
        if window.padding == "SAME" and not filler.any():
            padding, pad_values = SAME, 1
        else:
            index = _surround(low, node, index, window, filler)
    elif any(pads):
        borders = zero_borders(window)
        assert borders is not None, "such layers are expanded before"
        index = _extended(low, node, index, borders)
        padding = SAME
    options = {
        "channels_in": signs.shape[1] * node.attributes["group"],
        "dilation_height_factor": window.dilation[0],
        "dilation_width_factor": window.dilation[1],
        "fused_activation_function": 0,
        "pad_values": pad_values,
        "padding": padding,
        "stride_height": borders.stride[0] if borders else window.stride[0],
        "stride_width": borders.stride[1] if borders else window.stride[1],
    }
    size = borders.made if borders else output_size(window)
    _emit_convolution(low, node, index, options, size, borders)


def _emit_convolution(
    low: Lowering,
    node: Node,
    index: int,
    options: dict[str, int],
    size: tuple[int, int],
    borders: ZeroBorders | None,
) -> None:
    """The operator, and what brings its result into the value's own shape."""
    attributes = node.attributes
    filters = pack_words(attributes["signs"].transpose(0, 2, 3, 1))
    inputs = [index, low.constant(f"{node.name}/filter", filters), -1, -1, -1]
    name = node.outputs[0]
    packed = "threshold" in attributes
    if packed:
        inputs[4] = low.constant(f"{node.name}/threshold", attributes["threshold"])
    else:
        inputs[2] = low.constant(f"{node.name}/multiplier", attributes["scale"])
        inputs[3] = low.constant(f"{node.name}/bias", attributes["bias"])
    value = low.value(name)
    order = _IMAGE if packed else channels_last(len(value.shape))
    if attributes["rows"] and not packed:
        order = identity(len(value.shape))
    final = low.result(name, order)
    batch = low.model.tensors[index].shape[0]
    last = value.shape[1] if packed else len(attributes["signs"])
    made = (batch, *size, last)
    shape = low.model.tensors[final].shape
    first = final if made == shape else low.temporary(node, "image", made)
    emit(low, node, "LceBconv2d", inputs, [first], options)
    if borders is not None and borders.made != borders.wanted:
        cut = (batch, *borders.wanted, last)
        sliced = final if cut == shape else low.temporary(node, "slice", cut)
        _slice(low, node, first, sliced, borders)
        first = sliced
    if first != final:
        low.reshape_into(node, first, final)


def _slice(low: Lowering, node: Node, source: int, made: int, borders: ZeroBorders) -> None:
    """The outputs that are wanted: the first ones, or every n-th."""
    shape = low.model.tensors[made].shape
    if borders.every == (1, 1):
        inputs = [source, low.integers([0, 0, 0, 0]), low.integers(shape)]
        low.emit(node, "SLICE", inputs, [made])
        return
    ends = [
        shape[0],
        *((n - 1) * e + 1 for n, e in zip(borders.wanted, borders.every, strict=True)),
    ]
    ends.append(shape[3])
    inputs = [source, low.integers([0] * 4), low.integers(ends)]
    inputs.append(low.integers([1, *borders.every, 1]))
    options = {name: 0 for name in ("begin_mask", "end_mask", "ellipsis_mask")}
    options |= {"new_axis_mask": 0, "shrink_axis_mask": 0}
    low.emit(node, "STRIDED_SLICE", inputs, [made], options)


def _extended(low: Lowering, node: Node, index: int, borders: ZeroBorders) -> int:
    """The bits with rows and columns behind them that no wanted output reads."""
    if borders.extra == (0, 0):
        return index
    pads = [(0, 0), (0, borders.extra[0]), (0, borders.extra[1]), (0, 0)]
    return _padded(low, node, index, pads, 0)


def _surround(low: Lowering, node: Node, index: int, window: Window, filler: Array) -> int:
    """Words around the bits of a value: PAD and PADV2 where all words are equal, else constants joined on."""
    pads = [(0, 0), *zip(window.before, window.after, strict=True), (0, 0)]
    if (filler == filler[0]).all():
        return _padded(low, node, index, pads, int(filler[0]))
    for axis in (1, 2):
        shape = low.model.tensors[index].shape
        parts = [index]
        for place, amount in ((0, pads[axis][0]), (len(parts), pads[axis][1])):
            if amount:
                size = [*shape[:axis], amount, *shape[axis + 1 :]]
                block = np.broadcast_to(filler, size).astype(np.int32)
                constant = low.constant(f"{node.name}/border{axis}_{amount}", block)
                parts.insert(place if place == 0 else len(parts), constant)
        if len(parts) > 1:
            total = sum(low.model.tensors[part].shape[axis] for part in parts)
            made = _bits_tensor(low, node, (*shape[:axis], total, *shape[axis + 1 :]))
            options = {"axis": axis, "fused_activation_function": "NONE"}
            low.emit(node, "CONCATENATION", parts, [made], options)
            index = made
    return index


def _padded(
    low: Lowering, node: Node, index: int, pads: Sequence[tuple[int, int]], word: int
) -> int:
    shape = low.model.tensors[index].shape
    made = _bits_tensor(low, node, tuple(n + b + a for n, (b, a) in zip(shape, pads, strict=True)))
    inputs = [index, low.integers(np.asarray(pads))]
    if word == 0:
        low.emit(node, "PAD", inputs, [made])
    else:
        filler = low.constant(f"int32/word{word}", np.asarray([word], np.int32))
        low.emit(node, "PADV2", [*inputs, filler], [made])
    return made


def _bits_tensor(low: Lowering, node: Node, shape: tuple[int, ...]) -> int:
    name = low.unique(f"{node.outputs[0]}/pad")
    return low.model.add_tensor(LiteTensor(name, shape, "int32"))


def _reshaped(low: Lowering, node: Node, index: int, shape: tuple[int, ...]) -> int:
    if low.model.tensors[index].shape == shape:
        return index
    made = low.temporary(node, "rows", shape, like=node.inputs[0])
    low.reshape_into(node, index, made)
    return made


def emit(
    low: Lowering,
    node: Node,
    custom_code: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    options: dict[str, int] | None = None,
) -> None:
    """Append a custom operator; `write` makes a flexbuffer of its options."""
    low.emit(node, "CUSTOM", inputs, outputs, options, 1, custom_code)


LOWERINGS: dict[str, Callable[[Lowering, Node], None]] = {}

CUSTOM: dict[str, Callable[[Lowering, Node], None]] = {
    "Quantize": quantize,
    "Bconv2d": convolution,
    "BMaxPool2d": max_pool,
}
