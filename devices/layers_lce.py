"""Rows for Larq Compute Engine's operators in a TFLite file: weights of one bit, products of two bits."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..runtime.errors import InputError
from ..runtime.lce_operators import is_lce, options_of
from ..runtime.tflite_model import TfliteOperator, TfliteTensor
from . import layers_count as count
from .layers import Counter, LayerInfo, Weight

_CARRIES_BITS = frozenset({"PAD", "PADV2", "CONCATENATION", "RESHAPE"})
"""Built-in operators that move packed bits."""


@dataclass
class BitChannels:
    """How many channels the int32 words of packed tensors hold: the file does not say, their makers do."""

    known: dict[int, int] = field(default_factory=dict)

    def learn(self, operator: TfliteOperator, tensors: tuple[TfliteTensor, ...]) -> None:
        """Take what an operator tells about its outputs.

        Raises:
            InputError: an LCE operator lacks operands.
        """
        if is_lce(operator):
            _check_operands(operator, tensors)
        source = next((i for i in operator.inputs if i in self.known), None)
        target = operator.outputs[0] if operator.outputs else -1
        if target < 0 or tensors[target].dtype != "int32":
            return
        if operator.name == "LceQuantize":
            self.known[target] = tensors[operator.inputs[0]].shape[-1]
        elif operator.name == "LceBconv2d":
            self.known[target] = tensors[operator.inputs[1]].shape[0]
        elif source is not None and (
            operator.name == "LceBMaxPool2d" or operator.name in _CARRIES_BITS
        ):
            self.known[target] = self.known[source]


def lce_layer(
    operator: TfliteOperator,
    tensors: tuple[TfliteTensor, ...],
    channels: BitChannels,
    counter: Counter,
    prefix: str,
) -> LayerInfo:
    """One row. Counts follow the packed functions of ONNX files: a convolution's MACs are binary, thresholds and
    scales are parameters of 32 bits."""
    source, target = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    options = options_of(operator, prefix)
    weights: list[Weight] = []
    macs: int | None = 0
    factors = None
    if operator.name == "LceBconv2d":
        outputs, rows, columns, depth = (filters := tensors[operator.inputs[1]]).shape
        groups = max(1, source.shape[-1] // max(depth, 1))
        inner = (rows, columns, options["channels_in"] // groups)
        key = f"{prefix}{filters.name}#{filters.index}"
        taps = rows * columns * inner[2]
        weights.append(Weight(key, outputs * taps, 1, "1-bit packed"))
        weights += [_numbers(tensors[i], prefix) for i in operator.inputs[2:] if i >= 0]
        macs, factors = count.convolution((*target.shape[:-1], outputs), inner), (1, 1)
    elif operator.name == "LceBMaxPool2d":
        real = channels.known.get(source.index, 0)
        lengths = (options["filter_height"], options["filter_width"])
        macs = count.window((*target.shape[:-1], real), lengths)
    packed = source.dtype == "int32"
    return counter.layer(
        name=prefix + target.name,
        operator=operator.name,
        shapes=([source.shape], [target.shape]),
        weights=weights,
        macs=macs or 0,
        factors=factors,
        bits=(1 if factors else 0, 1 if packed else {"float32": 32}.get(source.dtype, 8)),
        quantization="weights 1-bit packed, activations 1-bit" if factors else source.dtype,
        notes=[] if macs is not None else ["MACs not counted: a shape is not known"],
    )


def _check_operands(operator: TfliteOperator, tensors: tuple[TfliteTensor, ...]) -> None:
    """Refuse an LCE operator without the operands that its row is read from."""
    needed = 2 if operator.name == "LceBconv2d" else 1
    ranks = {1: 4} if needed == 2 else {}
    inputs = operator.inputs[:needed]
    whole = len(inputs) == needed and min(inputs) >= 0 and len(operator.outputs) > 0
    if not whole or any(len(tensors[inputs[i]].shape) != r for i, r in ranks.items()):
        raise InputError(
            f"operator {operator.index} ({operator.name}) lacks an operand",
            hint="the file is damaged; export it again",
        )
    if any(not tensors[i].shape for i in (inputs[0], operator.outputs[0])):
        raise InputError(
            f"operator {operator.index} ({operator.name}) has an operand without axes",
            hint="the file is damaged; export it again",
        )


def _numbers(tensor: TfliteTensor, prefix: str) -> Weight:
    return Weight(f"{prefix}{tensor.name}#{tensor.index}", tensor.n_elements, 32, tensor.dtype)
