"""From one binary layer to the next in a traced model: what stands between, and which thresholds replace it.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from ...runtime.errors import InputError
from .catalogue import OPERATORS
from .layers import BinaryLayer
from .thresholds import Array, NoThreshold, Staircase, pool_rule, probe

POOLS = (nn.MaxPool1d, nn.MaxPool2d)
CHANNELWISE = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.Hardtanh, nn.Identity, nn.Dropout, nn.Dropout1d),
    *(nn.Dropout2d, nn.ReLU, nn.ReLU6, nn.PReLU, nn.LeakyReLU),
)
RESHAPES = frozenset({"flatten", "reshape", "view", "squeeze", "unsqueeze"})


@dataclass(frozen=True)
class Link:
    """A binary layer's way to the next one. `staircase` None: its output stays real, for `reason`.

    `pools` has one array [channels] per max pool on the way: 1 where it is an OR of bits, -1 where it is an AND.
    """

    layer: str
    to: str = ""
    staircase: Staircase | None = None
    pools: tuple[Array, ...] = ()
    reason: str = ""


@dataclass
class Path:
    """Nodes from a binary layer to the next, in order, and the layer they lead to."""

    nodes: list[fx.Node] = field(default_factory=list)
    end: fx.Node | None = None
    reason: str = ""


def layer_of(model: Any, node: fx.Node) -> BinaryLayer | None:
    """The binary layer that a node calls, None for other nodes."""
    if node.op != "call_module":
        return None
    module = model.get_submodule(str(node.target))
    return module if isinstance(module, BinaryLayer) else None


def is_pool(model: Any, node: fx.Node) -> bool:
    """A max pool."""
    return node.op == "call_module" and isinstance(model.get_submodule(str(node.target)), POOLS)


def is_reshape(model: Any, node: fx.Node) -> bool:
    """A flatten, reshape, view and the like."""
    if node.op == "call_module":
        return isinstance(model.get_submodule(str(node.target)), nn.Flatten)
    name = getattr(node.target, "__name__", str(node.target))
    return name in RESHAPES and len(node.all_input_nodes) == 1


def _is_nothing(model: Any, node: fx.Node) -> bool:
    """Dropout and identities, which do nothing outside training."""
    kinds = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
    return node.op == "call_module" and isinstance(model.get_submodule(str(node.target)), kinds)


def _is_channelwise(model: Any, node: fx.Node) -> bool:
    from .layers import RPReLU

    if node.op != "call_module":
        return False
    return isinstance(model.get_submodule(str(node.target)), (*CHANNELWISE, RPReLU))


def follow(model: fx.GraphModule, start: fx.Node) -> Path:
    """The only way from a binary layer to the next, or why there is none."""
    path, node, reshaped = Path(), start, False
    while True:
        if len(node.users) != 1:
            what = "has no reader" if not node.users else "is read in several places (a shortcut)"
            return Path(reason=f"{node.name} {what}: it needs real values")
        node = next(iter(node.users))
        if layer_of(model, node) is not None:
            path.end = node
            return path
        if is_reshape(model, node):
            reshaped = True
        elif not (is_pool(model, node) or _is_channelwise(model, node)):
            return Path(reason=f"{node.name} needs real values")
        elif reshaped and not _is_nothing(model, node):
            return Path(reason=f"{node.name} stands behind a reshape that moves its channels")
        path.nodes.append(node)


def make_link(model: fx.GraphModule, node: fx.Node, path: Path) -> Link:
    """The thresholds that replace what stands on `path`, or why there are none."""
    name = str(node.target)
    layer = layer_of(model, node)
    assert layer is not None
    if not layer.binary_weights:
        raise InputError(
            "the weights are not binary yet", where=name, hint="train the second stage first"
        )
    deploys = OPERATORS[layer.operator_name].deploys
    if path.end is None or deploys != "packed":
        reason = path.reason or f"operator {layer.operator_name} needs: {deploys}"
        return Link(name, reason=reason)
    following = layer_of(model, path.end)
    assert following is not None
    if OPERATORS[following.operator_name].deploys != "packed":
        return Link(name, reason=f"{path.end.target} takes no signs: {following.operator_name}")
    # A border of 0 leaves taps out: its sums lie inside the same range.
    reach = layer.shape.taps
    try:
        levels, pooled = _levels(model, layer, path, reach)
        staircase = probe(levels, reach)
        pools = tuple(pool_rule(values, levels) for values in pooled)
    except NoThreshold as error:
        return Link(name, reason=str(error))
    return Link(name, str(path.end.target), staircase, pools)


def _levels(
    model: fx.GraphModule, layer: BinaryLayer, path: Path, reach: int
) -> tuple[Array, list[Array]]:
    """For every sum of [-reach, reach] and every channel, [sums, channels]: signs that the next layer would take.

    And the values that enter each max pool on the way.
    """
    spatial = len(layer.shape.kernel)
    lattice = torch.arange(-reach, reach + 1, dtype=torch.float32)
    z = lattice.reshape(-1, 1, *(1,) * spatial).expand(-1, layer.shape.outputs, *(1,) * spatial)
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        _, scale = layer.operator.weight(layer.weight)
        z = layer.finish(z.contiguous(), scale, z)
        pooled = []
        for node in path.nodes:
            if is_pool(model, node):
                pooled.append(z.reshape(len(lattice), -1).numpy())
            elif _is_channelwise(model, node):
                z = call_node(model, node, z)
        assert path.end is not None
        following = layer_of(model, path.end)
        assert following is not None
        bits = _next_signs(following, z, layer.shape.outputs)
    finally:
        for module, training in modes:
            module.training = training
    return bits.reshape(len(lattice), -1).numpy().astype(np.int8), pooled


def _next_signs(following: BinaryLayer, z: Tensor, channels: int) -> Tensor:
    """Signs of the next layer's own input rule, channel by channel (a threshold per flattened input repeats)."""
    if following.shape.inputs == channels:
        shaped = z.reshape(len(z), channels, *(1,) * len(following.shape.kernel))
        return following.operator.input(shaped)
    threshold = getattr(getattr(following.operator, "rsign", None), "threshold", None)
    if threshold is not None and threshold.numel() and bool((threshold != 0).any()):
        raise NoThreshold("the next layer has a threshold per position behind a flatten")
    plain = torch.where(z < 0, -1.0, 1.0)
    return plain.reshape(len(z), channels)


def call_node(model: Any, node: fx.Node, value: Tensor) -> Tensor:
    """`node` on `value` in place of its first input."""
    args = (value, *node.args[1:])
    if node.op == "call_module":
        return model.get_submodule(str(node.target))(*args, **node.kwargs)
    if node.op == "call_method":
        return getattr(value, str(node.target))(*args[1:], **node.kwargs)
    target: Any = node.target
    return target(*args, **node.kwargs)
