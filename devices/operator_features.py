"""What an estimate knows of a network: MACs by class of operator, values written, operators run.

Classes: `pointwise` (1x1 convolution), `winograd` (3x3 convolution of stride 1, which fast engines compute with
fewer multiplications), `spatial` (any other convolution), `depthwise`, `dense`, and `other` (pooling, addition,
activation, ...). What an engine folds into its neighbour (reshape, a ReLU behind a convolution, Q/DQ) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .layers import LayerInfo, LayerTable, Shape
from .layers_count import size

MAC_CLASSES = ("pointwise", "winograd", "spatial", "depthwise", "dense")
_CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "QLinearConv", "CONV_2D"})
_DENSE = frozenset({"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "FULLY_CONNECTED"})
_FOLDED = frozenset(
    {
        *("RESHAPE", "Reshape", "Flatten", "SQUEEZE", "Squeeze", "EXPAND_DIMS", "Unsqueeze"),
        *("RELU", "RELU6", "Relu", "Clip", "BatchNormalization", "Identity", "Dropout"),
        *("QuantizeLinear", "DequantizeLinear", "Constant", "SHAPE", "Shape"),
    }
)
_LARGEST_DEPTHWISE_WINDOW = 121
_FOREIGN_SHARE = 0.05
"""MACs of operators that no class stands for may be this part of all, else nothing is estimated."""


@dataclass(frozen=True)
class OperatorFeatures:
    """One operator: its class, MACs, values written, bytes of weights and of activations read and written."""

    name: str
    operator_class: str
    macs: int
    outputs: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class NetworkFeatures:
    """Sums over a network. `macs` is keyed by `MAC_CLASSES`; `outputs` counts values written by all operators."""

    macs: Mapping[str, int]
    outputs: int
    operators: int

    @property
    def total_macs(self) -> int:
        """MACs of all classes."""
        return sum(self.macs.values())

    def value(self, name: str) -> float:
        """A sum by its name: one of `MAC_CLASSES`, "outputs" or "operators"."""
        if name in MAC_CLASSES:
            return float(self.macs.get(name, 0))
        return float({"outputs": self.outputs, "operators": self.operators}[name])


def operator_features(table: LayerTable) -> tuple[OperatorFeatures, ...]:
    """One row per operator that an engine runs on its own; unknown lengths count as 1."""
    return tuple(
        OperatorFeatures(
            name=layer.name,
            operator_class=operator_class(layer, table.format),
            macs=layer.macs if operator_class(layer, table.format) in MAC_CLASSES else 0,
            outputs=sum(abs(size(shape)) for shape in layer.output_shapes),
            weight_bytes=layer.weight_bytes,
            activation_bytes=_activation_bytes(layer),
        )
        for layer in table.layers
        if layer.operator not in _FOLDED
    )


def network_features(operators: Iterable[OperatorFeatures]) -> NetworkFeatures:
    """Sums over operators."""
    rows = tuple(operators)
    macs = {
        name: sum(row.macs for row in rows if row.operator_class == name) for name in MAC_CLASSES
    }
    return NetworkFeatures(macs, sum(row.outputs for row in rows), len(rows))


def operator_class(layer: LayerInfo, file_format: str) -> str:
    """The class of a layer, from its operator and shapes.

    The products that enter one output value are kernel lengths x channels / groups. They are a multiple of the
    channels unless the convolution is grouped. A depthwise ONNX convolution whose window happens to be a multiple of
    its channels (3x3 on 3 or 9 channels) cannot be told from an ordinary one and counts as that.
    """
    if layer.operator == "DEPTHWISE_CONV_2D":
        return "depthwise"
    if layer.operator in _DENSE and layer.weight_bits:
        return "dense"
    if layer.operator not in _CONVOLUTIONS or not layer.input_shapes or layer.macs <= 0:
        return "other"
    source, target = layer.input_shapes[0], layer.output_shapes[0]
    channels = source[-1] if file_format == "tflite" else source[1]
    products = layer.macs // max(abs(size(target)), 1)
    if channels <= 0:
        return "spatial"
    if products % channels:
        return "depthwise" if products <= _LARGEST_DEPTHWISE_WINDOW else "spatial"
    window = products // channels
    if window == 1:
        return "pointwise"
    return "winograd" if window == 9 and _keeps_size(source, target, file_format) else "spatial"


def precision(table: LayerTable) -> tuple[str, str]:
    """("int8" | "float", "") of the layers that multiply, or ("", why nothing is estimated)."""
    working = [layer for layer in table.layers if layer.macs and layer.weight_bits]
    if not working:
        return "", "no layer with weights"
    binary = next((layer for layer in working if layer.binary_macs or layer.weight_bits == 1), None)
    if binary:
        return "", f"'{binary.name}' is binary: no public table of binary layers was fitted"
    kinds = {_kind(layer) for layer in working}
    if len(kinds) > 1:
        return "", "layers of different precision: no public table of such files was fitted"
    kind = kinds.pop()
    if kind not in ("int8", "float"):
        return "", f"{kind}: no public table of such layers was fitted"
    return kind, ""


def foreign_operators(table: LayerTable) -> str:
    """Why no class stands for what the network computes; empty if the classes hold nearly all MACs."""
    foreign: dict[str, int] = {}
    for layer in table.layers:
        heavy = layer.weight_bits or layer.operator in _DENSE | {"BATCH_MATMUL", "Einsum"}
        if heavy and layer.macs and operator_class(layer, table.format) == "other":
            foreign[layer.operator] = foreign.get(layer.operator, 0) + layer.macs
    share = sum(foreign.values()) / max(table.macs, 1)
    if share <= _FOREIGN_SHARE:
        return ""
    return f"{share:.0%} of the MACs are {', '.join(sorted(foreign))}, which no calibration network has"


def _kind(layer: LayerInfo) -> str:
    weights, values = layer.weight_bits, layer.activation_bits
    if (weights, values) == (8, 8):
        return "int8"
    if weights in (16, 32) and values in (16, 32):
        return "float"
    return f"{weights}-bit weights with {values}-bit activations"


def _keeps_size(source: Shape, target: Shape, file_format: str) -> bool:
    """Stride 1, padded or not: each length shrinks by no more than the window's 2."""
    inner = slice(1, -1) if file_format == "tflite" else slice(2, None)
    pairs = list(zip(source[inner], target[inner], strict=False))
    return len(pairs) == 2 and all(out in (length, length - 2) for length, out in pairs)


def _activation_bytes(layer: LayerInfo) -> int:
    shapes = (*layer.input_shapes, *layer.output_shapes)
    values = sum(abs(size(shape)) for shape in shapes)
    return math.ceil(values * max(layer.activation_bits, 8) / 8)
