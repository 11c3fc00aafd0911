"""Layers of a TFLite file: its operators, constants resolved through DEQUANTIZE and DENSIFY."""

from __future__ import annotations

from collections.abc import Iterable

from ..runtime.lce_operators import is_lce
from ..runtime.tflite_model import (
    BITS,
    TfliteModel,
    TfliteOperator,
    TfliteSubgraph,
    TfliteTensor,
)
from . import layers_count as count
from .layers import Counter, LayerInfo, Shape, Weight
from .layers_lce import BitChannels, lce_layer

_FOLDED = frozenset({"DEQUANTIZE", "DENSIFY", "CAST", "RESHAPE", "TRANSPOSE", "QUANTIZE"})
_STRUCTURAL = frozenset({"PAD", "PADV2", "MIRROR_PAD", "RESIZE_BILINEAR", "FILL", "RANGE"})
"""Operators whose constants steer and do not compute."""

_LAYERS = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
    "CONV_3D": (0, 1, 2),
    "CONV_3D_TRANSPOSE": (2, 1, 3),
    "BATCH_MATMUL": (0, 1, -1),
}
"""Operator -> positions of data, weights and bias."""

_RECURRENT = frozenset(
    {
        "LSTM",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "RNN",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "SVDF",
    }
)
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"})
_REDUCTIONS = {
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"), 1),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), 2),
}
_UNCOUNTED = frozenset({"CUSTOM", "IF", "WHILE", "CALL", "STABLEHLO_CONVOLUTION"})


def tflite_layers(model: TfliteModel) -> tuple[tuple[LayerInfo, ...], tuple[str, ...]]:
    """(layers, notes) of a parsed file; graphs called by operators are listed once, behind."""
    counter = Counter()
    layers: list[LayerInfo] = []
    notes: list[str] = []
    for number, subgraph in enumerate(model.subgraphs):
        prefix = "" if number == 0 else f"{subgraph.name or number}/"
        if number == 1:
            notes.append("graphs called by operators are counted once, however often they run")
        layers.extend(_Reader(subgraph, counter, prefix).layers())
    free = [s for s in model.main.inputs if -1 in model.main.tensors[s].shape_signature]
    if free:
        notes.append("free dimensions are counted as the file stores them (batch 1)")
    return tuple(layers), tuple(notes)


class _Reader:
    def __init__(self, subgraph: TfliteSubgraph, counter: Counter, prefix: str) -> None:
        self.tensors = subgraph.tensors
        self.operators = subgraph.operators
        self.counter = counter
        self.prefix = prefix
        self.sources: dict[int, TfliteTensor] = {t.index: t for t in self.tensors if t.is_constant}

    def layers(self) -> Iterable[LayerInfo]:
        channels = BitChannels()
        for operator in self.operators:
            channels.learn(operator, self.tensors)
            if is_lce(operator):
                yield lce_layer(operator, self.tensors, channels, self.counter, self.prefix)
            elif not self._folds(operator):
                yield self._layer(operator)

    def _folds(self, operator: TfliteOperator) -> bool:
        """An operator on constants alone belongs to the layer that reads it."""
        given = [index for index in operator.inputs if index >= 0]
        if operator.name not in _FOLDED or not given or any(i not in self.sources for i in given):
            return False
        for index in operator.outputs:
            self.sources[index] = self.sources[given[0]]
        return True

    def _layer(self, operator: TfliteOperator) -> LayerInfo:
        inputs = [self.tensors[i] for i in operator.inputs if i >= 0]
        outputs = [self.tensors[i] for i in operator.outputs]
        weights = self._weights(operator)
        main = self._main(operator, weights)
        data = self._data(operator)
        active = BITS.get(data.dtype, 0) if data else 0
        macs = self._macs(operator)
        notes = _remarks(operator, macs)
        weight_bits = main.bits if main else 0
        return self.counter.layer(
            name=self.prefix + (outputs[0].name if outputs else f"operator {operator.index}"),
            operator=operator.name,
            shapes=(
                [t.shape for t in inputs if t.index not in self.sources],
                [t.shape for t in outputs],
            ),
            weights=weights,
            macs=macs or 0,
            factors=self._factors(operator, weight_bits, active),
            bits=(weight_bits, active),
            quantization=_describe(main, data),
            notes=notes,
        )

    def _tensor(self, operator: TfliteOperator, position: int) -> TfliteTensor | None:
        if not 0 <= position < len(operator.inputs) or operator.inputs[position] < 0:
            return None
        return self.tensors[operator.inputs[position]]

    def _operands(
        self, operator: TfliteOperator
    ) -> tuple[TfliteTensor | None, TfliteTensor | None]:
        """(data, weights) of a layer; a constant first factor of a product is its weights."""
        data, weights = (self._tensor(operator, p) for p in _LAYERS[operator.name][:2])
        if data and weights and data.index in self.sources and weights.index not in self.sources:
            return weights, data
        return data, weights

    def _data(self, operator: TfliteOperator) -> TfliteTensor | None:
        """The activation that flows in: the operand for layers, else the first that is computed."""
        if operator.name in _LAYERS:
            return self._operands(operator)[0]
        for index in operator.inputs:
            if index >= 0 and index not in self.sources and not self.tensors[index].is_variable:
                return self.tensors[index]
        return None

    def _weights(self, operator: TfliteOperator) -> list[Weight]:
        if operator.name in _STRUCTURAL:
            return []
        positions: Iterable[int] = range(len(operator.inputs))
        if operator.name in _LAYERS:
            positions = [p for p in _LAYERS[operator.name] if p >= 0]
        found = []
        for position in positions:
            tensor = self._tensor(operator, position)
            source = self.sources.get(tensor.index) if tensor else None
            if source is not None and (operator.name in _LAYERS or _is_number(source)):
                found.append(_weight(source, self.prefix))
        return found

    def _main(self, operator: TfliteOperator, weights: list[Weight]) -> Weight | None:
        """The constant that gives the layer its weight bits: the largest, never the bias."""
        if operator.name in _LAYERS:
            tensor = self._operands(operator)[1]
            source = self.sources.get(tensor.index) if tensor else None
            return _weight(source, self.prefix) if source else None
        return max(weights, key=lambda weight: weight.elements, default=None)

    def _factors(
        self, operator: TfliteOperator, weight_bits: int, active: int
    ) -> tuple[int, int] | None:
        if operator.name in _RECURRENT:
            return (weight_bits, active)
        if operator.name not in _LAYERS:
            return None
        if weight_bits:
            return (weight_bits, active)
        other = self._operands(operator)[1]
        return (BITS.get(other.dtype, 0), active) if other else None

    def _macs(self, operator: TfliteOperator) -> int | None:
        name = operator.name
        output = self.tensors[operator.outputs[0]].shape if operator.outputs else ()
        data = self._data(operator)
        source = data.shape if data else ()
        if name in _LAYERS:
            first, second = (self._tensor(operator, p) for p in _LAYERS[name][:2])
            shapes = (first.shape if first else (), second.shape if second else ())
            return _layer_macs(operator, *shapes, output)
        if name in _RECURRENT:
            inputs = [self.tensors[i] for i in operator.inputs if i >= 0]
            matrices = [t.shape for t in inputs if t.index in self.sources and len(t.shape) == 2]
            return count.recurrent(source, matrices)
        if name in _POOLS:
            lengths = [operator.options.get(f"filter_{name}", -1) for name in ("height", "width")]
            return count.window(output, lengths)
        if name in _REDUCTIONS:
            return count.reduction(source, _REDUCTIONS[name])
        return 0


def _layer_macs(
    operator: TfliteOperator, source: Shape, weights: Shape, output: Shape
) -> int | None:
    """Weights lie OHWI, depthwise 1HWC, dense OI, 3-D DHWIO (transposed DHWOI)."""
    if operator.name == "DEPTHWISE_CONV_2D":
        return count.convolution(output, weights[1:3])
    if operator.name in ("CONV_2D", "FULLY_CONNECTED"):
        return count.convolution(output, weights[1:])
    if operator.name == "CONV_3D":
        return count.convolution(output, weights[:4])
    if operator.name == "TRANSPOSE_CONV":
        return count.transposed_convolution(source, weights[:3])
    if operator.name == "CONV_3D_TRANSPOSE":
        return count.transposed_convolution(source, weights[:4])
    inner = source[-2 if operator.options.get("adj_x") else -1] if len(source) > 1 else -1
    return count.matrix_product(output, inner)


def _is_number(tensor: TfliteTensor) -> bool:
    """A constant to compute with, not a shape or an axis: floats and whatever has a scale."""
    return tensor.quantization is not None or "float" in tensor.dtype


def _weight(tensor: TfliteTensor, prefix: str) -> Weight:
    quantization = tensor.quantization
    text = tensor.dtype
    if quantization is not None:
        slices = len(quantization.scale)
        text += f" per channel ({slices})" if quantization.per_channel else " per tensor"
        if quantization.details:
            text = f"{tensor.dtype} {quantization.details}"
    note = "sparse encoding is ignored: counted dense" if tensor.is_sparse else ""
    # Not by buffer: converters let equal biases share one, they are still parameters of their own.
    key = f"{prefix}{tensor.name}#{tensor.index}"
    return Weight(key, tensor.n_elements, BITS.get(tensor.dtype, 0), text, note)


def _describe(weight: Weight | None, data: TfliteTensor | None) -> str:
    active = ""
    if data is not None:
        active = data.dtype
        if data.quantization is not None and data.quantization.per_channel:
            active += " per channel"
    if weight is None:
        return active
    return weight.text if weight.text == active else f"weights {weight.text}, activations {active}"


def _remarks(operator: TfliteOperator, macs: int | None) -> list[str]:
    if operator.code.name == "CUSTOM":
        return ["custom operator: its work is not known"]
    if operator.name.startswith("BUILTIN_") or operator.name in _UNCOUNTED:
        return ["its work is not counted"]
    return ["MACs not counted: a shape is not known"] if macs is None else []
