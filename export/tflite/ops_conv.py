"""Conv, 1-D and 2-D, to CONV_2D and DEPTHWISE_CONV_2D.

Weights: OIHW -> OHWI (CONV_2D), O1HW -> 1HWO (depthwise, output channel = input channel * multiplier + m, as
in ONNX). A 1-D kernel has H = 1. Other groups: SPLIT, one convolution each, CONCATENATION; TFLite's own
grouped CONV_2D is not in every engine.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .context import Lowering
from .layout import channels_last
from .neutral import Array, Node, Value
from .weights import store_bias, store_weight
from .window import Window, pad_input, read_window


def weights_fit(node: Node, values: Mapping[str, Value]) -> bool:
    """int8 if the weight is an integer constant and the bias, if any, a constant."""
    weight = values[node.inputs[1]]
    bias = values[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    held = weight.is_constant and weight.dtype == "int8" and weight.quantization is not None
    return held and (bias is None or bias.is_constant)


def read_weight(low: Lowering, node: Node, channel_axis: int) -> tuple[Value, Array]:
    """The weight value and its integers or floats with two spatial axes."""
    value = low.value(node.inputs[1])
    if value.data is None:
        raise low.unsupported(
            node, "a weight computed at run time", "make the weight a constant, or --keep-float"
        )
    params = value.quantization
    if (
        params is not None
        and params.axis is not None
        and params.axis % value.data.ndim != channel_axis
    ):
        raise low.unsupported(
            node, f"weight scales along axis {params.axis}", f"quantize along axis {channel_axis}"
        )
    data = value.data[:, :, None, :] if value.data.ndim == 3 else value.data
    return value, data


def bias_name(node: Node) -> str:
    """Name of the bias input, "" if there is none."""
    return node.inputs[2] if len(node.inputs) > 2 else ""


def conv(low: Lowering, node: Node) -> None:
    """Lower a Conv."""
    value, data = read_weight(low, node, 0)
    shape = low.value(node.outputs[0]).shape
    window = read_window(low, node, value.shape[2:], shape[2:])
    groups = int(node.attributes.get("group", 1))
    order = channels_last(len(shape))
    index = low.ordered(node.inputs[0], order)
    padding = window.padding
    if padding is None:
        index, padding = pad_input(low, node, index, window), "VALID"
    options = _options(window, padding)
    if groups == 1:
        _conv_2d(low, node, value, data, index, options)
    elif groups == low.value(node.inputs[0]).shape[1]:
        _depthwise(low, node, value, data, index, options)
    else:
        _grouped(low, node, value, data, index, options, groups)


def _options(window: Window, padding: str) -> dict[str, object]:
    return {
        "padding": padding,
        "stride_h": window.stride[0],
        "stride_w": window.stride[1],
        "dilation_h_factor": window.dilation[0],
        "dilation_w_factor": window.dilation[1],
    }


def _hybrid_version(low: Lowering, weight: int, node: Node, version: int) -> int | None:
    """`version` if the kernel is hybrid (float activations, int8 weights)."""
    hybrid = not node.int8 and low.model.tensors[weight].dtype == "int8"
    return version if hybrid else None


def _conv_2d(
    low: Lowering,
    node: Node,
    value: Value,
    data: Array,
    index: int,
    options: dict[str, object],
) -> None:
    ohwi = data.transpose(0, 2, 3, 1)
    weight = store_weight(low, node, value, ohwi, 0, hybrid="channel")
    bias = store_bias(low, node, bias_name(node), data.shape[0], index, weight)
    order = channels_last(len(low.value(node.outputs[0]).shape))
    version = _hybrid_version(low, weight, node, 5)
    low.emit_result(
        node, "CONV_2D", [index, weight, bias], order, options, activation="fused", version=version
    )


def _depthwise(
    low: Lowering,
    node: Node,
    value: Value,
    data: Array,
    index: int,
    options: dict[str, object],
) -> None:
    outputs = data.shape[0]
    weight = store_weight(low, node, value, data.transpose(1, 2, 3, 0), 3, hybrid="channel")
    bias = store_bias(low, node, bias_name(node), outputs, index, weight)
    multiplier = outputs // low.value(node.inputs[0]).shape[1]
    order = channels_last(len(low.value(node.outputs[0]).shape))
    version = _hybrid_version(low, weight, node, 4)
    if version is None and not node.int8 and options["dilation_h_factor"] != 1:
        version = 2
    if version is None and not node.int8 and options["dilation_w_factor"] != 1:
        version = 2
    low.emit_result(
        node,
        "DEPTHWISE_CONV_2D",
        [index, weight, bias],
        order,
        {**options, "depth_multiplier": multiplier},
        activation="fused",
        version=version,
    )


def split_channels(low: Lowering, node: Node, index: int, groups: int) -> list[int]:
    """Channels of a channels-last tensor in `groups` equal parts."""
    shape = low.model.tensors[index].shape
    part = (*shape[:-1], shape[-1] // groups)
    parts = [low.temporary(node, f"group{g}", part, like=node.inputs[0]) for g in range(groups)]
    axis = low.integers(np.asarray(len(shape) - 1))
    low.emit(node, "SPLIT", [axis, index], parts, {"num_splits": groups})
    return parts


def _grouped(
    low: Lowering,
    node: Node,
    value: Value,
    data: Array,
    index: int,
    options: dict[str, object],
    groups: int,
) -> None:
    outputs = data.shape[0] // groups
    shape = low.value(node.outputs[0]).shape
    order = channels_last(len(shape))
    made = []
    for group, part in enumerate(split_channels(low, node, index, groups)):
        rows = slice(group * outputs, (group + 1) * outputs)
        ohwi = data[rows].transpose(0, 2, 3, 1)
        suffix = f"/group{group}"
        weight = store_weight(
            low, node, value, ohwi, 0, suffix=suffix, scales=rows, hybrid="channel"
        )
        bias = store_bias(low, node, bias_name(node), outputs, part, weight, rows, suffix)
        spatial = (1, *shape[2:])[-2:]
        result = low.temporary(node, f"result{group}", (shape[0], *spatial, outputs))
        fused = {**options, "fused_activation_function": node.activation}
        version = _hybrid_version(low, weight, node, 5)
        low.emit(node, "CONV_2D", [part, weight, bias], [result], fused, version)
        made.append(result)
    low.emit_result(node, "CONCATENATION", made, order, {"axis": 3}, activation="done")


LOWERINGS = {"Conv": conv}

INT8 = {"Conv": weights_fit}
