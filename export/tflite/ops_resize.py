"""Resize: TFLite's kernels where they sample the very points ONNX asks for; GATHER for other nearest modes.

ONNX says where output pixel i looks in the input (coordinate_transformation_mode); TFLite has three of these:
align_corners, half_pixel_centers, and neither (ONNX's "asymmetric"), always with the scale out / in. A nearest
resize only picks rows, so any mode is exact by constant indices. Source: ONNX operator specification, Resize;
tensorflow/lite/kernels/internal/reference/resize_{nearest_neighbor,bilinear}.h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .absorb import Int8Test, always
from .context import Lowering
from .layout import NEW, Order, channels_last
from .neutral import Array, Node
from .operands import moved, pass_on
from .ops_slice import gather_axis

_VERSION_OF_CENTRES = 3
_KERNELS = ((False, False), (False, True), (True, False))
"""(align_corners, half_pixel_centers) that both kernels take."""


@dataclass(frozen=True)
class Axis:
    """One resized axis: lengths before and after, and the factor the model states."""

    before: int
    after: int
    scale: float


def resize(low: Lowering, node: Node) -> None:
    """Lower a Resize with constant scales or sizes."""
    name, out = node.inputs[0], node.outputs[0]
    shape, target = low.value(name).shape, low.value(out).shape
    scales = _scales(low, node)
    axes = {i: Axis(shape[i], target[i], scales[i]) for i in range(len(shape))}
    axes = {i: a for i, a in axes.items() if a.before != a.after or a.scale != 1.0}
    coordinates = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_crop_and_resize":
        raise low.unsupported(node, f"coordinate_transformation_mode {coordinates!r}", "crop first")
    if node.attributes.get("antialias"):
        raise low.unsupported(node, "antialias", "resize without antialias")
    mode = node.attributes.get("mode", "nearest")
    if not axes:
        index = moved(low, node, name, low.order_of(name), low.quantization(out))
        pass_on(low, node, index, low.order_of(name))
    elif mode == "nearest":
        _nearest(low, node, axes, coordinates)
    elif mode == "linear":
        _linear(low, node, axes, coordinates)
    else:
        raise low.unsupported(node, f"mode {mode!r}", "use nearest or linear")


def _scales(low: Lowering, node: Node) -> list[float]:
    """Factor of every axis, as given or from the sizes."""
    shape, target = (low.value(n).shape for n in (node.inputs[0], node.outputs[0]))
    factors = [after / before for before, after in zip(shape, target, strict=True)]
    if len(node.inputs) <= 2 or not node.inputs[2]:
        return factors
    given = low.constant_of(node, 2)
    if given is None:
        raise low.unsupported(node, "scales computed at run time", "export with a fixed size")
    axes = node.attributes.get("axes") or range(len(shape))
    if given.size:
        for axis, factor in zip(axes, given.reshape(-1), strict=True):
            factors[int(axis) % len(shape)] = float(factor)
    return factors


def source_points(axis: Axis, coordinates: str) -> Array:
    """Where each output pixel of an axis lies in the input, as ONNX defines it (not clamped)."""
    i = np.arange(axis.after, dtype=np.float64)
    if coordinates == "align_corners":
        return i * (axis.before - 1) / (axis.after - 1) if axis.after > 1 else i * 0.0
    if coordinates == "asymmetric":
        return i / axis.scale
    if coordinates == "pytorch_half_pixel" and axis.after == 1:
        return i * 0.0
    points = (i + 0.5) / axis.scale - 0.5
    if coordinates == "half_pixel_symmetric":
        adjustment = axis.after / (axis.scale * axis.before)
        centre = axis.before / 2
        points = centre * (1 - adjustment) + points
    return points


def nearest_rows(axis: Axis, coordinates: str, rounding: str) -> Array:
    """Input row of each output row of a nearest resize."""
    points = source_points(axis, coordinates)
    rounded: dict[str, Array] = {
        "floor": np.floor(points),
        "ceil": np.ceil(points),
        "round_prefer_floor": np.ceil(points - 0.5),
        "round_prefer_ceil": np.floor(points + 0.5),
    }
    rows: Array = np.clip(rounded[rounding], 0, axis.before - 1).astype(np.int64)
    return rows


def kernel_rows(axis: Axis, align: bool, half: bool) -> Array:
    """Input row of each output row in TFLite's nearest kernel (float32 there)."""
    aligned = align and axis.after > 1
    factor = np.float32(axis.before - align * aligned) / np.float32(axis.after - align * aligned)
    points = (np.arange(axis.after, dtype=np.float32) + np.float32(0.5 * half)) * factor
    whole = np.floor(points + np.float32(0.5)) if align else np.floor(points)
    rows: Array = np.clip(whole, 0, axis.before - 1).astype(np.int64)
    return rows


def _nearest(low: Lowering, node: Node, axes: dict[int, Axis], coordinates: str) -> None:
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    rows = {i: nearest_rows(axis, coordinates, rounding) for i, axis in axes.items()}
    rank = len(low.value(node.inputs[0]).shape)
    if _is_spatial(axes, rank):
        for align, half in _KERNELS:
            found = {i: kernel_rows(axis, align, half) for i, axis in axes.items()}
            if all(np.array_equal(found[i], rows[i]) for i in axes):
                _emit(low, node, "RESIZE_NEAREST_NEIGHBOR", align, half)
                return
    order = low.order_of(node.inputs[0])
    _pick_rows(low, node, rows, order)


def _pick_rows(low: Lowering, node: Node, rows: dict[int, Array], order: Order) -> None:
    """One GATHER for each axis."""
    out = node.outputs[0]
    index = moved(low, node, node.inputs[0], order, low.quantization(out))
    shape = list(low.model.tensors[index].shape)
    places = [place for place, axis in enumerate(order) if axis in rows]
    for place in places:
        picks = rows[order[place]]
        shape[place] = len(picks)
        last = place == places[-1]
        made = low.result(out, order) if last else low.temporary(node, f"axis{place}", tuple(shape))
        gather_axis(low, node, index, place, picks.tolist(), made)
        index = made


def _linear(low: Lowering, node: Node, axes: dict[int, Axis], coordinates: str) -> None:
    """RESIZE_BILINEAR if one of its modes looks at the same points on every axis."""
    rank = len(low.value(node.inputs[0]).shape)
    if not _is_spatial(axes, rank):
        raise low.unsupported(node, "axes other than height and width", "resize images only")
    if node.attributes.get("exclude_outside"):
        raise low.unsupported(node, "exclude_outside", "leave it 0")
    for align, half in _KERNELS:
        if all(_same_points(axis, coordinates, align, half) for axis in axes.values()):
            _emit(low, node, "RESIZE_BILINEAR", align, half)
            return
    raise low.unsupported(
        node,
        f"coordinate_transformation_mode {coordinates!r} with these scales",
        "use align_corners, half_pixel or asymmetric with a scale of exactly out / in",
    )


def _same_points(axis: Axis, coordinates: str, align: bool, half: bool) -> bool:
    kernel = "align_corners" if align else "half_pixel" if half else "asymmetric"
    exact = Axis(axis.before, axis.after, axis.after / axis.before)
    found = [source_points(axis, coordinates), source_points(exact, kernel)]
    asked, made = (np.clip(points, 0, axis.before - 1) for points in found)
    return bool(np.allclose(asked, made, rtol=0.0, atol=1e-6))


def _is_spatial(axes: dict[int, Axis], rank: int) -> bool:
    return rank in (3, 4) and all(axis >= 2 for axis in axes)


def _emit(low: Lowering, node: Node, code: str, align: bool, half: bool) -> None:
    out = node.outputs[0]
    shape = low.value(out).shape
    order = channels_last(len(shape))
    index = moved(low, node, node.inputs[0], order, low.quantization(out))
    size = [1 if axis == NEW else shape[axis] for axis in order[1:3]]
    options = {"align_corners": align, "half_pixel_centers": half}
    modern = half or (align and code == "RESIZE_NEAREST_NEIGHBOR")
    version = _VERSION_OF_CENTRES if modern else None
    low.emit_result(node, code, [index, low.integers(size)], order, options, version=version)


LOWERINGS = {"Resize": resize}

INT8: dict[str, Int8Test] = {"Resize": always}
