"""Affine steps folded into the layer beside them: batch normalisation, constant Mul and Add, zero padding.

After a layer y = W x + b, a step s * y + t gives W' = s W, b' = s b + t per output channel. With batch
normalisation s = gamma / sqrt(var + eps) and t = beta - mean * s. Folding is done in float64. Before a layer the
step moves into it only where no zero padding is involved, since padded zeros would have to become t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .graph import Array, Graph, Node, make_node

LAYERS = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class Affine:
    """A per-channel step `scale * x + shift`; one value each or one per channel."""

    scale: Array
    shift: Array


def fold_affine(graph: Graph) -> bool:
    """Fold affine steps into the layer before or after them, one at a time until none is left."""
    changed = False
    for node in graph.sorted_nodes():
        if node in graph.nodes and not node.domain and node.op in _READERS:
            changed |= _fold_into_producer(graph, node) or _fold_into_reader(graph, node)
    return changed


def _fold_into_producer(graph: Graph, node: Node) -> bool:
    for source in _value_inputs(graph, node):
        layer = graph.producer(source)
        if layer is None or not _is_open_layer(graph, layer) or graph.only_user(source) is not node:
            continue
        channels = _output_channels(graph, layer)
        step = _affine(graph, node, source, channels, graph.rank(source))
        if step is None:
            continue
        _apply_after(graph, layer, step, channels)
        graph.remove(node)
        graph.rename_output(layer, 0, node.outputs[0])
        return True
    return False


def _fold_into_reader(graph: Graph, node: Node) -> bool:
    for source in _value_inputs(graph, node):
        layer = graph.only_user(node.outputs[0])
        if layer is None or layer.inputs[0] != node.outputs[0] or not _is_open_layer(graph, layer):
            continue
        if layer.op == "ConvTranspose" or layer.inputs.count(node.outputs[0]) > 1:
            continue
        shape = graph.shape(source)
        if shape is None or len(shape) < 2 or shape != graph.shape(node.outputs[0]):
            continue
        step = _affine(graph, node, source, shape[1], len(shape))
        if step is None or (layer.op == "Conv" and _pads(layer) and np.any(step.shift)):
            continue
        _apply_before(graph, layer, step, shape[1])
        graph.remove(node)
        graph.set_input(layer, 0, source)
        return True
    return False


def _value_inputs(graph: Graph, node: Node) -> list[str]:
    """Inputs that may carry the computed value of an affine step."""
    if node.op == "BatchNormalization":
        return node.inputs[:1]
    return [name for name in node.inputs if name and name not in graph.constants]


def _is_open_layer(graph: Graph, node: Node) -> bool:
    """A layer whose weight and bias are plain float constants and may be changed."""
    if node.op not in LAYERS or node.domain or node.inputs[1] not in graph.constants:
        return False
    if node.op == "Gemm" and not _is_plain_gemm(node):
        return False
    if graph.constants[node.inputs[1]].dtype != np.float32:
        return False
    return not node.input(2) or node.input(2) in graph.constants


def _is_plain_gemm(node: Node) -> bool:
    unit = node.get("alpha", 1.0) == 1.0 and node.get("beta", 1.0) == 1.0
    return bool(unit and not node.get("transA", 0) and node.get("transB", 0))


def _output_channels(graph: Graph, layer: Node) -> int:
    shape = graph.constants[layer.inputs[1]].shape
    if layer.op == "ConvTranspose":
        return int(shape[1] * layer.get("group", 1))
    return int(shape[0])


def _pads(node: Node) -> bool:
    return any(node.get("pads", [])) or node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")


# --------------------------------------------------------------------- reading the step


def _affine(graph: Graph, node: Node, source: str, channels: int, rank: int) -> Affine | None:
    """`node` as a per-channel step on `source` (channels on axis 1), None if it is anything else."""
    reader = _READERS.get(node.op)
    return None if reader is None else reader(graph, node, source, channels, rank)


def _read_batch_norm(
    graph: Graph, node: Node, source: str, channels: int, rank: int
) -> Affine | None:
    if not is_foldable_batch_norm(graph, node):
        return None
    return batch_norm_affine(graph, node)


def is_foldable_batch_norm(graph: Graph, node: Node) -> bool:
    """Batch normalisation at inference with constant statistics."""
    constant = all(name in graph.constants for name in node.inputs[1:5])
    return constant and not node.get("training_mode", 0) and len(node.outputs) == 1


def batch_norm_affine(graph: Graph, node: Node) -> Affine:
    """scale = gamma / sqrt(var + eps), shift = beta - mean * scale, in float64."""
    gamma, beta, mean, variance = (
        graph.constants[name].astype(np.float64).reshape(-1) for name in node.inputs[1:5]
    )
    scale = gamma / np.sqrt(variance + float(node.get("epsilon", 1e-5)))
    return Affine(scale, beta - mean * scale)


def _per_channel(values: Array, channels: int, rank: int) -> Array | None:
    """`values` as one number per channel of axis 1 of a rank-`rank` tensor, None if it varies elsewhere."""
    if values.dtype.kind != "f" or values.ndim > rank:
        return None
    full = values.reshape((1,) * (rank - values.ndim) + values.shape)
    if full.size == 1:
        return np.full(channels, float(full.reshape(-1)[0]))
    if full.size == channels and full.shape[1] == channels:
        return full.reshape(-1).astype(np.float64)
    return None


def _read_elementwise(
    graph: Graph, node: Node, source: str, channels: int, rank: int
) -> Affine | None:
    if len(node.inputs) != 2 or rank < 2 or node.inputs.count(source) != 1:
        return None
    first = node.inputs[0] == source
    other = graph.constants.get(node.inputs[1 if first else 0])
    values = None if other is None else _per_channel(other, channels, rank)
    if values is None:
        return None
    one, zero = np.ones(channels), np.zeros(channels)
    if node.op == "Mul":
        return Affine(values, zero)
    if node.op == "Add":
        return Affine(one, values)
    if node.op == "Sub":
        return Affine(one, -values) if first else Affine(-one, values)
    if node.op == "Div" and first and np.all(values != 0):
        return Affine(1.0 / values, zero)
    return None


_READERS = {
    "BatchNormalization": _read_batch_norm,
    "Mul": _read_elementwise,
    "Add": _read_elementwise,
    "Sub": _read_elementwise,
    "Div": _read_elementwise,
}


# --------------------------------------------------------------------- applying it


def _apply_after(graph: Graph, layer: Node, step: Affine, channels: int) -> None:
    weight = graph.constants[layer.inputs[1]].astype(np.float64)
    bias = _bias(graph, layer, channels)
    if layer.op == "ConvTranspose":
        groups = int(layer.get("group", 1))
        per_group = step.scale.reshape(groups, -1)  # [g, Cout/g]
        rows = np.repeat(per_group, weight.shape[0] // groups, axis=0)  # [Cin, Cout/g]
        weight = weight * rows.reshape(rows.shape + (1,) * (weight.ndim - 2))
    else:
        weight = weight * step.scale.reshape((-1,) + (1,) * (weight.ndim - 1))
    _store(graph, layer, weight, step.scale * bias + step.shift)


def _apply_before(graph: Graph, layer: Node, step: Affine, channels: int) -> None:
    """W(s x + t) + b: input columns are scaled by s, and W t joins the bias."""
    weight = graph.constants[layer.inputs[1]].astype(np.float64)
    outputs = _output_channels(graph, layer)
    bias = _bias(graph, layer, outputs)
    groups = int(layer.get("group", 1)) if layer.op == "Conv" else 1
    scale = np.repeat(step.scale.reshape(groups, -1), outputs // groups, axis=0)  # [O, I/g]
    shift = np.repeat(step.shift.reshape(groups, -1), outputs // groups, axis=0)
    tail = (1,) * (weight.ndim - 2)
    bias = bias + (weight * shift.reshape(shift.shape + tail)).reshape(outputs, -1).sum(1)
    _store(graph, layer, weight * scale.reshape(scale.shape + tail), bias)


def _bias(graph: Graph, layer: Node, channels: int) -> Array:
    if not layer.input(2):
        return np.zeros(channels)
    values = graph.constants[layer.input(2)].astype(np.float64).reshape(-1)
    return np.broadcast_to(values, (channels,)).copy()


def _store(graph: Graph, layer: Node, weight: Array, bias: Array) -> None:
    """Write float32 weight and bias under names of this layer's own."""
    name = layer.inputs[1]
    if len(graph.users(name)) == 1 and layer.inputs.count(name) == 1:
        graph.constants[name] = weight.astype(np.float32)
    else:
        graph.set_input(layer, 1, graph.constant(name, weight.astype(np.float32)))
    old = layer.input(2)
    if old and len(graph.users(old)) == 1:
        graph.constants[old] = bias.astype(np.float32)
    else:
        base = old or (
            f"{name[: -len('.weight')]}.bias" if name.endswith(".weight") else f"{name}.bias"
        )
        graph.set_input(layer, 2, graph.constant(base, bias.astype(np.float32)))


# --------------------------------------------------------------------- what is left over


def lower_batch_norms(graph: Graph) -> bool:
    """Batch normalisation that no layer took: a depthwise 1x1 Conv for rank 3 and more, Mul and Add for rank 2.

    One convolution holds a weight scale per channel when quantized, where Mul would have one for all.
    """
    changed = False
    for node in [n for n in graph.nodes if n.op == "BatchNormalization" and not n.domain]:
        rank = graph.rank(node.inputs[0])
        if rank < 2 or not is_foldable_batch_norm(graph, node):
            continue
        step = batch_norm_affine(graph, node)
        graph.remove(node)
        add_affine(graph, node.inputs[0], node.outputs[0], step, rank, node.name, node.scope)
        changed = True
    return changed


def add_affine(
    graph: Graph, source: str, target: str, step: Affine, rank: int, name: str, scope: str = ""
) -> None:
    """Nodes for a per-channel step: depthwise Conv `name`, or Mul `name`_scale and Add `name`_shift at rank 2."""
    scale, shift = step.scale.astype(np.float32), step.shift.astype(np.float32)
    if rank > 2:
        spatial = rank - 2
        weight = graph.constant(f"{name}.weight", scale.reshape((-1, 1) + (1,) * spatial))
        bias = graph.constant(f"{name}.bias", shift)
        conv = make_node(
            "Conv", [source, weight, bias], [target], name, scope, group=int(scale.size)
        )
        conv.set("kernel_shape", [1] * spatial)
        graph.add(conv)
        return
    factor = graph.constant(f"{name}.scale", scale.reshape(1, -1))
    offset = graph.constant(f"{name}.shift", shift.reshape(1, -1))
    middle = graph.fresh(f"{name}_scale")
    graph.add(make_node("Mul", [source, factor], [middle], f"{name}_scale", scope))
    graph.add(make_node("Add", [middle, offset], [target], f"{name}_shift", scope))


def merge_pads(graph: Graph) -> bool:
    """A constant zero Pad of spatial axes before a Conv becomes the Conv's own padding."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "Pad" and not n.domain]:
        conv = graph.only_user(node.outputs[0])
        if conv is None or conv.op != "Conv" or conv.domain or conv.inputs[0] != node.outputs[0]:
            continue
        pads = _zero_spatial_pads(graph, node)
        if pads is None or conv.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            continue
        own = np.asarray(conv.get("pads", [0] * len(pads)), np.int64)
        conv.set("auto_pad", None)
        conv.set("pads", [int(p) for p in own + pads])
        graph.remove(node)
        graph.set_input(conv, 0, node.inputs[0])
        changed = True
    return changed


def _zero_spatial_pads(graph: Graph, node: Node) -> Array | None:
    """[begin..., end...] of the spatial axes, None unless the padding is constant zero and not negative."""
    if node.get("mode", "constant") != "constant" or node.input(1) not in graph.constants:
        return None
    value = graph.constants.get(node.input(2), np.zeros(())) if node.input(2) else np.zeros(())
    if (node.input(2) and node.input(2) not in graph.constants) or np.any(value):
        return None
    rank = graph.rank(node.inputs[0])
    given = graph.constants[node.inputs[1]].reshape(2, -1)
    axes = graph.constants.get(node.input(3)) if node.input(3) else np.arange(rank)
    if axes is None or rank < 3:
        return None
    full = np.zeros((2, rank), np.int64)
    full[:, axes % rank] = given
    if full.min() < 0 or full[:, :2].any():
        return None
    return full[:, 2:].reshape(-1)
