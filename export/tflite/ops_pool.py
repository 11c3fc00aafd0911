"""MaxPool, AveragePool and their global forms.

Traps: TFLite's SAME leaves padding out of maxima and averages. So SAME serves MaxPool, and AveragePool that does
not count its pads; pads that count are an explicit PAD with 0; a MaxPool's other pads are PADV2 with
the lowest value, never 0; an average whose divisor changes along the border is corrected by MUL.
A global average is MEAN, which rounds once under any scales.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .absorb import Int8Test, always
from .context import Lowering
from .layout import channels_last
from .neutral import Array, Node, Value
from .window import Window, pad_input, read_window


def _options(window: Window, padding: str) -> dict[str, object]:
    return {
        "padding": padding,
        "stride_h": window.stride[0],
        "stride_w": window.stride[1],
        "filter_height": window.kernel[0],
        "filter_width": window.kernel[1],
    }


def _read(low: Lowering, node: Node) -> Window:
    shape = low.value(node.outputs[0]).shape
    window = read_window(low, node, node.attributes["kernel_shape"], shape[2:])
    if window.dilation != (1, 1):
        raise low.unsupported(node, "a dilated pool", "pool without dilation")
    return window


def max_pool(low: Lowering, node: Node) -> None:
    """Lower a MaxPool."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise low.unsupported(node, "the indices output", "do not use the indices")
    window = _read(low, node)
    order = channels_last(len(low.value(node.outputs[0]).shape))
    index = low.ordered(node.inputs[0], order)
    padding = window.padding
    if padding is None:
        lowest = float(np.finfo(np.float32).min)
        index, padding = pad_input(low, node, index, window, lowest), "VALID"
    low.emit_result(
        node,
        "MAX_POOL_2D",
        [index],
        order,
        _options(window, padding),
        activation="fused",
        produced=low.quantization(node.inputs[0]),
    )


def average_pool(low: Lowering, node: Node) -> None:
    """Lower an AveragePool."""
    window = _read(low, node)
    order = channels_last(len(low.value(node.outputs[0]).shape))
    index = low.ordered(node.inputs[0], order)
    padding = _average_padding(node, window)
    if padding is not None:
        if padding == "PAD":
            index, padding = pad_input(low, node, index, window), "VALID"
        low.emit_result(
            node,
            "AVERAGE_POOL_2D",
            [index],
            order,
            _options(window, padding),
            activation="fused",
            produced=low.quantization(node.inputs[0]),
        )
        return
    padded = pad_input(low, node, index, window)
    out = low.value(node.outputs[0]).shape
    mean = low.temporary(node, "mean", (out[0], *(1, *out[2:])[-2:], out[1]))
    plain = {**_options(window, "VALID"), "fused_activation_function": "NONE"}
    low.emit(node, "AVERAGE_POOL_2D", [padded], [mean], plain)
    factor = _correction(node, window, (1, *out[2:])[-2:])
    factors = low.constant(f"{node.outputs[0]}/correction", factor)
    low.emit_result(node, "MUL", [mean, factors], order, activation="fused")


def _average_padding(node: Node, window: Window) -> str | None:
    """SAME, VALID, PAD (zeros that count), or None if the divisor changes along the border."""
    if window.padding == "VALID" or not any((*window.before, *window.after)):
        return window.padding or "VALID"
    if not node.attributes.get("count_include_pad"):
        return "SAME" if window.padding == "SAME" else None
    declared = _declared_after(node, window)
    return "PAD" if declared == window.after else None


def _declared_after(node: Node, window: Window) -> tuple[int, int]:
    """Pads behind that count; what ceil_mode adds beyond them never does."""
    if not node.attributes.get("ceil_mode"):
        return window.after
    pads = list(node.attributes.get("pads") or [])
    half = pads[len(pads) // 2 :] or [0, 0]
    after = (0, half[0]) if len(half) == 1 else (half[0], half[1])
    return after[0], after[1]


def _correction(node: Node, window: Window, out: tuple[int, ...]) -> Array:
    """[1, H, W, 1] factors kernel area / elements that count, in float32."""
    counted = []
    include = bool(node.attributes.get("count_include_pad"))
    declared = _declared_after(node, window)
    for axis in (0, 1):
        low_edge = -window.before[axis] if include else 0
        high_edge = window.size[axis] + (declared[axis] if include else 0)
        start = np.arange(out[axis]) * window.stride[axis] - window.before[axis]
        stop = np.minimum(start + window.kernel[axis], high_edge)
        counted.append(stop - np.maximum(start, low_edge))
    area = window.kernel[0] * window.kernel[1]
    factor = area / np.outer(counted[0], counted[1]).astype(np.float64)
    return factor.astype(np.float32)[None, :, :, None]


def global_average_pool(low: Lowering, node: Node) -> None:
    """Lower a GlobalAveragePool."""
    order = channels_last(len(low.value(node.outputs[0]).shape))
    index = low.ordered(node.inputs[0], order)
    low.emit_result(node, "MEAN", [index, low.integers((1, 2))], order, {"keep_dims": True})


def global_max_pool(low: Lowering, node: Node) -> None:
    """Lower a GlobalMaxPool: a MAX_POOL_2D as large as its input."""
    order = channels_last(len(low.value(node.outputs[0]).shape))
    index = low.ordered(node.inputs[0], order)
    height, width = low.model.tensors[index].shape[1:3]
    size = (height, width)
    window = Window(size, size, (1, 1), (1, 1), (0, 0), (0, 0))
    low.emit_result(
        node,
        "MAX_POOL_2D",
        [index],
        order,
        _options(window, "VALID"),
        activation="fused",
        produced=low.quantization(node.inputs[0]),
    )


def _divisor_is_constant(node: Node, values: Mapping[str, Value]) -> bool:
    """int8 where no correction is needed: it would round twice, four LSB at a corner."""
    source = values[node.inputs[0]].shape
    if len(source) not in (3, 4):
        return False
    pads = node.attributes.get("pads") or []
    automatic = node.attributes.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    if node.attributes.get("ceil_mode"):
        return False
    if not any(pads) and not automatic:
        return True
    if node.attributes.get("count_include_pad"):
        return True
    return _is_same(node, source[2:])


def _is_same(node: Node, spatial: tuple[int, ...]) -> bool:
    from .window import same_pads

    rank = len(spatial)
    if node.attributes.get("auto_pad", "NOTSET") == "SAME_UPPER":
        return True
    pads = node.attributes.get("pads") or [0] * (2 * rank)
    strides = node.attributes.get("strides") or [1] * rank
    kernel = node.attributes["kernel_shape"]
    return all(
        same_pads(spatial[axis], kernel[axis], strides[axis]) == (pads[axis], pads[axis + rank])
        for axis in range(rank)
    )


LOWERINGS = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
}

INT8: dict[str, Int8Test] = {
    "MaxPool": always,
    "AveragePool": _divisor_is_constant,
    "GlobalAveragePool": always,
    "GlobalMaxPool": always,
}
