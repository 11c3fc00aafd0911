"""A hub as a QONNX file (Pappalardo et al., 2022): quantizers are operators over floats, for tools that read them.

    packed layer      Conv or MatMul over BipolarQuant(x, 1) and BipolarQuant(W, 1), then Mul by scale, Add of bias
    2-bit layer       MatMul over Quant(W, 1, 0, 2 bits)
    Q, DQ pair        Quant(x, scale, zero point, 8 bits); over weights Quant of their real values

Weights are float32 in such a file: it is 32 times as large as the packed one and made for exchange, not for devices.
Imported again (`qonnx`, `hub.from_onnx`), packed layers are the same bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.errors import UnsupportedOperatorError
from .functions import unpack_codes, unpack_signs
from .graph import Array, Graph, Node, make_node
from .infer import infer
from .judge import OWN_DOMAIN
from .metadata import read_metadata, write_metadata

DOMAIN = "qonnx.custom_op.general"
DOMAIN_VERSION = 2


def to_qonnx(hub: Any) -> Any:
    """The QONNX form of a hub, which stays as it is.

    Raises:
        UnsupportedOperatorError: the hub holds nothing that has a quantizer, or a Q/DQ that is no pair.
    """
    graph = Graph.read(hub)
    infer(graph)
    writer = _Writer(graph)
    for node in graph.sorted_nodes():
        writer.take(node)
    if not writer.count:
        raise UnsupportedOperatorError(
            "the model has neither one-bit nor quantized layers: QONNX would hold plain floats",
            hint="binarize or quantize it first, or export ONNX",
        )
    graph.functions = []
    graph.domains = {"": graph.domains[""], DOMAIN: DOMAIN_VERSION}
    return write_metadata(graph.write(), read_metadata(hub))


class _Writer:
    """Replaces nodes of a graph; `count` says how many quantizers were made."""

    def __init__(self, graph: Graph):
        self.graph, self.count = graph, 0

    def take(self, node: Node) -> None:
        """Rewrite a packed layer, a quantizer or a dequantizer; leave the rest."""
        if node.domain == OWN_DOMAIN:
            self._ternary(node) if node.op == "TernaryGemm" else self._binary(node)
        elif node.op == "DequantizeLinear" and not node.domain:
            if node.input(0) in self.graph.constants:
                self._stored(node)
            else:
                self._pair(node)

    def _binary(self, node: Node) -> None:
        graph, base = self.graph, node.name or node.outputs[0]
        weight = self._signs(node)
        graph.remove(node)
        one = self._number(base, "one", np.float32(1))
        signs = self._quantizer("BipolarQuant", [node.input(0), one], f"{base}_signs")
        stored = graph.constant(f"{base}_weight", weight)
        filters = self._quantizer("BipolarQuant", [stored, one], f"{base}_weight_signs")
        sums, scaled = graph.fresh(f"{base}_sums"), graph.fresh(f"{base}_scaled")
        kind = "Conv" if node.op == "BinaryConv" else "MatMul"
        keys = ("strides", "pads", "dilations", "group") if kind == "Conv" else ()
        attributes = {key: node.get(key) for key in keys}
        graph.add(make_node(kind, [signs, filters], [sums], sums, node.scope, **attributes))
        graph.add(make_node("Mul", [sums, node.input(3)], [scaled], scaled, node.scope))
        ends = [scaled, node.input(4)]
        graph.add(make_node("Add", ends, [node.outputs[0]], node.name, node.scope))
        for name in (signs, filters, sums, scaled):
            self._typed(name, node.outputs[0])
        self.graph.shapes[signs] = self.graph.shapes[node.input(0)]
        self.graph.shapes[filters] = weight.shape

    def _ternary(self, node: Node) -> None:
        graph, base = self.graph, node.name or node.outputs[0]
        shape = tuple(int(n) for n in graph.constants[node.input(2)])
        weight = unpack_codes(graph.constants[node.input(1)], shape).T.astype(np.float32)
        graph.remove(node)
        stored = graph.constant(f"{base}_weight", weight)
        numbers = [self._number(base, n, np.float32(v)) for n, v in _CODES.items()]
        inputs = [stored, *numbers]
        filters = self._quantizer("Quant", inputs, f"{base}_weight_codes", signed=1, narrow=0)
        product = [node.input(0), filters]
        graph.add(make_node("MatMul", product, node.outputs, node.name, node.scope))
        self._typed(filters, node.outputs[0])
        graph.shapes[filters] = weight.shape

    def _signs(self, node: Node) -> Array:
        """+-1 as the standard operator wants them: [outputs, inputs, ...], or [inputs, outputs] of a dense layer."""
        constants = self.graph.constants
        shape = tuple(int(n) for n in constants[node.input(2)])
        signs = unpack_signs(constants[node.input(1)], shape).astype(np.float32)
        return signs if node.op == "BinaryConv" else np.ascontiguousarray(signs.T)

    def _stored(self, node: Node) -> None:
        """A dequantized constant: Quant over its real values; biases of 32 bits are plain floats."""
        graph, base = self.graph, node.outputs[0]
        integers = graph.constants[node.input(0)]
        scale, zero = self._parameters(node, integers.ndim)
        real = (integers.astype(np.float32) - zero) * scale
        graph.remove(node)
        stored = graph.constant(f"{base}_real", real.astype(np.float32))
        if integers.dtype not in (np.int8, np.uint8):
            graph.replace_uses(base, stored)
            return
        signed = int(integers.dtype == np.int8)
        narrow = int(bool(signed and integers.min(initial=0) > -128))
        self._eight_bits(stored, base, scale, zero, signed, narrow)

    def _pair(self, node: Node) -> None:
        graph = self.graph
        maker = graph.producer(node.input(0))
        if maker is None or maker.op != "QuantizeLinear":
            raise UnsupportedOperatorError(
                f"DequantizeLinear '{node.name}' follows no QuantizeLinear",
                hint="quantizers of QONNX are pairs of both",
            )
        kind = graph.constants.get(node.input(2))
        scale, zero = self._parameters(node, 1)
        source, result = maker.input(0), node.outputs[0]
        graph.remove(node)
        if not graph.users(maker.outputs[0]):
            graph.remove(maker)
        signed = int(kind is not None and kind.dtype == np.int8)
        self._eight_bits(source, result, scale.reshape(()), zero.reshape(()), signed, 0)

    def _parameters(self, node: Node, rank: int) -> tuple[Array, Array]:
        """Scale and zero point as float32, shaped to broadcast."""
        scale = self.graph.constants[node.input(1)].astype(np.float32)
        zero = self.graph.constants.get(node.input(2))
        zero = np.zeros_like(scale) if zero is None else zero.astype(np.float32)
        if scale.size == 1:
            return scale.reshape((1,) * 0), zero.reshape((1,) * 0)
        shape = [1] * rank
        shape[node.get("axis", 1)] = -1
        return scale.reshape(shape), zero.reshape(shape)

    def _eight_bits(
        self, source: str, result: str, scale: Array, zero: Array, signed: int, narrow: int
    ) -> None:
        numbers = {"scale": scale, "zero": zero, "bits": np.float32(8)}
        inputs = [source, *(self._number(result, n, v) for n, v in numbers.items())]
        made = make_node("Quant", inputs, [result], result, "", signed=signed, narrow=narrow)
        made.set("rounding_mode", "ROUND")
        made.domain = DOMAIN
        self.graph.add(made)
        self.count += 1

    def _quantizer(self, op: str, inputs: list[str], name: str, **attributes: int) -> str:
        made = make_node(op, inputs, [self.graph.fresh(name)], "", "", **attributes)
        if op == "Quant":
            made.set("rounding_mode", "ROUND")
        made.domain = DOMAIN
        self.graph.add(made)
        self.count += 1
        return made.outputs[0]

    def _number(self, base: str, what: str, value: Any) -> str:
        return self.graph.constant(f"{base}_{what}", np.asarray(value, np.float32))

    def _typed(self, name: str, like: str) -> None:
        """Types of a new value; its shape is that of `like` unless set otherwise."""
        self.graph.dtypes[name] = self.graph.dtypes[like]
        self.graph.shapes[name] = self.graph.shapes[like]


_CODES = {"scale": 1.0, "zero": 0.0, "bits": 2.0}
"""The quantizer of -2, -1, 0, 1."""
