"""Layers of an ONNX graph: Q/DQ pairs, quantizers and constant expressions belong to the layer that reads them."""

from __future__ import annotations

from typing import Any

from . import layers_count as count
from .layers import Counter, LayerInfo, Shape, Weight
from .layers_onnx_values import (
    QONNX_DOMAINS,
    QUANTIZERS,
    STANDARD,
    Values,
    bits_of,
    prepare,
    type_name,
)
from .layers_own import is_packed, packed_layer

_LAYERS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "Conv": (0, 1, (2,)),
    "FusedConv": (0, 1, (2,)),
    "ConvTranspose": (0, 1, (2,)),
    "ConvInteger": (0, 1, ()),
    "Gemm": (0, 1, (2,)),
    "MatMul": (0, 1, ()),
    "FusedMatMul": (0, 1, ()),
    "MatMulInteger": (0, 1, ()),
    "QLinearConv": (0, 3, (8,)),
    "QLinearMatMul": (0, 3, ()),
    "QGemm": (0, 3, (6,)),
}
"""Operator -> positions of data, weights and biases."""

_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_POOLS = frozenset({"AveragePool", "MaxPool", "LpPool"})
_REDUCTIONS = {
    **dict.fromkeys(
        (
            *("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "ReduceMean", "ReduceSum"),
            *("ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
        ),
        1,
    ),
    **dict.fromkeys(
        (  # maximum and sum, or mean and variance
            *("Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization"),
            "GroupNormalization",
        ),
        2,
    ),
}
_STRUCTURAL = frozenset(
    {"Clip", "Pad", "Resize", "Upsample", "TopK", "Range", "ConstantOfShape", "OneHot", "Where"}
)
"""Operators whose constants steer and do not compute."""

_UNCOUNTED = frozenset(
    {"Einsum", "Attention", "DeformConv", "DFT", "STFT", "If", "Loop", "Scan", "RotaryEmbedding"}
)


def onnx_layers(model: Any, where: str = "") -> tuple[tuple[LayerInfo, ...], tuple[str, ...]]:
    """(layers, notes) of a loaded model; `where` is its name for messages."""
    notes = []
    if _has_free_dimensions(model):
        notes.append("free dimensions are counted as 1")
    reader = _Reader(prepare(model))
    layers = tuple(reader.layers())
    if not layers:
        notes.append("the graph computes nothing")
    return layers, tuple(notes)


def _has_free_dimensions(model: Any) -> bool:
    held = {tensor.name for tensor in model.graph.initializer}
    dims = [
        dim
        for value in model.graph.input
        if value.name not in held
        for dim in value.type.tensor_type.shape.dim
    ]
    return any(not d.HasField("dim_value") or d.dim_value <= 0 for d in dims)


class _Reader:
    def __init__(self, model: Any) -> None:
        self.values = Values(model)
        self.counter = Counter()

    def layers(self) -> list[LayerInfo]:
        return [self._layer(node) for node in self.values.nodes if not self._folds(node)]

    def _folds(self, node: Any) -> bool:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Constant"):
            return True
        if node.op_type in QUANTIZERS and node.domain in QONNX_DOMAINS:
            return True
        if node.op_type == "Clip" and self._is_between_q_and_dq(node):
            return True
        return all(self.values.is_constant(name) for name in node.output if name)

    def _is_between_q_and_dq(self, node: Any) -> bool:
        source = self.values.producers.get(node.input[0])
        return source is not None and source.op_type == "QuantizeLinear"

    def _layer(self, node: Any) -> LayerInfo:
        values = self.values
        if is_packed(node):
            return packed_layer(node, values, self.counter)
        weights = self._weights(node)
        main = self._main(node, weights)
        first, second = self._operands(node)
        active = values.bits(first) if first else 0
        macs = self._macs(node)
        weight_bits = main.bits if main else 0
        factors = None
        if node.op_type in _RECURRENT or node.op_type in _LAYERS:
            factors = (weight_bits or values.bits(second), active)
        inputs = [name for name in node.input if name and not values.is_constant(name)]
        return self.counter.layer(
            name=node.name or (node.output[0] if node.output else node.op_type),
            operator=node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}",
            shapes=(
                [values.shape(name) for name in inputs],
                [values.shape(name) for name in node.output if name],
            ),
            weights=weights,
            macs=macs or 0,
            factors=factors,
            bits=(weight_bits, active),
            quantization=_describe(main, active, values.types.get(first, 1) if first else 0),
            notes=_remarks(node, macs),
        )

    def _operands(self, node: Any) -> tuple[str, str]:
        """(data, weights) names; a constant first factor of a product is its weights."""
        if node.op_type in _LAYERS:
            data, weights = (_input(node, p) for p in _LAYERS[node.op_type][:2])
            constant = self.values.is_constant
            return (weights, data) if constant(data) and not constant(weights) else (data, weights)
        if node.op_type in _RECURRENT:
            return _input(node, 0), _input(node, 1)
        flowing = [name for name in node.input if name and not self.values.is_constant(name)]
        return (flowing[0] if flowing else "", "")

    def _weights(self, node: Any) -> list[Weight]:
        if node.op_type in _STRUCTURAL:
            return []
        names = list(node.input)
        if node.op_type in _LAYERS:
            data, weights, biases = _LAYERS[node.op_type]
            names = [_input(node, p) for p in (data, weights, *biases)]
        constants = [name for name in names if name and self.values.is_constant(name)]
        found = [self.values.weight(name) for name in constants]
        if node.op_type in ("QLinearConv", "QGemm") and len(names) == 3 and names[2]:
            found[-1] = self.values.integers(names[2])
        return [weight for weight in found if weight]

    def _main(self, node: Any, weights: list[Weight]) -> Weight | None:
        """The constant that gives the layer its weight bits: the largest, never the bias."""
        if node.op_type in _LAYERS or node.op_type in _RECURRENT:
            name = self._operands(node)[1]
            return self.values.weight(name) if name and self.values.is_constant(name) else None
        return max(weights, key=lambda weight: weight.elements, default=None)

    def _macs(self, node: Any) -> int | None:
        values, kind = self.values, node.op_type
        output = values.shape(node.output[0]) if node.output else ()
        source = values.shape(_input(node, 0)) if node.input else ()
        if kind in _LAYERS:
            return self._layer_macs(node, output)
        if kind in _RECURRENT:
            matrices = [values.shape(_input(node, p)) for p in (1, 2)]
            return count.recurrent(source, matrices)
        if kind in _POOLS:
            lengths = next((tuple(a.ints) for a in node.attribute if a.name == "kernel_shape"), ())
            return count.window(output, lengths)
        if kind in _REDUCTIONS:
            return count.reduction(source, _REDUCTIONS[kind])
        return 0

    def _layer_macs(self, node: Any, output: Shape) -> int | None:
        """Weights lie OIHW, transposed IOHW (channels per group on the second axis)."""
        first, second = (self.values.shape(_input(node, p)) for p in _LAYERS[node.op_type][:2])
        if node.op_type == "ConvTranspose":
            return count.transposed_convolution(first, second[1:])
        if "Conv" in node.op_type:
            return count.convolution(output, second[1:])
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        inner = first[-2 if transposed and len(first) > 1 else -1] if first else -1
        return count.matrix_product(output, inner)


def _input(node: Any, position: int) -> str:
    return str(node.input[position]) if position < len(node.input) else ""


def _describe(weight: Weight | None, active_bits: int, kind: int) -> str:
    active = type_name(kind) if kind else ""
    if active_bits and active_bits != bits_of(kind):
        active = f"{active_bits}-bit"
    if weight is None:
        return active
    return weight.text if weight.text == active else f"weights {weight.text}, activations {active}"


def _remarks(node: Any, macs: int | None) -> list[str]:
    if node.domain not in STANDARD and node.op_type not in (*_LAYERS, *_RECURRENT):
        return ["custom operator: its work is not known"]
    if node.op_type in _UNCOUNTED:
        return ["its work is not counted"]
    return ["MACs not counted: a shape is not known"] if macs is None else []
