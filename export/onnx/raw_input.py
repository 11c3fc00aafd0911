"""An input normalisation folded into the convolution behind it, so that int8 reads raw values without a rounding.

As a layer of its own the normalisation rounds once more: raw pixels 0..255 are int8 already (scale 1), normalised
ones need 8 bits anew, and channels of different deviation share one scale. Into a convolution without padding it folds
as usual: with n = a x + b per channel, W' = W a and B' = B + sum W b. Padding is 0 after normalisation, which is
no raw value; so the input gets one more channel, a plane of constants v that padding cuts off at the border,

    y = sum_c W_c a_c x_c + (sum_c W_c b_c / v) v,

which is exact in the interior, at the border and in the corners. Meant for int8 and with bias correction: raw values
have a large mean, which turns the rounding of weights into an offset per channel that the correction takes out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .check import assert_same, random_feeds, run
from .graph import Array, Graph, Node, make_node
from .hub import NORMALISATION_NAME
from .infer import infer
from .metadata import finish, read_metadata

PLANE_NAME = "input_border"


def absorb_normalisation(hub: Any, input_range: tuple[float, float] | None = None) -> Any:
    """A hub without the `input_normalisation` layer in front of a convolution, computing the same.

    Args:
        hub: float hub on raw values (`hub.with_normalisation`); not changed.
        input_range: known (low, high) of the raw input, (0, 255) for pixels; the constant plane holds the larger of
            both, so that it costs no range. Without it a convolution with padding stays as it is.

    Gives `hub` itself where there is nothing to fold.

    Raises:
        ParityError: the folded hub computes something else (a fault of this function).
    """
    graph = Graph.read(hub)
    found = _layers(graph)
    if found is None:
        return hub
    layer, conv = found
    padded = any(conv.get("pads") or ()) or conv.get("auto_pad", "NOTSET").startswith("SAME")
    value = 0.0 if input_range is None else max(input_range, key=abs)
    if padded and not value:
        return hub
    scale = graph.constants[layer.inputs[1]].reshape(-1).astype(np.float64)
    shift = np.zeros_like(scale)
    if layer.input(2):
        shift = graph.constants[layer.inputs[2]].astype(np.float64)
    weight = graph.constants[conv.inputs[1]].astype(np.float64)
    shape = (1, -1, *[1] * (weight.ndim - 2))
    scaled, offset = weight * scale.reshape(shape), weight * shift.reshape(shape)
    source = layer.inputs[0]
    graph.remove(layer)
    if padded:
        scaled = np.concatenate([scaled, offset.sum(axis=1, keepdims=True) / value], axis=1)
        source = _with_plane(graph, source, value)
    else:
        _shift_bias(graph, conv, offset.reshape(len(weight), -1).sum(axis=1))
    graph.set_input(conv, 0, source)
    graph.set_input(conv, 1, graph.constant(conv.inputs[1], scaled.astype(np.float32)))
    infer(graph)
    folded = finish(graph, read_metadata(hub))
    _assert_same(hub, folded, input_range or (-1.0, 1.0))
    return folded


def _layers(graph: Graph) -> tuple[Node, Node] | None:
    """(normalisation, the ungrouped convolution that alone reads it)."""
    layer = next((n for n in graph.nodes if n.name == NORMALISATION_NAME), None)
    if layer is None or layer.op != "Conv" or layer.inputs[0] not in graph.inputs:
        return None
    conv = graph.only_user(layer.outputs[0])
    alone = graph.only_user(layer.inputs[0]) is layer
    if conv is None or not alone or conv.op != "Conv" or conv.get("group", 1) != 1:
        return None
    constants = [conv.inputs[1], *([conv.input(2)] if conv.input(2) else [])]
    fits = conv.inputs[0] == layer.outputs[0] and all(n in graph.constants for n in constants)
    return (layer, conv) if fits else None


def _with_plane(graph: Graph, source: str, value: float) -> str:
    """The input with one more channel of constants."""
    shape = graph.shapes[source]
    plane = graph.constant(PLANE_NAME, np.full((1, 1, *shape[2:]), value, np.float32))
    joined = graph.fresh(f"{source}_with_border")
    graph.add(make_node("Concat", [source, plane], [joined], joined, axis=1))
    return joined


def _shift_bias(graph: Graph, conv: Node, offset: Array) -> None:
    own = graph.constants[conv.inputs[2]].astype(np.float64) if conv.input(2) else 0.0
    name = conv.input(2) or f"{conv.name}.bias"
    graph.set_input(conv, 2, graph.constant(name, (own + offset).astype(np.float32)))


def _assert_same(hub: Any, folded: Any, input_range: tuple[float, float]) -> None:
    """Both hubs on values spread over the input's range."""
    feeds = random_feeds(hub)
    low, high = input_range
    for name in list(feeds)[:1]:
        spread = low + (high - low) * (np.tanh(feeds[name]) + 1.0) / 2.0
        feeds[name] = spread.astype(np.float32)
    names = [value.name for value in hub.graph.output]
    # Raw values lose digits against their large mean: ten times the usual tolerance.
    assert_same(run(hub, feeds), run(folded, feeds), names, "folding the normalisation", 1e-3)
