"""Sliding windows of convolutions and pools: which of TFLite's paddings equals the pads of ONNX.

TensorFlow's SAME for size i, kernel k, stride s (https://www.tensorflow.org/api_docs/python/tf/nn):
total = max((ceil(i / s) - 1) * s + k - i, 0), before = total // 2, after = total - before. It is used
only where (before, after) are ONNX's pads on both axes; no pads are VALID; the rest is an explicit PAD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runtime.errors import InputError
from .context import Lowering, lite_quantization
from .ir import LiteTensor
from .neutral import Node

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Kernel, stride, dilation and pads of the axes (H, W); 1-D windows have H = 1."""

    size: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    before: Pair
    after: Pair

    @property
    def reach(self) -> Pair:
        """Extent of the dilated kernel."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    @property
    def padding(self) -> str | None:
        """SAME or VALID if TFLite's own padding equals the pads, else None."""
        same = [same_pads(self.size[i], self.reach[i], self.stride[i]) for i in (0, 1)]
        if all(same[i] == (self.before[i], self.after[i]) for i in (0, 1)):
            return "SAME"
        return "VALID" if not any((*self.before, *self.after)) else None


def same_pads(size: int, reach: int, stride: int) -> Pair:
    """(before, after) of TensorFlow's SAME."""
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def read_window(low: Lowering, node: Node, kernel: Sequence[int], output: Sequence[int]) -> Window:
    """Window of a Conv or pool node over its 1-D or 2-D input.

    Args:
        low: the lowering.
        node: has `strides`, `dilations`, `pads`, `auto_pad`, `ceil_mode` as ONNX defines them.
        kernel: spatial kernel shape.
        output: spatial output shape; with ceil_mode the pads behind grow to reach it.
    """
    spatial = low.value(node.inputs[0]).shape[2:]
    rank = len(spatial)
    if rank not in (1, 2):
        raise low.unsupported(node, f"{rank} spatial axes", "use 1-D or 2-D operators")
    attributes = node.attributes
    stride = tuple(attributes.get("strides") or (1,) * rank)
    dilation = tuple(attributes.get("dilations") or (1,) * rank)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    before, after = _pads(attributes, spatial, reach, stride)
    if attributes.get("ceil_mode"):
        needed = [(o - 1) * s + r for o, s, r in zip(output, stride, reach, strict=True)]
        after = [max(n - i - b, 0) for n, i, b in zip(needed, spatial, before, strict=True)]
    _check_output(node, output, spatial, before, after, reach, stride)
    if min((*before, *after), default=0) < 0:
        raise low.unsupported(node, "negative pads", "slice the input instead")
    return Window(
        _pair(spatial),
        _pair(kernel),
        _pair(stride),
        _pair(dilation),
        _pair(before, 0),
        _pair(after, 0),
    )


def _pads(
    attributes: dict[str, Any], spatial: Sequence[int], reach: Sequence[int], stride: Sequence[int]
) -> tuple[list[int], list[int]]:
    rank = len(spatial)
    auto = attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = [same_pads(i, r, s) for i, r, s in zip(spatial, reach, stride, strict=True)]
        if auto == "SAME_LOWER":
            pads = [(b, a) for a, b in pads]
        return [p[0] for p in pads], [p[1] for p in pads]
    if auto == "VALID":
        return [0] * rank, [0] * rank
    pads_list = list(attributes.get("pads") or [0] * (2 * rank))
    return pads_list[:rank], pads_list[rank:]


def _check_output(
    node: Node,
    output: Sequence[int],
    spatial: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
    reach: Sequence[int],
    stride: Sequence[int],
) -> None:
    axes = zip(spatial, before, after, reach, stride, strict=True)
    expected = tuple((i + b + a - r) // s + 1 for i, b, a, r, s in axes)
    if tuple(output) != expected:
        raise InputError(
            f"the declared output is {tuple(output)}, the window gives {expected}",
            where=f"node {node.name!r}",
            hint="run shape inference on the ONNX model again",
        )


def _pair(values: Sequence[int], filler: int = 1) -> Pair:
    return (filler, int(values[0])) if len(values) == 1 else (int(values[0]), int(values[1]))


def pad_input(
    low: Lowering, node: Node, index: int, window: Window, fill: float | None = None
) -> int:
    """PAD a channels-last tensor by the window's pads, with real 0, or with `fill` (PADV2).

    `fill` of an int8 tensor is taken as "lowest": -128.
    """
    source = low.model.tensors[index]
    pads = [
        (0, 0),
        (window.before[0], window.after[0]),
        (window.before[1], window.after[1]),
        (0, 0),
    ]
    shape = [n + b + a for n, (b, a) in zip(source.shape, pads, strict=True)]
    made = low.model.add_tensor(
        LiteTensor(
            low.unique(f"{node.outputs[0]}/pad"),
            tuple(shape),
            source.dtype,
            None,
            source.quantization,
        )
    )
    inputs = [index, low.integers(np.asarray(pads))]
    if fill is None:
        low.emit(node, "PAD", inputs, [made])
    else:
        if source.dtype == "int8":
            value = np.asarray([-128], np.int8)
            params = low.quantization(node.inputs[0])
            filler = low.constant(f"{source.name}/lowest", value, lite_quantization(params))
        else:
            filler = low.constant("float32/fill", np.asarray([fill], np.float32))
        low.emit(node, "PADV2", [*inputs, filler], [made])
    return made
