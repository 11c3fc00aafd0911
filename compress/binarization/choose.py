"""Which layers of a traced model become binary.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable
from typing import Any

from torch import fx, nn

from ...runtime.errors import UsageError
from .records import BinarizeConfig, LayerChoice

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
OTHERS = (nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.GRU, nn.LSTM, nn.RNN)
"""Layers with weights that have no binary form; they count as first or last layers all the same."""

JOINS = frozenset({"add", "iadd", "add_", "cat", "concat"})


def choose(traced: fx.GraphModule, config: BinarizeConfig) -> tuple[LayerChoice, ...]:
    """One row per layer with weights, in the order of the graph.

    Raises:
        UsageError: a pattern of `keep_float` matches no layer, or nothing is left to binarize.
    """
    nodes = layer_nodes(traced)
    first = {n for n in nodes if not _any_before(n, nodes)}
    last = {n for n in nodes if not _any_after(n, nodes)}
    names = {str(n.target) for n in nodes}
    for pattern in config.keep_float:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"no layer matches {pattern!r} of keep_float",
                hint=f"layers: {', '.join(sorted(names))}",
            )
    rows: dict[str, LayerChoice] = {}
    for node in nodes:
        layer: Any = traced.get_submodule(str(node.target))
        reason = _reason(node, layer, config, node in first, node in last)
        known = rows.get(str(node.target))
        if known is None or known.binary:
            weights = sum(p.numel() for n, p in layer.named_parameters() if "weight" in n)
            rows[str(node.target)] = LayerChoice(
                str(node.target), type(layer).__name__, weights, not reason, reason
            )
    if not any(row.binary for row in rows.values()):
        raise UsageError(
            "no layer of the model would become binary",
            hint="; ".join(f"{row.name}: {row.reason}" for row in rows.values())
            or "it has no layers with weights",
        )
    return tuple(rows.values())


def layer_nodes(traced: fx.GraphModule) -> list[fx.Node]:
    """Calls of layers with weights."""
    kinds = (*LAYERS, *OTHERS)
    return [
        n
        for n in traced.graph.nodes
        if n.op == "call_module" and isinstance(traced.get_submodule(str(n.target)), kinds)
    ]


def _reason(
    node: fx.Node, layer: Any, config: BinarizeConfig, is_first: bool, is_last: bool
) -> str:
    """Why the layer stays real, "" if it becomes binary."""
    if any(fnmatch.fnmatchcase(str(node.target), pattern) for pattern in config.keep_float):
        return "asked for"
    if type(layer) not in LAYERS:
        return "has no binary form"
    if is_first and not config.first:
        return "first layer"
    if is_last and not config.last:
        return "last layer"
    if isinstance(layer, nn.Linear):
        return ""
    if isinstance(layer.padding, str) and layer.padding != "valid":
        return "padding='same'"
    if any(p != "valid" for p in [layer.padding] if isinstance(p, str)):
        return "padding in words"
    if layer.padding_mode != "zeros":
        return f"padding mode {layer.padding_mode}"
    if layer.groups > 1 and layer.groups == layer.in_channels and not config.depthwise:
        return "depthwise: few taps"
    if not config.shortcuts and set(layer.kernel_size) == {1} and is_shortcut(node):
        return "1x1 shortcut"
    return ""


def is_shortcut(node: fx.Node) -> bool:
    """True if the layer's input is used elsewhere, too, and its output enters a join without another layer."""
    source = node.args[0]
    if not isinstance(source, fx.Node) or len(source.users) < 2:
        return False
    value = node
    while len(value.users) == 1:
        value = next(iter(value.users))
        name = getattr(value.target, "__name__", str(value.target))
        if name in JOINS:
            return True
        if value.op == "output" or len(value.all_input_nodes) != 1:
            return False
    return False


def _any_before(node: fx.Node, nodes: list[fx.Node]) -> bool:
    return _meets(node, nodes, lambda n: n.all_input_nodes)


def _any_after(node: fx.Node, nodes: list[fx.Node]) -> bool:
    return _meets(node, nodes, lambda n: n.users)


def _meets(
    node: fx.Node, nodes: list[fx.Node], step: Callable[[fx.Node], Iterable[fx.Node]]
) -> bool:
    """True if another node of `nodes` lies in the direction of `step`."""
    wanted, seen, open_ = set(nodes), {node}, list(step(node))
    while open_:
        here = open_.pop()
        if here in wanted:
            return True
        if here not in seen:
            seen.add(here)
            open_.extend(step(here))
    return False
