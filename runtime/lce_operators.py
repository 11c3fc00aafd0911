"""Larq Compute Engine's operators as a TFLite file holds them: options and tensors checked, then numpy functions.

LceBconv2d has five inputs (bits, filter, multiplier, bias, thresholds; -1 where absent) and all options of
`CONVOLUTION_OPTIONS`; groups are told by a filter of fewer words than its input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from . import lce_kernels as kernels
from .errors import InputError, UnsupportedOperatorError
from .flexmap import read_flexmap
from .tflite_model import TfliteOperator, TfliteSubgraph, TfliteTensor

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]
    Function = Callable[[Array], Array]

OPERATORS = ("LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d")

SAME, VALID = 0, 1
FORMULA, LCE, LCE_REFERENCE = "formula", "lce", "lce-reference"
"""Rounding of float results: y * multiplier + bias as the model has it, or in the order of LCE's own kernels.

Those differ in borders of 0: LCE's optimised kernels correct for them behind, its reference kernel counts them.
"""

CONVOLUTION_OPTIONS = (
    "channels_in",
    "dilation_height_factor",
    "dilation_width_factor",
    "fused_activation_function",
    "pad_values",
    "padding",
    "stride_height",
    "stride_width",
)
POOL_OPTIONS = ("padding", "stride_width", "stride_height", "filter_width", "filter_height")
_SIZES = range(1, 1 << 24)
_ALLOWED: Dict[str, Sequence[int]] = {
    "padding": (SAME, VALID),
    "pad_values": (0, 1),
    "fused_activation_function": kernels.ACTIVATIONS,
}
"""Values of the options that are no sizes."""


def is_lce(operator: TfliteOperator) -> bool:
    """True for one of the four operators."""
    return operator.code.name == "CUSTOM" and operator.name in OPERATORS


def options_of(operator: TfliteOperator, where: str = "") -> Dict[str, int]:
    """The checked options of a convolution or pool; {} for the others.

    Raises:
        InputError: they are damaged, one is missing, or a value is none the operator knows.
    """
    names = {"LceBconv2d": CONVOLUTION_OPTIONS, "LceBMaxPool2d": POOL_OPTIONS}.get(operator.name)
    if names is None:
        return {}
    label = f"operator {operator.index} ({operator.name})"
    found = read_flexmap(operator.custom_options, f"{where}: {label}" if where else label)
    for name in names:
        if name not in found:
            raise InputError(f"{label} lacks its option {name}", where=where or None)
        if found[name] not in _ALLOWED.get(name, _SIZES):
            raise InputError(f"{label}: {name} is {found[name]}", where=where or None)
    return found


class LceOperator:
    """One operator of a graph, ready to run: `function(input) -> output`, `source` and `target` are tensor indices."""

    def __init__(
        self,
        graph: TfliteSubgraph,
        operator: TfliteOperator,
        where: str = "",
        rounding: str = FORMULA,
    ) -> None:
        self.graph, self.operator, self.where, self.rounding = graph, operator, where, rounding
        self.label = f"operator {operator.index} ({operator.name})"
        counts = (5, 1) if operator.name == "LceBconv2d" else (1, 1)
        if (len(operator.inputs), len(operator.outputs)) != counts or operator.inputs[0] < 0:
            raise self.fail(f"{len(operator.inputs)} inputs and {len(operator.outputs)} outputs")
        self.source, self.target = operator.inputs[0], operator.outputs[0]
        self.input, self.output = graph.tensors[self.source], graph.tensors[self.target]
        self.options = options_of(operator, where)
        made = _MAKERS[operator.name](self)
        self.function: Function = made

    def fail(self, what: str) -> InputError:
        """An error about this operator, to be raised by the caller."""
        return InputError(f"{self.label}: {what}", where=self.where or None)

    def run(self, value: Array) -> Array:
        """The output; it has the declared shape.

        Raises:
            InputError: it has another one.
        """
        try:
            made = self.function(value)
        except MemoryError as error:
            raise self.fail("its windows need more memory than there is") from error
        if made.shape != self.output.shape:
            raise self.fail(f"gives {list(made.shape)}, the file says {list(self.output.shape)}")
        return made

    def constant(self, position: int, dtype: str, count: int) -> Array:
        """Input `position` as stored: one value per output channel."""
        tensor = self.graph.tensors[self.operator.inputs[position]]
        if not tensor.is_constant or tensor.dtype != dtype or tensor.shape != (count,):
            raise self.fail(
                f"input {position} is {tensor.dtype}{list(tensor.shape)}, {dtype}[{count}] is needed"
            )
        return tensor.values()

    def expect(self, tensor: TfliteTensor, dtypes: Tuple[str, ...], rank: int = 0) -> None:
        """Refuse tensors of other types or ranks."""
        if tensor.dtype not in dtypes or (rank and len(tensor.shape) != rank):
            raise self.fail(
                f"tensor {tensor.name!r} is {tensor.dtype}{list(tensor.shape)}; "
                f"needed: {' or '.join(dtypes)}" + (f" with {rank} axes" if rank else "")
            )

    def quantization(self, tensor: TfliteTensor) -> Tuple[float, int]:
        """Scale and zero point of an int8 tensor; (1, 0) of others."""
        if tensor.dtype != "int8":
            return 1.0, 0
        held = tensor.quantization
        if held is None or len(held.scale) != 1 or not held.scale[0] > 0:
            raise self.fail(f"tensor {tensor.name!r} is int8 and has no scale")
        return held.scale[0], held.zero_point[0]

    def image(self) -> Tuple[int, int]:
        """Rows and columns of the input."""
        return self.input.shape[1], self.input.shape[2]

    def pair(self, name: str) -> Tuple[int, int]:
        """Options NAME for rows and columns."""
        suffix = "_factor" if name == "dilation" else ""
        return self.options[f"{name}_height{suffix}"], self.options[f"{name}_width{suffix}"]


def _quantize(op: LceOperator) -> Function:
    op.expect(op.input, ("float32", "int8", "bool"))
    op.expect(op.output, ("int32",))
    zero_point = op.quantization(op.input)[1]
    return lambda x: kernels.quantize(x, zero_point)


def _dequantize(op: LceOperator) -> Function:
    op.expect(op.input, ("int32",))
    op.expect(op.output, ("float32", "int8", "bool"))
    scale, zero_point = op.quantization(op.output)
    shape, dtype = op.output.shape, op.output.dtype
    words = op.input.shape[-1] if op.input.shape else 0
    if not shape or -(-shape[-1] // kernels.WORD_BITS) != words:
        raise op.fail(f"{words} words do not hold {list(shape)}")
    return lambda w: kernels.dequantize(w, shape[-1], dtype, scale, zero_point)


def _pool(op: LceOperator) -> Function:
    for tensor in (op.input, op.output):
        op.expect(tensor, ("int32",), 4)
    window = kernels.make_window(
        op.image(),
        op.pair("filter"),
        op.pair("stride"),
        (1, 1),
        op.options["padding"] == SAME,
    )
    return lambda w: kernels.max_pool(w, window)


def _convolution(op: LceOperator) -> Function:
    op.expect(op.input, ("int32",), 4)
    op.expect(op.output, ("float32", "int8", "int32"), 4)
    filters, channels, groups = _filters(op)
    same = op.options["padding"] == SAME
    window = kernels.make_window(
        op.image(),
        (int(filters.shape[1]), int(filters.shape[2])),
        op.pair("stride"),
        op.pair("dilation"),
        same,
    )
    zeros = same and op.options["pad_values"] == 0 and any((*window.before, *window.after))
    if zeros and (op.output.dtype != "float32" or op.options["fused_activation_function"]):
        raise UnsupportedOperatorError(
            f"{op.label}: borders of 0 with {op.output.dtype} results or a fused activation",
            where=op.where or None,
            hint="LCE's kernels want float32 results without activation there",
        )
    taps = filters.shape[1] * filters.shape[2] * (channels // groups)
    finish = _finish(op, len(filters), taps)
    depth, per_group = filters.shape[3], len(filters) // groups

    def run(words: Array) -> Array:
        counts, y = count(words, zeros)
        if zeros and op.rounding == LCE:
            ones = count(words, False)[1]
            return finish(counts, ones, ones - y)
        return finish(counts, y, np.zeros((), np.int64))

    def count(words: Array, zeros: bool) -> Tuple[Array, Array]:
        parts = []
        for group in range(groups):
            own = words[..., group * depth : (group + 1) * depth]
            block = filters[group * per_group : (group + 1) * per_group]
            parts.append(kernels.popcounts(own, block, window, zeros))
        counts, inside = np.concatenate([p[0] for p in parts], axis=-1), parts[0][1]
        return counts, kernels.sums(counts, inside, channels // groups)

    return run


def _filters(op: LceOperator) -> Tuple[Array, int, int]:
    """(int32 filters [outputs, rows, columns, words], input channels, groups)."""
    index = op.operator.inputs[1]
    tensor = op.graph.tensors[index] if index >= 0 else None
    if tensor is None or not tensor.is_constant:
        raise op.fail("its filter is no constant")
    op.expect(tensor, ("int32",), 4)
    channels, words = op.options["channels_in"], op.input.shape[3]
    if -(-channels // kernels.WORD_BITS) != words:
        raise op.fail(f"{words} words do not hold {channels} channels")
    outputs, depth = tensor.shape[0], tensor.shape[3]
    groups = words // depth if depth and words % depth == 0 else 0
    if groups == 0 or outputs % groups or 0 in tensor.shape:
        raise op.fail(f"a filter {list(tensor.shape)} for {words} words")
    if groups > 1 and channels != words * kernels.WORD_BITS:
        raise op.fail(f"{groups} groups of {channels} channels: groups are multiples of 32")
    filters = tensor.values()
    if kernels.bits_beyond(filters, channels // groups):
        raise op.fail("its filter has bits beyond its channels")
    return filters, channels, groups


def _finish(op: LceOperator, outputs: int, taps: int) -> Callable[[Array, Array, Array], Array]:
    """(popcounts, sums, what borders of 0 take away yet) -> the output: bits by thresholds, or numbers."""
    wanted = (4,) if op.output.dtype == "int32" else (2, 3)
    for position in (2, 3, 4):
        if (op.operator.inputs[position] >= 0) != (position in wanted):
            raise op.fail(f"inputs {list(op.operator.inputs)} for {op.output.dtype} results")
    if op.output.dtype == "int32":
        limits = op.constant(4, "int32", outputs)
        return lambda counts, *_: kernels.pack(counts > limits)
    multiplier, bias = (op.constant(position, "float32", outputs) for position in (2, 3))
    activation = op.options["fused_activation_function"]

    def real(y: Array, beyond: Array) -> Array:
        if op.rounding == FORMULA:
            return kernels.affine(y, multiplier, bias, activation)
        return kernels.affine_folded(y, beyond, taps, multiplier, bias, activation)

    if op.output.dtype == "float32":
        return lambda _, y, beyond: real(y, beyond)
    scale, zero_point = op.quantization(op.output)
    return lambda _, y, beyond: kernels.to_int8(real(y, beyond), scale, zero_point)


_MAKERS: Dict[str, Callable[[LceOperator], Function]] = {
    "LceQuantize": _quantize,
    "LceDequantize": _dequantize,
    "LceBMaxPool2d": _pool,
    "LceBconv2d": _convolution,
}


def lce_operators(graph: TfliteSubgraph) -> List[TfliteOperator]:
    """Those of a graph's operators that belong to Larq Compute Engine."""
    return [operator for operator in graph.operators if is_lce(operator)]


def foreign_operator(graph: TfliteSubgraph) -> Optional[TfliteOperator]:
    """The first custom operator of somebody else, None if there is none."""
    return next((o for o in graph.operators if o.code.name == "CUSTOM" and not is_lce(o)), None)
