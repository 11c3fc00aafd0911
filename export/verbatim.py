"""Proof that a TFLite file holds a trained brevitas model number by number.

Weights and biases as integers, every scale and every zero point are read from the file by our own parser and
compared, bit for bit, with what the brevitas modules hold (`qat.quantization_of`; uint8 there is int8 here by the
exact shift of 128). Weights are put back into torch's layout first; the columns of a linear layer behind a
flatten may stand in the order of the channels-last tensor, which is undone too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compress.quantization.qat_report import ModuleQuantization
from ..compress.quantization.qparams import QParams
from ..runtime.tflite_schema import TfliteOperator, TfliteTensor, read_model

Array = NDArray[Any]

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


@dataclass(frozen=True)
class LayerMatch:
    """One layer: which of its numbers the file holds unchanged, and what differs in words."""

    name: str
    operators: tuple[str, ...]
    differences: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class VerbatimReport:
    """Outcome of `compare`.

    `missing` and `unexpected` are activation parameters only brevitas or only the file has; `quantize` names
    the int8-to-int8 QUANTIZE operators of the file.
    """

    layers: tuple[LayerMatch, ...]
    missing: tuple[QParams, ...]
    unexpected: tuple[QParams, ...]
    quantize: tuple[str, ...]

    @property
    def same(self) -> bool:
        """True if every number is there and no other activation parameters are."""
        return not (self.missing or self.unexpected or any(m.differences for m in self.layers))


def compare(rows: Sequence[ModuleQuantization], data: bytes, where: str = "") -> VerbatimReport:
    """Compare the numbers of a brevitas model with a full-integer TFLite file of it.

    Args:
        rows: what `qat.quantization_of` gave.
        data: the file's bytes.
        where: its name for messages; a damaged file is an `InputError`.
    """
    graph = read_model(data, where).main
    tensors = graph.tensors
    operators = [op for op in graph.operators if op.name in WEIGHTED]
    layers = []
    for row in rows:
        if row.weight is not None:
            taken = _take(row, operators, tensors)
            layers.append(_match(row, taken, tensors))
    wanted = {row.output for row in rows if row.weight is None}
    weights = {op.inputs[1] for op in graph.operators if op.name in WEIGHTED}
    others = (_per_tensor(tensor) for tensor in tensors if tensor.index not in weights)
    found = {q for q in others if q is not None}
    return VerbatimReport(
        layers=tuple(layers),
        missing=tuple(sorted(wanted - found, key=str)),
        unexpected=tuple(sorted(found - wanted, key=str)),
        quantize=tuple(_integer_quantize(graph.operators, tensors)),
    )


def _take(
    row: ModuleQuantization, operators: list[TfliteOperator], tensors: Sequence[TfliteTensor]
) -> list[TfliteOperator]:
    """The next operators in file order that make up the layer: one, or one per group."""
    assert row.weight_scale is not None
    taken: list[TfliteOperator] = []
    channels = 0
    while operators and channels < len(row.weight_scale):
        taken.append(operators.pop(0))
        channels += _output_channels(taken[-1], tensors)
    return taken


def _weight(operator: TfliteOperator, tensors: Sequence[TfliteTensor]) -> TfliteTensor:
    return tensors[operator.inputs[1]]


def _output_channels(operator: TfliteOperator, tensors: Sequence[TfliteTensor]) -> int:
    return _weight(operator, tensors).shape[3 if operator.name == "DEPTHWISE_CONV_2D" else 0]


def _torch_layout(operator: TfliteOperator, tensors: Sequence[TfliteTensor]) -> Array:
    """Integers as [out, in, kernel positions]."""
    values = _weight(operator, tensors).values()
    if operator.name == "DEPTHWISE_CONV_2D":  # [1, h, w, out]
        values = values.transpose(3, 0, 1, 2)
    elif operator.name != "FULLY_CONNECTED":  # [out, h, w, in]
        values = values.transpose(0, 3, 1, 2)
    return values.reshape(*values.shape[:2], -1)


def _match(
    row: ModuleQuantization, taken: list[TfliteOperator], tensors: Sequence[TfliteTensor]
) -> LayerMatch:
    names = tuple(op.name for op in taken)
    if not taken:
        return LayerMatch(row.name, (), ("the file has no operator for it",))
    differences = [
        *_weight_differences(row, taken, tensors),
        *_bias_differences(row, taken, tensors),
    ]
    note = "one operator per group" if len(taken) > 1 else ""
    for operator in taken:
        ends = [("input", operator.inputs[_data_input(operator)], row.input)]
        ends.append(("output", operator.outputs[0], row.output))
        for what, index, wanted in ends:
            if _per_tensor(tensors[index]) != wanted:
                differences.append(f"{what} {_per_tensor(tensors[index])} instead of {wanted}")
    return LayerMatch(row.name, names, tuple(differences), note)


def _data_input(operator: TfliteOperator) -> int:
    return 2 if operator.name == "TRANSPOSE_CONV" else 0


def _weight_differences(
    row: ModuleQuantization, taken: list[TfliteOperator], tensors: Sequence[TfliteTensor]
) -> list[str]:
    assert row.weight is not None and row.weight_scale is not None
    found = np.concatenate([_torch_layout(op, tensors) for op in taken])
    wanted = row.weight
    if taken[0].name == "TRANSPOSE_CONV":
        wanted = wanted.swapaxes(0, 1)
    wanted = wanted.reshape(*wanted.shape[:2], -1)
    differences = []
    if not (
        np.array_equal(found, wanted) or _is_reordered(found, wanted) or _is_widened(found, wanted)
    ):
        differences.append("weights")
    stored = [_weight(op, tensors).quantization for op in taken]
    scale = np.concatenate([np.asarray(q.scale if q else (), np.float32) for q in stored])
    if not np.array_equal(scale, row.weight_scale):
        differences.append("weight scales")
    if any(q is None or any(q.zero_point) for q in stored):
        differences.append("weight zero points")
    return differences


def _is_reordered(found: Array, wanted: Array) -> bool:
    """True for a linear weight whose columns went from channels first to channels last."""
    if found.shape != wanted.shape or found.shape[2] != 1:
        return False
    outputs, columns = found.shape[:2]
    return any(
        np.array_equal(
            wanted.reshape(outputs, channels, -1).transpose(0, 2, 1).reshape(found.shape), found
        )
        for channels in range(2, columns)
        if columns % channels == 0
    )


def _is_widened(found: Array, wanted: Array) -> bool:
    """True for a grouped weight written as a full one with zeros outside its group."""
    if found.shape[0] != wanted.shape[0] or found.shape[2:] != wanted.shape[2:]:
        return False
    groups, rest = divmod(found.shape[1], wanted.shape[1])
    if rest or groups < 2 or len(wanted) % groups:
        return False
    full = np.zeros_like(found)
    size = wanted.shape[1]
    for channel in range(len(wanted)):
        start = channel // (len(wanted) // groups) * size
        full[channel, start : start + size] = wanted[channel]
    return np.array_equal(full, found)


def _bias_differences(
    row: ModuleQuantization, taken: list[TfliteOperator], tensors: Sequence[TfliteTensor]
) -> list[str]:
    position = 3 if taken[0].name == "TRANSPOSE_CONV" else 2
    stored = [
        tensors[op.inputs[position]]
        for op in taken
        if len(op.inputs) > position and op.inputs[position] >= 0
    ]
    if row.bias is None:
        return (
            [] if all(not tensor.values().any() for tensor in stored) else ["a bias from nowhere"]
        )
    if len(stored) != len(taken) or any(tensor.quantization is None for tensor in stored):
        return ["bias is missing"]
    assert row.bias_scale is not None
    values = np.concatenate([tensor.values() for tensor in stored])
    known = [tensor.quantization for tensor in stored if tensor.quantization is not None]
    scale = np.concatenate([np.asarray(q.scale, np.float32) for q in known])
    zeros = any(any(q.zero_point) for q in known)
    differences = [] if np.array_equal(values, row.bias) else ["bias"]
    if zeros or not np.array_equal(scale, row.bias_scale):
        differences.append("bias scales")
    return differences


def _per_tensor(tensor: TfliteTensor) -> QParams | None:
    """Parameters of an int8 activation or elementwise constant, None for anything else."""
    stored = tensor.quantization
    if tensor.dtype != "int8" or stored is None or len(stored.scale) != 1:
        return None
    return QParams(stored.scale, stored.zero_point)


def _integer_quantize(
    operators: Sequence[TfliteOperator], tensors: Sequence[TfliteTensor]
) -> list[str]:
    return [
        f"{tensors[op.inputs[0]].name} -> {tensors[op.outputs[0]].name}"
        for op in operators
        if op.name == "QUANTIZE" and tensors[op.inputs[0]].dtype == "int8"
    ]
