"""Packed layers of the neutral graph become nodes of domain "lce", one per operator of Larq Compute Engine.

    Quantize      real values -> bits, 32 channels to an int32, bit 1 for -1
    Bconv2d       bits, a constant filter of signs -> real values, or bits again by thresholds
    BMaxPool2d    bits -> bits

Bits flow from a layer to the next where nothing but max pools and factors +-1 stand between (binary_links.py makes
it so). A channel whose bits rise as the wanted sign falls is stored inverted ("turn"): its maximum pool is then the
minimum that is wanted, and its readers' filters are turned. Values of bits have shape [N, words, H, W] here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compress.binarization.thresholds import Staircase, channel_blocks, join, probe
from ..onnx.functions import unpack_signs
from .absorb import without_dead_nodes
from .lce_bits import words
from .lce_reading import Reading, Readings, is_binary, pair, plain_pool, reads_rows
from .neutral import Array, Graph, Node, Value

LCE = "lce"
"""Domain of the nodes made here."""

BINARY = ("BinaryConv", "BinaryGemm")
Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class Bits:
    """A value of bits, and per channel 1, or -1 where they are stored inverted."""

    name: str
    turn: Array


def rewrite(graph: Graph) -> Graph:
    """`graph`, changed in place: no node of the packed functions is left."""
    return _Rewriter(graph).run()


class _Rewriter:
    def __init__(self, graph: Graph):
        self.graph, self.values = graph, graph.values
        self.asked = Readings(graph)
        self.readers, self.makers = self.asked.readers, self.asked.makers
        self.nodes: list[Node] = []
        self.bits: dict[tuple[str, bool], Bits] = {}  # (real value, channels lie last) -> its signs

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if is_binary(node):
                self._layer(node)
            else:
                self.nodes.append(node)
        self.graph.nodes = self.nodes
        return without_dead_nodes(self.graph)

    # --- bits -------------------------------------------------------------------------------------

    def _bits_of(self, name: str, rows: bool) -> Bits:
        """Bits of a real value, made on first use."""
        key = (name, rows)
        if key not in self.bits:
            maker = self.makers.get(name)
            pools = maker is not None and maker.operator == "MaxPool" and not maker.domain
            if maker is not None and pools and not rows and self.asked.only_signs(name):
                self.bits[key] = self._pooled(maker)
            else:
                self.bits[key] = self._quantized(name, rows)
        return self.bits[key]

    def _quantized(self, name: str, rows: bool) -> Bits:
        shape = self.values[name].shape
        channels = shape[-1] if rows else shape[1]
        image = (1, 1, int(np.prod(shape[:-1]))) if rows else (shape[0], *(1, *shape[2:])[-2:])
        value = self._value(name, image, channels)
        self._add(name, "Quantize", (name,), value, {"rows": rows})
        return Bits(value, np.ones(channels, np.int8))

    def _pooled(self, pool: Node) -> Bits:
        source = self._bits_of(self.asked.integers(pool.inputs[0]), rows=False)
        shape = self.values[pool.outputs[0]].shape
        value = self._value(pool.outputs[0], (shape[0], *(1, *shape[2:])[-2:]), shape[1])
        self._add(pool.name, "BMaxPool2d", (source.name,), value, dict(pool.attributes))
        return Bits(value, source.turn)

    # --- layers -----------------------------------------------------------------------------------

    def _layer(self, node: Node) -> None:
        reading = self.asked.reading(node)
        rows = reads_rows(node, reading)
        bits = self._bits_of(reading.source, rows)
        signs = self._signs(node, reading)
        per_group = signs.shape[1]
        turn = bits.turn.reshape(-1, per_group)  # one row a group
        group = int(node.attributes.get("group", 1))
        rising = np.repeat(turn, len(signs) // group, axis=0)
        signs = signs * rising[:, :, None, None]
        scale, bias = (
            np.broadcast_to(self.values[n].real().reshape(-1), (len(signs),)).astype(np.float32)
            for n in node.inputs[3:5]
        )
        attributes = {
            "signs": signs,
            "scale": scale,
            "bias": bias,
            "group": group,
            "strides": pair(node.attributes.get("strides", [1]), 1),
            "dilations": pair(node.attributes.get("dilations", [1]), 1),
            "pads": reading.pads,
            "fill": reading.fill,
            "fill_turn": bits.turn,
            "rows": node.operator == "BinaryGemm",
        }
        if not any(reading.pads) or reading.fill:
            link = self._link(node)
            if link is not None:
                self._packed(node, bits, attributes, link)
                return
        self.nodes.append(Node(node.name, "Bconv2d", (bits.name,), node.outputs, attributes, LCE))

    def _signs(self, node: Node, reading: Reading) -> Array:
        """int8 [outputs, inputs of a group, kernel rows, kernel columns] of a layer."""
        shape = tuple(int(n) for n in self._data(node.inputs[2]))
        signs = unpack_signs(self._data(node.inputs[1]), shape)
        if reading.flattened:
            image = self.values[reading.source].shape
            return signs.reshape(shape[0], image[1], *(1, *image[2:])[-2:])
        return signs.reshape(*shape[:2], *(1, 1, *shape[2:])[-2:])

    def _data(self, name: str) -> Array:
        data = self.values[name].data
        assert data is not None
        return data

    def _link(self, node: Node) -> tuple[list[Node], Array] | None:
        """Pools and Muls on the way to where only signs are read, and factors +-1 per channel; None: no way."""
        steps: list[Node] = []
        name, channels = node.outputs[0], int(self._data(node.inputs[2])[0])
        factors = np.ones(channels, np.int8)
        while not self.asked.only_signs(name):
            readers = self.readers.get(name, [])
            if len(readers) != 1 or name in self.graph.outputs or readers[0].domain:
                return None
            step = readers[0]
            if step.operator == "Mul":
                found = self._turns(step, name, channels)
                if found is None:
                    return None
                factors = factors * found
            elif step.operator != "MaxPool" or not plain_pool(step) or (factors < 0).any():
                return None
            steps.append(step)
            name = step.outputs[0]
        rows = node.operator == "BinaryGemm"
        layers = self.asked.layers_behind(name)
        if any(reads_rows(layer, self.asked.reading(layer)) != rows for layer in layers):
            return None  # packed along another axis than it is read
        return steps, factors

    def _turns(self, node: Node, name: str, channels: int) -> Array | None:
        """+-1 per channel that a Mul multiplies by; None for other factors."""
        other = self.values[node.inputs[1 - node.inputs.index(name)]]
        if other.data is None or not np.isin(other.real(), (-1, 1)).all():
            return None
        if node.activation != "NONE" or other.data.size not in (1, channels):
            return None
        if other.data.size == channels > 1 and len(self.values[name].shape) > 2:
            axis = other.data.ndim - len(self.values[name].shape) + 1
            if axis < 0 or other.data.shape[axis] != channels:
                return None
        return np.broadcast_to(other.real().reshape(-1), (channels,)).astype(np.int8)

    def _packed(
        self, node: Node, bits: Bits, attributes: dict[str, Any], link: tuple[list[Node], Array]
    ) -> None:
        """A layer that gives bits: thresholds on popcounts, and its pools behind it."""
        steps, factors = link
        pools = [step for step in steps if step.operator == "MaxPool"]
        turn = factors if pools else np.ones_like(factors)
        signs, threshold = thresholds(
            attributes["signs"], attributes["scale"], attributes["bias"], factors * turn
        )
        attributes = {**attributes, "signs": signs, "threshold": threshold}
        shape = self.values[node.outputs[0]].shape
        rows = attributes["rows"]
        image = (1, 1, int(np.prod(shape[:-1]))) if rows else (shape[0], *(1, *shape[2:])[-2:])
        value = self._value(node.outputs[0], image, len(signs))
        self._add(node.name, "Bconv2d", (bits.name,), value, attributes)
        made = Bits(value, turn)
        self.bits[node.outputs[0], rows] = made
        for step in steps:
            if step.operator == "MaxPool":
                made = self._pooled_from(made, step)
            self.bits[step.outputs[0], rows] = made

    def _pooled_from(self, source: Bits, pool: Node) -> Bits:
        self.bits[pool.inputs[0], False] = source
        return self._pooled(pool)

    # --- making -----------------------------------------------------------------------------------

    def _value(self, name: str, image: tuple[int, ...], channels: int) -> str:
        """A new value of bits for images (N, H, W)."""
        count, height, width = image
        made = self._fresh(f"{name}/bits")
        self.values[made] = Value(made, (count, words(channels), height, width), "int32")
        return made

    def _fresh(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self.values:
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def _add(
        self, name: str, operator: str, inputs: tuple[str, ...], output: str, attributes: Any
    ) -> None:
        self.nodes.append(Node(name, operator, inputs, (output,), attributes, LCE))


def thresholds(signs: Array, scale: Array, bias: Array, factors: Array) -> tuple[Array, Array]:
    """Filter and popcount thresholds of a layer that gives bits.

    The bit of channel c is 1 (-1) where popcount(a xor w) > threshold[c], that is where
    factor (y scale + bias) < 0 for y = K - 2 popcount; float32 rounding of that line included. Channels whose sign
    falls with y get the opposite filter.

    Returns:
        int8 signs [outputs, inputs, rows, columns], int32 thresholds [outputs].
    """
    taps = int(np.prod(signs.shape[1:]))
    sums = np.arange(-taps, taps + 1, dtype=np.float32)[:, None]

    def read(block: slice) -> Staircase:
        real = (sums * scale[block] + bias[block]) * factors[block]
        return probe(np.where(real < 0, -1, 1).astype(np.int8), taps)

    stairs = join([read(block) for block in channel_blocks(taps, len(signs))])
    at = stairs.at[:, 0].astype(np.int64)
    limits = np.iinfo(np.int32)
    made = np.floor_divide(taps - at, 2)
    made = np.where(at > taps, limits.min, np.where(at <= -taps, limits.max, made))
    return signs * stairs.direction[:, None, None, None], made.astype(np.int32)
