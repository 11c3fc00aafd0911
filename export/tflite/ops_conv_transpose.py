"""ConvTranspose, 1-D and 2-D, to TRANSPOSE_CONV.

The weight goes IOHW -> OHWI. ONNX makes (i - 1) * s + k values per axis and cuts `pads` off; where this is
TensorFlow's SAME the operator does it, otherwise it makes them all (VALID) and a SLICE cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .context import Lowering
from .layout import channels_last
from .neutral import Array, Node, Value
from .ops_conv import bias_name, read_weight, split_channels, weights_fit
from .weights import store_bias, store_weight
from .window import Pair, same_pads


@dataclass(frozen=True)
class _Geometry:
    """Spatial sizes of one transposed convolution; 1-D ones have H = 1."""

    size: Pair
    stride: Pair
    kernel: Pair
    before: Pair
    after: Pair

    @property
    def padding(self) -> str:
        """SAME where TensorFlow cuts off exactly what ONNX does, else VALID."""
        for axis in (0, 1):
            cut = (self.before[axis], self.after[axis])
            if same_pads(self.size[axis], self.kernel[axis], self.stride[axis]) != cut:
                return "VALID"
        return "SAME"

    @property
    def whole(self) -> Pair:
        """Spatial shape the operator makes."""
        if self.padding == "SAME":
            return self.size
        grown = [
            s + b + max(a, 0) for s, b, a in zip(self.size, self.before, self.after, strict=True)
        ]
        return grown[0], grown[1]


def conv_transpose(low: Lowering, node: Node) -> None:
    """Lower a ConvTranspose."""
    value, data = read_weight(low, node, 1)
    data = _spread(node, data)
    shape = low.value(node.outputs[0]).shape
    geometry = _geometry(low, node, (data.shape[2], data.shape[3]))
    order = channels_last(len(shape))
    index = low.ordered(node.inputs[0], order)
    groups = int(node.attributes.get("group", 1))
    cut = geometry.whole != geometry.size
    if groups == 1:
        inputs, options, version = _operator(low, node, value, data, index, geometry, None)
        if not cut:
            low.emit_result(node, "TRANSPOSE_CONV", inputs, order, options, version=version)
            return
        whole = low.temporary(node, "whole", (shape[0], *geometry.whole, shape[1]))
        low.emit(node, "TRANSPOSE_CONV", inputs, [whole], options, version)
    else:
        made = _grouped(low, node, value, data, index, geometry, groups)
        if not cut:
            low.emit_result(node, "CONCATENATION", made, order, {"axis": 3})
            return
        whole = low.temporary(node, "whole", (shape[0], *geometry.whole, shape[1]))
        low.emit(node, "CONCATENATION", made, [whole], {"axis": 3})
    begin = low.integers((0, *geometry.before, 0))
    extent = low.integers((shape[0], *geometry.size, shape[1]))
    low.emit_result(node, "SLICE", [whole, begin, extent], order)


def _operator(
    low: Lowering,
    node: Node,
    value: Value,
    data: Array,
    index: int,
    geometry: _Geometry,
    group: int | None,
) -> tuple[list[int], dict[str, object], int]:
    """Inputs, options and version of one TRANSPOSE_CONV (of one group, if there are any)."""
    outputs = data.shape[1]
    suffix = "" if group is None else f"/group{group}"
    part = None if group is None else slice(group * outputs, (group + 1) * outputs)
    batch = low.model.tensors[index].shape[0]
    weight = store_weight(low, node, value, data.transpose(1, 2, 3, 0), 0, suffix=suffix)
    inputs = [low.integers((batch, *geometry.whole, outputs)), weight, index]
    version = 2 if node.int8 else 1
    if bias_name(node):
        bias = store_bias(low, node, bias_name(node), outputs, index, weight, part, suffix)
        inputs, version = [*inputs, bias], 3
    options: dict[str, object] = {
        "padding": geometry.padding,
        "stride_h": geometry.stride[0],
        "stride_w": geometry.stride[1],
    }
    return inputs, options, version


def _grouped(
    low: Lowering,
    node: Node,
    value: Value,
    data: Array,
    index: int,
    geometry: _Geometry,
    groups: int,
) -> list[int]:
    """The results of all groups; `data` is [input channels, output channels of a group, kh, kw]."""
    rows = data.shape[0] // groups
    batch = low.model.tensors[index].shape[0]
    made = []
    for group, part in enumerate(split_channels(low, node, index, groups)):
        block = data[group * rows : (group + 1) * rows]
        inputs, options, version = _operator(low, node, value, block, part, geometry, group)
        shape = (batch, *geometry.whole, data.shape[1])
        result = low.temporary(node, f"result{group}", shape)
        low.emit(node, "TRANSPOSE_CONV", inputs, [result], options, version)
        made.append(result)
    return made


def _spread(node: Node, data: Array) -> Array:
    """A dilated kernel written out with zeros between its taps (TRANSPOSE_CONV has no dilation)."""
    dilation = [1, *(node.attributes.get("dilations") or [1])][-2:]
    if all(d == 1 for d in dilation):
        return data
    reach = [(k - 1) * d + 1 for k, d in zip(data.shape[2:], dilation, strict=True)]
    spread = np.zeros((*data.shape[:2], *reach), data.dtype)
    spread[:, :, :: dilation[0], :: dilation[1]] = data
    return spread


def _geometry(low: Lowering, node: Node, kernel: Pair) -> _Geometry:
    spatial = low.value(node.inputs[0]).shape[2:]
    output = low.value(node.outputs[0]).shape[2:]
    rank = len(spatial)
    strides = node.attributes.get("strides") or [1] * rank
    pads = node.attributes.get("pads") or [0] * (2 * rank)
    auto = node.attributes.get("auto_pad", "NOTSET")
    size, out, stride = (1, *spatial)[-2:], (1, *output)[-2:], (1, *strides)[-2:]
    total = [(i - 1) * s + k - o for i, s, k, o in zip(size, stride, kernel, out, strict=True)]
    before = [0, *pads[:rank]][-2:]
    if auto in ("SAME_UPPER", "SAME_LOWER") or "output_shape" in node.attributes:
        half = [max(t, 0) // 2 for t in total]
        upper = auto == "SAME_UPPER"
        before = [h if upper else max(t, 0) - h for h, t in zip(half, total, strict=True)]
    if min(before) < 0:
        raise low.unsupported(node, "negative pads", "slice the result instead")
    return _Geometry(
        size=(int(out[0]), int(out[1])),
        stride=(int(stride[0]), int(stride[1])),
        kernel=kernel,
        before=(int(before[0]), int(before[1])),
        after=(int(total[0] - before[0]), int(total[1] - before[1])),
    )


LOWERINGS = {"ConvTranspose": conv_transpose}

INT8 = {"ConvTranspose": weights_fit}
