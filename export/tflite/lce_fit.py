"""Which packed layers Larq Compute Engine's convolution cannot hold, and why: they become int8 signs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..onnx.graph import Graph, Node
from ..onnx.infer import infer
from ..onnx.judge import OWN_DOMAIN
from .lce_bits import WORD_BITS
from .lce_reading import BINARY, pads_of, pair
from .lce_window import zero_borders
from .window import Window

EXACT_TAPS = 1 << 24
"""Sums are int32 and leave as float32: up to here each is exact."""


def split(hub: Any) -> tuple[frozenset[str], tuple[tuple[str, str], ...]]:
    """(outputs of packed layers that LCE takes, (output, reason) of the others)."""
    graph = Graph.read(hub)
    if any(graph.shape(node.input(0)) is None for node in graph.nodes if node.domain):
        infer(graph)
    layers = [n for n in graph.sorted_nodes() if n.domain == OWN_DOMAIN]
    reasons = {node.outputs[0]: _reason(graph, node) for node in layers}
    taken = frozenset(name for name, reason in reasons.items() if not reason)
    return taken, tuple((name, reason) for name, reason in reasons.items() if reason)


def _reason(graph: Graph, node: Node) -> str:
    """Why a packed layer has no LceBconv2d, "" if it has one."""
    if node.op not in BINARY:
        return f"{node.op} has weights of more than one bit"
    shape = tuple(int(n) for n in graph.constants[node.input(2)])
    if int(np.prod(shape[1:])) > EXACT_TAPS:
        return "sums of more than 2^24 signs are not exact in float32"
    if node.op == "BinaryGemm":
        return ""
    group = node.get("group", 1)
    if len(shape) not in (3, 4):
        return f"a convolution over {len(shape) - 2} axes"
    if group > 1 and shape[1] % WORD_BITS:
        return f"groups of {shape[1]} channels: LCE takes multiples of {WORD_BITS}"
    pads = pads_of(node.get("pads", []))
    if not any(pads):
        return ""
    source = graph.shape(node.input(0))
    if source is None:
        return "a shape is unknown"
    size = (1, *source[2:])[-2:]
    window = Window(
        (size[0], size[1]),
        pair((1, *shape[2:])[-2:], 1),
        pair(node.get("strides", [1]), 1),
        pair(node.get("dilations", [1]), 1),
        pads[:2],
        pads[2:],
    )
    if zero_borders(window) is None:
        return f"borders of 0 as wide as {list(pads)}: LCE pads with 0 only as SAME does"
    return ""
