"""The integer form of a binarized network: thresholds instead of scale, batch norm, activation and sign.

    folded = fold(model)              # model: what `binarize` gave, trained
    folded.links                      # per binary layer: thresholds, or why its output stays real
    folded(x)                         # same outputs; between linked layers only integers and bits

Between two binary layers that only pooling, reshapes and functions of one channel separate, the network computes
bits by comparing integer sums. A max pool becomes OR where the bit rises with what is pooled, AND where it falls
(a pool in front of a batch norm with negative gamma). Real-valued shortcuts need real sums: such layers keep
scale and batch norm, and `links` says so.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ...runtime.errors import InputError
from .catalogue import OPERATORS
from .layers import BinaryConv, BinaryLayer
from .thresholds import Array, NoThreshold, Staircase, probe

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
class _Path:
    """Nodes from a binary layer to the next, in order, and the layer they lead to."""

    nodes: list[fx.Node] = field(default_factory=list)
    end: fx.Node | None = None
    reason: str = ""


def fold(model: fx.GraphModule) -> Folded:
    """The integer form of a binarized model, which stays as it is.

    Raises:
        InputError: the model has no binary layers, or its weights are not binary yet (first training stage).
    """
    layers = [n for n in model.graph.nodes if _layer(model, n) is not None]
    if not layers:
        raise InputError("the model has no binary layers", hint="binarize it first")
    links: dict[fx.Node, Link] = {}
    paths: dict[fx.Node, _Path] = {}
    with torch.no_grad():
        for node in layers:
            path = _follow(model, node)
            link = _link(model, node, path)
            links[node] = link
            if link.staircase is not None:
                paths[node] = path
    return Folded(model, links, paths)


class Folded(fx.Interpreter):
    """Runs a binarized model with thresholds where they can be; call it like the model (batch first)."""

    def __init__(
        self, model: fx.GraphModule, links: dict[fx.Node, Link], paths: dict[fx.Node, _Path]
    ):
        super().__init__(model)
        self.links = tuple(links.values())
        self._links, self._paths = links, paths
        self._skipped = {n for path in paths.values() for n in path.nodes}
        self._bits: dict[fx.Node, Tensor] = {}

    @property
    def integer_only(self) -> bool:
        """True if bits flow from the first binary layer's input to the last one's sums."""
        real = [link for link in self.links if link.staircase is None]
        return len(real) <= 1

    def __call__(self, *inputs: Tensor) -> Any:
        """The outputs for a batch."""
        self._bits = {}
        model: Any = self.module
        modes = [(m, m.training) for m in model.modules()]
        model.eval()
        with torch.no_grad():
            try:
                return self.run(*inputs)
            finally:
                for module, training in modes:
                    module.training = training

    def run_node(self, n: fx.Node) -> Any:
        """Nodes of a link are part of its thresholds."""
        if n in self._skipped:
            return None
        layer = _layer(self.module, n)
        if layer is None:
            return super().run_node(n)
        x = self.env[n.args[0]]
        bits = self._bits.get(n)
        values = layer.operator.input(x) if bits is None else bits
        weight, scale = layer.operator.weight(layer.weight)
        sums = layer.product(values, weight)
        link = self._links[n]
        if link.staircase is None:
            return layer.finish(sums, scale, x if bits is None else values)
        end = self._paths[n].end
        assert end is not None
        axis = 1 if isinstance(layer, BinaryConv) else sums.dim() - 1
        self._bits[end] = _to_bits(self.module, sums, link, self._paths[n].nodes, axis)
        return None


def _to_bits(model: Any, sums: Tensor, link: Link, nodes: list[fx.Node], axis: int) -> Tensor:
    """Integer compares, then pools of bits and reshapes; +-1 in float32 for the next product.

    A sum of signs is an integer below 2^24, exact in float32.
    """
    assert link.staircase is not None
    integers = sums.numpy().astype(np.int32)
    bits = torch.from_numpy(link.staircase.apply(integers, axis).astype(np.float32))
    pools = iter(link.pools)
    for node in nodes:
        if _is_pool(model, node):
            shape = [1] * bits.dim()
            shape[axis] = -1
            turn = torch.from_numpy(next(pools).astype(np.float32)).reshape(shape)
            bits = _call(model, node, bits * turn) * turn
        elif _is_reshape(model, node):
            bits = _call(model, node, bits)
    return bits


# -------------------------------------------------------------------- structure


def _layer(model: Any, node: fx.Node) -> BinaryLayer | None:
    if node.op != "call_module":
        return None
    module = model.get_submodule(str(node.target))
    return module if isinstance(module, BinaryLayer) else None


def _is_pool(model: Any, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(model.get_submodule(str(node.target)), POOLS)


def _is_reshape(model: Any, node: fx.Node) -> bool:
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


def _follow(model: fx.GraphModule, start: fx.Node) -> _Path:
    """The only way from a binary layer to the next, or why there is none."""
    path, node, reshaped = _Path(), start, False
    while True:
        if len(node.users) != 1:
            what = "has no reader" if not node.users else "is read in several places (a shortcut)"
            return _Path(reason=f"{node.name} {what}: it needs real values")
        node = next(iter(node.users))
        if _layer(model, node) is not None:
            path.end = node
            return path
        if _is_reshape(model, node):
            reshaped = True
        elif not (_is_pool(model, node) or _is_channelwise(model, node)):
            return _Path(reason=f"{node.name} needs real values")
        elif reshaped and not _is_nothing(model, node):
            return _Path(reason=f"{node.name} stands behind a reshape that moves its channels")
        path.nodes.append(node)


def _link(model: fx.GraphModule, node: fx.Node, path: _Path) -> Link:
    name = str(node.target)
    layer = _layer(model, node)
    assert layer is not None
    if not layer.binary_weights:
        raise InputError(
            "the weights are not binary yet", where=name, hint="train the second stage first"
        )
    deploys = OPERATORS[layer.operator_name].deploys
    if path.end is None or deploys != "packed":
        reason = path.reason or f"operator {layer.operator_name} needs: {deploys}"
        return Link(name, reason=reason)
    following = _layer(model, path.end)
    assert following is not None
    if OPERATORS[following.operator_name].deploys != "packed":
        return Link(name, reason=f"{path.end.target} takes no signs: {following.operator_name}")
    # A border of 0 leaves taps out: its sums lie inside the same range.
    reach = layer.shape.taps
    try:
        levels, pooled = _levels(model, layer, path, reach)
        staircase = probe(levels, reach)
        pools = tuple(_pool_rule(values, levels) for values in pooled)
    except NoThreshold as error:
        return Link(name, reason=str(error))
    return Link(name, str(path.end.target), staircase, pools)


def _pool_rule(values: Array, levels: Array) -> Array:
    """[channels] 1 for OR, -1 for AND: whether the level rises or falls with the value that is pooled."""
    order = np.argsort(values, axis=0, kind="stable")
    steps = np.diff(np.take_along_axis(levels, order, axis=0).astype(np.int64), axis=0)
    rises, falls = (steps > 0).any(0), (steps < 0).any(0)
    if (rises & falls).any():
        raise NoThreshold("its bit rises and falls with the value that is pooled")
    return np.where(falls, -1, 1).astype(np.int8)


def _levels(
    model: fx.GraphModule, layer: BinaryLayer, path: _Path, reach: int
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
            if _is_pool(model, node):
                pooled.append(z.reshape(len(lattice), -1).numpy())
            elif _is_channelwise(model, node):
                z = _call(model, node, z)
        assert path.end is not None
        following = _layer(model, path.end)
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


def _call(model: Any, node: fx.Node, value: Tensor) -> Tensor:
    """`node` on `value` in place of its first input."""
    args = (value, *node.args[1:])
    if node.op == "call_module":
        return model.get_submodule(str(node.target))(*args, **node.kwargs)
    if node.op == "call_method":
        return getattr(value, str(node.target))(*args[1:], **node.kwargs)
    target: Any = node.target
    return target(*args, **node.kwargs)


def border_correction(layer: BinaryConv, positions: tuple[int, ...]) -> Any:
    """What a sum over borders of +1 has too much, against borders of 0: int32 [outputs, positions of the output].

    y_zero = y_one - C, so a kernel that knows bits only computes a zero-padded layer exactly.

    Args:
        positions: lengths of the layer's input.
    """
    weight = layer.signs().float()
    pads = [size for length in reversed(layer.padding) for size in (length, length)]
    ring = F.pad(torch.zeros(1, layer.shape.inputs, *positions), pads, value=1.0)
    convolve = F.conv1d if len(positions) == 1 else F.conv2d
    sums = convolve(ring, weight, None, layer.stride, 0, layer.dilation, layer.groups)
    return sums[0].numpy().astype(np.int32)
