"""Between two packed layers of a hub, arithmetic and sign become one threshold per output channel.

    z = d y + 1/2 - t        sgn(z) = 1 exactly where d y >= t, for the integer sum y and d = +-1

What stands between (norms, activations, a learned threshold, max pools) is run for every sum there can be and
read off as d and t (compress/binarization/thresholds.py); the layer's scale and bias become d and 1/2 - t, the
arithmetic goes. A max pool stays where it is: the maximum of z has the sign that is wanted where the sign rises with
the value that is pooled; where it falls (a norm of negative factor behind the pool) z is negated, and a Mul by -1
behind the pool turns it back. Signs are those of the network that was given, for every input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compress.binarization.thresholds import (
    NoThreshold,
    Staircase,
    channel_blocks,
    join,
    pool_rule,
    probe,
)
from .channelwise import channelwise
from .graph import Array, Graph, Node, make_node
from .infer import infer
from .judge import OWN_DOMAIN
from .metadata import finish, read_metadata

BINARY = ("BinaryConv", "BinaryGemm")


@dataclass(frozen=True)
class Path:
    """From a packed layer to value `end`, of which only signs are read: arithmetic and pools in order."""

    steps: list[Node]
    end: str


def fold_links(hub: Any) -> Any:
    """`hub` with thresholds between its packed layers; `hub` itself if there is nothing to fold."""
    graph = Graph.read(hub)
    folded = False
    for node in [n for n in graph.sorted_nodes() if is_binary(n)]:
        path = follow(graph, node)
        if path is not None:
            try:
                staircase, turn = _staircase(graph, node, path)
            except NoThreshold:
                continue  # the arithmetic stays
            _replace(graph, node, path, staircase, turn)
            folded = True
    if not folded:
        return hub
    infer(graph)
    return finish(graph, read_metadata(hub))


def is_binary(node: Node) -> bool:
    """True for a packed layer of signs."""
    return node.domain == OWN_DOMAIN and node.op in BINARY


def only_signs(graph: Graph, name: str) -> bool:
    """True if nothing of value `name` is read but its signs: by packed layers, maybe behind pads, pools, reshapes."""
    users = graph.users(name)
    if not users or name in graph.outputs:
        return False
    for user in users:
        if is_binary(user):
            continue
        moves = not user.domain and user.op in ("Pad", "Flatten", "Reshape", "MaxPool")
        if not moves or user.input(0) != name or len(user.outputs) > 1:
            return False
        if user.op == "Pad" and user.get("mode", "constant") != "constant":
            return False
        if not only_signs(graph, user.outputs[0]):
            return False
    return True


def sign_nodes(hub: Any) -> tuple[str, ...]:
    """Names of nodes that hand signs from packed layer to packed layer: quantizing their values would be idle."""
    graph = Graph.read(hub)
    found: dict[Node, None] = {}
    for node in reversed(graph.sorted_nodes()):
        users = graph.users(node.outputs[0]) if node.outputs else []
        ready = all(is_binary(user) or user in found for user in users)
        if users and ready and node.outputs[0] not in graph.outputs and _keeps_signs(graph, node):
            found[node] = None
    return tuple(node.name for node in found)


def _keeps_signs(graph: Graph, node: Node) -> bool:
    if node.domain:
        return False
    if node.op == "Mul":
        factors = [graph.constants[n] for n in node.inputs if n in graph.constants]
        return any(bool((np.abs(f) == 1).all()) for f in factors)
    return node.op in ("Pad", "Flatten", "Reshape", "MaxPool")


def follow(graph: Graph, node: Node) -> Path | None:
    """The way to the next signs; None where a real value is read, or no arithmetic stands between."""
    steps: list[Node] = []
    name, channels = node.outputs[0], _channels(graph, node)
    while True:
        if steps and steps[-1].op != "MaxPool" and only_signs(graph, name):
            return None if _is_folded(graph, node, steps) else Path(steps, name)
        user = graph.only_user(name)
        pool = user is not None and not user.domain and user.op == "MaxPool"
        if user is None or not (pool or channelwise(graph, user, name, channels)):
            return None
        steps.append(user)
        name = user.outputs[0]


def _is_folded(graph: Graph, node: Node, steps: list[Node]) -> bool:
    """True for what this pass writes: scales of +-1, pools, a Mul by +-1."""
    factors = [graph.constants[node.input(3)]]
    for step in steps:
        if step.op == "Mul":
            factors += [graph.constants[n] for n in step.inputs if n in graph.constants]
        elif step.op != "MaxPool":
            return False
    return all(bool((np.abs(f) == 1).all()) for f in factors)


def _channels(graph: Graph, node: Node) -> tuple[int, int]:
    """(number of output channels, their axis) of a packed layer."""
    count = int(graph.constants[node.input(2)][0])
    return count, 1 if node.op == "BinaryConv" else graph.rank(node.outputs[0]) - 1


def _staircase(graph: Graph, node: Node, path: Path) -> tuple[Staircase, Array]:
    """Thresholds of the signs at the path's end, and per channel 1 or -1: they rise or fall with what is pooled.

    Raises:
        NoThreshold: signs that rise and fall, or two pools that want different things of one channel.
    """
    shape = tuple(int(n) for n in graph.constants[node.input(2)])
    reach, count = int(np.prod(shape[1:])), shape[0]
    sums = np.arange(-reach, reach + 1, dtype=np.float32)[:, None]
    blocks = channel_blocks(reach, count)
    parts = [_probe(graph, node, path, sums, block) for block in blocks]
    return join([stairs for stairs, _ in parts]), np.concatenate([turn for _, turn in parts])


def _probe(
    graph: Graph, node: Node, path: Path, sums: Array, block: slice
) -> tuple[Staircase, Array]:
    """`_staircase` of a block of channels: the arithmetic is run for every sum."""
    channels = _channels(graph, node)
    scale, bias = (
        np.broadcast_to(graph.constants[node.input(i)].reshape(-1), channels[:1])[block]
        for i in (3, 4)
    )
    values, name = sums * scale + bias, node.outputs[0]
    pooled = []
    for step in path.steps:
        if step.op == "MaxPool":
            pooled.append(values)
        else:
            function = channelwise(graph, step, name, channels)
            assert function is not None
            values = function(values, block)
        name = step.outputs[0]
    levels = np.where(values < 0, -1, 1).astype(np.int8)
    stairs = probe(levels, len(sums) // 2)
    rules = [pool_rule(p, levels) for p in pooled]
    if any((rule != rules[0]).any() for rule in rules):
        raise NoThreshold("two pools want different things of one channel")
    return stairs, rules[0] if rules else np.ones(levels.shape[1], np.int8)


def _replace(graph: Graph, node: Node, path: Path, staircase: Staircase, turn: Array) -> None:
    """Thresholds for scale and bias; of the steps only pools stay. Values that changed get other names."""
    rank = graph.constants[node.input(3)].ndim
    base, shape = node.scope or node.outputs[0], (-1, *(1,) * (rank - 1))
    made = {"scale": turn * staircase.direction, "bias": turn * (0.5 - staircase.at[:, 0])}
    for index, (what, values) in enumerate(made.items(), start=3):
        stored = values.astype(np.float32).reshape(shape)
        graph.set_input(node, index, graph.constant(f"{base}_{what}", stored))
    last = node
    for step in path.steps:
        graph.remove(step)
    for step in [s for s in path.steps if s.op == "MaxPool"]:
        step.inputs[0] = last.outputs[0]
        last = graph.add(step)
    if last.outputs[0] != path.end:
        graph.replace_uses(path.end, last.outputs[0])
    readers = graph.users(last.outputs[0])
    for step in dict.fromkeys((node, *_behind(graph, node.outputs[0]))):
        graph.rename_output(step, 0, graph.fresh(f"{step.outputs[0]}.sign"))
    if (turn == 1).all():
        return
    factor = graph.constant(f"{base}_turn", turn.astype(np.float32).reshape(shape))
    turned = graph.fresh(f"{path.end}.sign")
    graph.add(make_node("Mul", [last.outputs[0], factor], [turned], turned, node.scope))
    for reader in readers:
        graph.set_input(reader, reader.inputs.index(last.outputs[0]), turned)


def _behind(graph: Graph, name: str) -> list[Node]:
    """Nodes up to the packed layers that read value `name`: their values keep nothing but signs."""
    found: list[Node] = []
    for user in graph.users(name):
        if not is_binary(user):
            found += [user, *_behind(graph, user.outputs[0])]
    return found
