"""Packed one-bit functions as standard operators, for writers that know no functions.

    BinaryConv -> Less, Where, Conv over DequantizeLinear(int8 +-1, scale 1), Mul, Add

The weights stay integers of one byte, and the product stays an exact sum of signs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from .functions import BODIES, unpack_codes, unpack_signs
from .graph import Graph, Node, make_node
from .infer import infer
from .judge import OWN_DOMAIN
from .metadata import finish, read_metadata


def expand(hub: Any, keep: Collection[tuple[str, str]] = (), spare: Collection[str] = ()) -> Any:
    """A hub without packed functions; `hub` itself if there is nothing to do.

    Args:
        keep: (domain, name) of functions that stay.
        spare: outputs of nodes that stay.
    """
    wanted = {name for name in BODIES if (OWN_DOMAIN, name) not in keep}
    graph = Graph.read(hub)
    chosen = [
        node
        for node in graph.nodes
        if node.domain == OWN_DOMAIN and node.op in wanted and node.outputs[0] not in spare
    ]
    if not chosen:
        return hub
    for node in chosen:
        _expand(graph, node)
    used = {n.op for n in graph.nodes if n.domain == OWN_DOMAIN}
    graph.functions = [f for f in graph.functions if f.domain != OWN_DOMAIN or f.name in used]
    if not used:
        graph.domains.pop(OWN_DOMAIN, None)
    infer(graph)
    return finish(graph, read_metadata(hub))


def _expand(graph: Graph, node: Node) -> None:
    shape = tuple(int(n) for n in graph.constants[node.input(2)])
    unpack = unpack_codes if node.op == "TernaryGemm" else unpack_signs
    integers = unpack(graph.constants[node.input(1)], shape)
    graph.remove(node)
    x = node.input(0) if node.op == "TernaryGemm" else _sign(graph, node)
    ending = "" if node.op == "TernaryGemm" else "_product"
    value = graph.fresh(f"{node.name}{ending}") if ending else node.outputs[0]
    if node.op == "BinaryConv":
        weight = _dequantized(graph, node, integers)
        keys = ("strides", "pads", "dilations", "group")
        attributes = {key: node.get(key) for key in keys}
        attributes["kernel_shape"] = list(shape[2:])
        product = make_node("Conv", [x, weight], [value], value, node.scope, **attributes)
    elif graph.rank(node.input(0)) == 2:
        weight = _dequantized(graph, node, integers)
        product = make_node("Gemm", [x, weight], [value], value, node.scope, transB=1)
    else:
        weight = _dequantized(graph, node, integers.T, axis=1)
        product = make_node("MatMul", [x, weight], [value], value, node.scope)
    graph.add(product)
    if ending:
        scaled = graph.fresh(f"{node.name}_scaled")
        graph.add(make_node("Mul", [value, node.input(3)], [scaled], scaled, node.scope))
        graph.add(
            make_node("Add", [scaled, node.input(4)], [node.outputs[0]], node.name, node.scope)
        )


def _sign(graph: Graph, node: Node) -> str:
    """Where(x < 0, -1, 1)."""
    test, value = graph.fresh(f"{node.name}_negative"), graph.fresh(f"{node.name}_sign")
    numbers = {
        text: graph.constant(f"{node.name}_{text}", np.float32(number))
        for text, number in (("zero", 0.0), ("minus_one", -1.0), ("one", 1.0))
    }
    graph.add(make_node("Less", [node.input(0), numbers["zero"]], [test], test, node.scope))
    inputs = [test, numbers["minus_one"], numbers["one"]]
    graph.add(make_node("Where", inputs, [value], value, node.scope))
    return value


def _dequantized(graph: Graph, node: Node, integers: Any, axis: int = 0) -> str:
    """The weight as int8 with a scale of 1 per output channel, which lies on `axis`."""
    count = integers.shape[axis]
    base = f"{node.name}_weight"
    stored = graph.constant(f"{base}_int8", integers.astype(np.int8))
    scale = graph.constant(f"{base}_scale", np.ones(count, np.float32))
    zero = graph.constant(f"{base}_zero", np.zeros(count, np.int8))
    value = graph.fresh(base)
    graph.add(make_node("DequantizeLinear", [stored, scale, zero], [value], value, axis=axis))
    return value
