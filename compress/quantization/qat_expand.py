"""Calls that become several: splits are slices, SiLU and hard sigmoid are spelled out in operators int8 knows.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from ...runtime.errors import UnsupportedOperatorError

_SPLITS = {torch.chunk, torch.split, torch.tensor_split, "chunk", "split", "tensor_split"}
_HINT = "use post-training quantization for this model, or write the layer with supported calls"


def expand(traced: fx.GraphModule) -> None:
    """Replace every call that has no single operator."""
    for node in list(traced.graph.nodes):
        target = node.target
        if node.op == "call_module":
            target = type(traced.get_submodule(str(target)))
        if target in _SPELLED_OUT and node.op in ("call_module", "call_function"):
            _spell_out(traced.graph, node, _SPELLED_OUT[target])
        elif node.op in ("call_function", "call_method") and target in _SPLITS:
            _split_to_slices(traced, node)


Step = tuple[Callable[..., Any], tuple[Any, ...]]
"""A call; "x" stands for the source of all steps, "y" for the value of the step before."""

_SILU: tuple[Step, ...] = ((torch.sigmoid, ("x",)), (torch.mul, ("x", "y")))
_HARD_SIGMOID: tuple[Step, ...] = (
    (torch.add, ("x", 3.0)),
    (torch.clamp, ("y", 0.0, 6.0)),
    (torch.mul, ("y", 1.0 / 6.0)),
)
_SPELLED_OUT: dict[Any, tuple[Step, ...]] = {
    F.silu: _SILU,
    nn.SiLU: _SILU,
    F.hardsigmoid: _HARD_SIGMOID,
    nn.Hardsigmoid: _HARD_SIGMOID,
}


def _spell_out(graph: fx.Graph, node: fx.Node, steps: tuple[Step, ...]) -> None:
    source = node.args[0]
    value: Any = source
    for function, names in steps:
        args = tuple(source if a == "x" else value if a == "y" else a for a in names)
        with graph.inserting_before(node):
            value = graph.call_function(function, args)
        value.meta = {"shape": node.meta["shape"], "tail": node.meta["tail"]}
    node.replace_all_uses_with(value)
    graph.erase_node(node)


def describe(node: fx.Node, module: Any = None) -> str:
    """A name a user recognises: the class of a module, the name of a function."""
    if module is not None:
        return type(module).__name__
    return str(getattr(node.target, "__name__", node.target))


def unsupported(node: fx.Node, module: Any, reason: str = "") -> UnsupportedOperatorError:
    """The error that names a call, where it stands and what to do."""
    where = str(node.target) if module is not None else node.name
    return UnsupportedOperatorError(
        f"training with quantizers does not know {describe(node, module)}"
        + (f": {reason}" if reason else ""),
        where=where,
        hint=_HINT,
    )


def _split_to_slices(traced: fx.GraphModule, node: fx.Node) -> None:
    """`a, b = chunk(x, 2, 1)` becomes two narrow calls: slices keep the scale, tuples have none."""
    source = node.args[0]
    dim = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
    for user in list(node.users):
        if getattr(user.target, "__name__", "") != "getitem":
            raise unsupported(node, None, "its parts must be taken by constant positions")
        length = user.meta["shape"][dim]
        start = _offset(node, user.args[1], dim)
        with traced.graph.inserting_before(user):
            new = traced.graph.call_function(torch.narrow, (source, dim, start, length))
        new.meta = dict(user.meta)
        user.replace_all_uses_with(new)
        traced.graph.erase_node(user)


def _offset(node: fx.Node, position: Any, dim: int) -> int:
    """Where part `position` of a split begins: all parts but the last have equal length."""
    total = node.args[0].meta["shape"][dim]
    sizes = node.args[1] if len(node.args) > 1 else next(iter(node.kwargs.values()), None)
    if isinstance(sizes, (tuple, list)):
        return int(sum(sizes[:position]))
    if str(getattr(node.target, "__name__", node.target)) == "split":
        return int(position * sizes)
    if total % sizes:
        raise unsupported(node, None, f"{total} does not split evenly into {sizes}")
    return int(position * (total // sizes))
