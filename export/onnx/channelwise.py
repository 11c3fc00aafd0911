"""Nodes of a hub that work channel by channel, as numpy functions of [values, channels] in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .graph import Array, Graph, Node

Function = Callable[[Array, slice], Array]
"""(values [rows, channels of the block], block) -> values, each step rounded to float32 as engines round it."""


def channelwise(graph: Graph, node: Node, name: str, channels: tuple[int, int]) -> Function | None:
    """What `node` does to value `name`; None if it does more than compute channel by channel.

    Args:
        channels: (how many, their axis) of the value.
    """
    if node.domain or len([n for n in node.outputs if n]) != 1:
        return None
    if node.op in ("Add", "Sub", "Mul", "Div"):
        return _arithmetic(graph, node, name, channels)
    if node.input(0) != name:
        return None
    if node.op in ("Identity", "Dropout"):
        return lambda x, _: x
    if node.op == "Relu":
        return lambda x, _: np.maximum(x, np.float32(0))
    if node.op == "Clip":
        return _clip(graph, node)
    if node.op in ("PRelu", "LeakyRelu"):
        return _leaky(graph, node, channels)
    if node.op == "Conv":
        return _depthwise(graph, node, channels)
    return None


def per_channel(graph: Graph, name: str, rank: int, channels: tuple[int, int]) -> Array | None:
    """A constant as float32 [channels] if it is one number, or one per channel and broadcast like that."""
    values = graph.constants.get(name)
    count, axis = channels
    if values is None or values.dtype != np.float32 or values.ndim > rank:
        return None
    if values.size == 1:
        return np.full(count, values.reshape(-1)[0], np.float32)
    shape = (1,) * (rank - values.ndim) + values.shape
    if shape[axis] != count or values.size != count:
        return None
    return np.asarray(values.reshape(-1))


def _arithmetic(graph: Graph, node: Node, name: str, channels: tuple[int, int]) -> Function | None:
    index = node.inputs.index(name)
    values = per_channel(graph, node.input(1 - index), graph.rank(name), channels)
    if values is None:
        return None
    held = values
    if node.op == "Add":
        return lambda x, b: x + held[b]
    if node.op == "Mul":
        return lambda x, b: x * held[b]
    if node.op == "Sub":
        return (lambda x, b: x - held[b]) if index == 0 else (lambda x, b: held[b] - x)
    return (lambda x, b: x / held[b]) if index == 0 else None


def _clip(graph: Graph, node: Node) -> Function | None:
    bounds = [graph.constants.get(node.input(i)) if node.input(i) else None for i in (1, 2)]
    if any(node.input(i) and bounds[i - 1] is None for i in (1, 2)):
        return None
    low, high = (None if b is None else np.float32(b.reshape(())) for b in bounds)
    if low is None and high is None:
        return lambda x, _: x
    return lambda x, _: np.asarray(np.clip(x, low, high))


def _leaky(graph: Graph, node: Node, channels: tuple[int, int]) -> Function | None:
    slope: Array | None = np.full(channels[0], node.get("alpha", 0.01), np.float32)
    if node.op == "PRelu":
        slope = per_channel(graph, node.input(1), graph.rank(node.input(0)), channels)
    if slope is None:
        return None
    held = slope
    return lambda x, b: np.where(x < 0, x * held[b], x)


def _depthwise(graph: Graph, node: Node, channels: tuple[int, int]) -> Function | None:
    """A convolution of one tap per channel: what a batch norm behind a pool was folded to."""
    weight = graph.constants.get(node.input(1))
    count, axis = channels
    if weight is None or axis != 1 or weight.shape[:2] != (count, 1) or weight.size != count:
        return None
    moves = any(node.get("pads", [0])) or set(node.get("strides", [1])) != {1}
    bias = graph.constants.get(node.input(2)) if node.input(2) else np.zeros(count, np.float32)
    if node.get("group", 1) != count or moves or bias is None:
        return None
    factor, offset = weight.reshape(-1), bias
    return lambda x, b: x * factor[b] + offset[b]
