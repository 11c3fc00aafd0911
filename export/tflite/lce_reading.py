"""What packed layers of the neutral graph read: real values behind pads and reshapes that bits can do as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..onnx.judge import OWN_DOMAIN
from .neutral import BORDER, Graph, Node

BINARY = ("BinaryConv", "BinaryGemm")

Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class Reading:
    """What a packed layer reads: the real value behind pads and reshapes, pads (top, left, bottom, right), their sign.

    `flattened`: a dense layer reads the whole image.
    """

    source: str
    pads: Pads
    fill: int
    flattened: bool


class Readings:
    """A graph asked for what its packed layers read, and for values of which only signs are read."""

    def __init__(self, graph: Graph):
        self.graph, self.values = graph, graph.values
        self.readers = graph.consumers()
        self.makers = {name: node for node in graph.nodes for name in node.outputs}

    def reading(self, node: Node) -> Reading:
        """Strip a dequantization, a reshape and a pad in front of the sign: bits can do the same."""
        source, pads, fill, flattened = node.inputs[0], (0, 0, 0, 0), 0, False
        if node.operator == "BinaryConv":
            pads = pads_of(list(node.attributes.get("pads") or []))
        maker = self.makers.get(source)
        if node.operator == "BinaryGemm" and maker is not None and self._flattens(maker):
            source, flattened = maker.inputs[0], True
            maker = self.makers.get(source)
        elif maker is not None and maker.operator == "Pad" and not any(pads):
            found = self._sign_pads(maker)
            if found is not None:
                source, (pads, fill) = maker.inputs[0], found
        return Reading(self.integers(source), pads, fill, flattened)

    def _flattens(self, node: Node) -> bool:
        """A reshape of images [N, C, ...] to rows [N, everything]."""
        if node.domain or node.operator not in ("Flatten", "Reshape"):
            return False
        before, after = (self.values[n].shape for n in (node.inputs[0], node.outputs[0]))
        return len(before) in (3, 4) and len(after) == 2 and before[0] == after[0]

    def _sign_pads(self, node: Node) -> tuple[Pads, int] | None:
        """Spatial pads and the sign of what they hold; None for other pads."""
        amounts = self.values.get(node.inputs[1])
        rank = len(self.values[node.inputs[0]].shape)
        plain = node.domain == "" and node.attributes.get("mode", "constant") == "constant"
        if not plain or len(node.inputs) > 3 or amounts is None or amounts.data is None:
            return None
        if rank not in (3, 4):
            return None
        numbers = [int(n) for n in amounts.data.reshape(-1)]
        if any(numbers[i] for i in (0, 1, rank, rank + 1)) or min(numbers) < 0:
            return None
        filler = self.values.get(node.inputs[2]) if len(node.inputs) > 2 else None
        number = 0.0 if filler is None else float(filler.real().reshape(-1)[0])
        return pads_of([*numbers[2:rank], *numbers[rank + 2 :]]), -1 if number < 0 else 1

    def integers(self, name: str) -> str:
        """The int8 value behind a dequantization: its sign is that of q - zero point."""
        maker = self.makers.get(name)
        if maker is not None and maker.domain == BORDER and maker.operator == "Dequantize":
            return maker.inputs[0]
        return name

    def layers_behind(self, name: str) -> list[Node]:
        """Packed layers that read a value of which only signs are read."""
        found: list[Node] = []
        for node in self.readers[name]:
            found += [node] if is_binary(node) else self.layers_behind(node.outputs[0])
        return found

    def only_signs(self, name: str) -> bool:
        """True if packed layers alone read value `name`, directly or behind pads, pools and reshapes they strip."""
        readers = self.readers.get(name, [])
        if not readers or name in self.graph.outputs:
            return False
        return all(is_binary(node) or self._hands_on(node, name) for node in readers)

    def _hands_on(self, node: Node, name: str) -> bool:
        if node.inputs[0] != name or not self.only_signs(node.outputs[0]):
            return False
        if node.operator == "MaxPool" and node.domain == "":
            return plain_pool(node)
        layers = [n for n in self.readers[node.outputs[0]] if is_binary(n)]
        if len(layers) != len(self.readers[node.outputs[0]]):
            return False
        return all(self.reading(layer).source == name for layer in layers)


def reads_rows(node: Node, reading: Reading) -> bool:
    """True if a packed layer multiplies along the last axis: a dense one that flattens no image."""
    return node.operator == "BinaryGemm" and not reading.flattened


def is_binary(node: Node) -> bool:
    """True for a packed layer of signs."""
    return node.domain == OWN_DOMAIN and node.operator in BINARY


def plain_pool(node: Node) -> bool:
    """A pool without dilation, indices or a fused activation."""
    dilated = any(d != 1 for d in node.attributes.get("dilations") or [1])
    indices = len([name for name in node.outputs if name]) > 1
    return not dilated and not indices and node.activation == "NONE"


def pads_of(numbers: list[int]) -> Pads:
    """ONNX's pads of one or two axes as (top, left, bottom, right); none are zeros, as files leave them out."""
    half = len(numbers) // 2
    before, after = ([0] * (2 - half) + numbers[i : i + half] for i in (0, half))
    return before[0], before[1], after[0], after[1]


def pair(numbers: Any, filler: int) -> tuple[int, int]:
    """(H, W) of an attribute over one or two axes; `filler` where there is one."""
    values = [int(n) for n in numbers]
    return (filler, values[0]) if len(values) == 1 else (values[0], values[1])
