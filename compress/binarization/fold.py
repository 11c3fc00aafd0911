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

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx

from ...runtime.errors import InputError
from .fold_links import Link, Path, call_node, follow, is_pool, is_reshape, layer_of, make_link
from .layers import BinaryConv


def fold(model: fx.GraphModule) -> Folded:
    """The integer form of a binarized model, which stays as it is.

    Raises:
        InputError: the model has no binary layers, or its weights are not binary yet (first training stage).
    """
    layers = [n for n in model.graph.nodes if layer_of(model, n) is not None]
    if not layers:
        raise InputError("the model has no binary layers", hint="binarize it first")
    links: dict[fx.Node, Link] = {}
    paths: dict[fx.Node, Path] = {}
    with torch.no_grad():
        for node in layers:
            path = follow(model, node)
            link = make_link(model, node, path)
            links[node] = link
            if link.staircase is not None:
                paths[node] = path
    return Folded(model, links, paths)


class Folded(fx.Interpreter):
    """Runs a binarized model with thresholds where they can be; call it like the model (batch first)."""

    def __init__(
        self, model: fx.GraphModule, links: dict[fx.Node, Link], paths: dict[fx.Node, Path]
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
        layer = layer_of(self.module, n)
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
        if is_pool(model, node):
            shape = [1] * bits.dim()
            shape[axis] = -1
            turn = torch.from_numpy(next(pools).astype(np.float32)).reshape(shape)
            bits = call_node(model, node, bits * turn) * turn
        elif is_reshape(model, node):
            bits = call_node(model, node, bits)
    return bits


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
