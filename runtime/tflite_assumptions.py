"""What TFLite kernels assume without looking: a file that breaks it would end the process.

Found by running damaged files in tflite-runtime 2.14 and LiteRT 2.3: integer kernels divide by
scales that may be missing or zero, and abort where a ratio of scales cannot be written as their
fixed-point multiplier.
"""

from __future__ import annotations

from typing import Callable, Iterator, List

from .errors import InputError
from .tflite_model import TfliteModel, TfliteOperator, TfliteSubgraph, TfliteTensor

_Fail = Callable[[str], InputError]

_ARITHMETIC = frozenset(
    (
        *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D"),
        *("DEQUANTIZE", "DIV", "FULLY_CONNECTED", "HARD_SWISH", "L2_NORMALIZATION", "L2_POOL_2D"),
        *("LEAKY_RELU", "LOG_SOFTMAX", "LOGISTIC", "LSTM", "MAXIMUM", "MAX_POOL_2D", "MEAN"),
        *("MINIMUM", "MUL", "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RSQRT"),
        *("SOFTMAX", "SQUARED_DIFFERENCE", "SUB", "SUM", "SVDF", "TANH", "TRANSPOSE_CONV"),
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
    )
)
_RECURRENT = frozenset({"LSTM", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"})
_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int4": (-8, 7)}
"""Stored values of the types that need a scale; the zero point is one of them."""
_LARGEST_STEP = 1 << 15  # of a window; beyond it sizes overflow in 32 bits
_STEPS = (
    "stride_d",
    "stride_w",
    "stride_h",
    "dilation_d_factor",
    "dilation_w_factor",
    "dilation_h_factor",
    "filter_width",
    "filter_height",
    "depth_multiplier",
    "block_size",
)
_SUM_SHIFT = {"int8": 20, "uint8": 20, "int16": 15}  # bits ADD and SUB widen their inputs by


def check_assumptions(model: TfliteModel, where: str = "") -> None:
    """Refuse a parsed file (`tflite_schema.read_model`) that a kernel would stumble over.

    Raises:
        InputError: names the operator and what is wrong with it.
    """

    def fail(what: str) -> InputError:
        return InputError(
            f"the file would end the process inside the engine: {what}",
            where=where or None,
            hint="export the model again",
        )

    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            label = f"operator {operator.index} ({operator.name})"
            _check_steps(operator, label, fail)
            if operator.name in _ARITHMETIC:
                _check_operands(operator, label, fail)
                _check_scales(subgraph, operator, label, fail)
            if operator.name in ("ADD", "SUB"):
                _check_sum(subgraph, operator, label, fail)


def _check_steps(operator: TfliteOperator, label: str, fail: _Fail) -> None:
    for name in _STEPS:
        value = operator.options.get(name, 1)
        if value > _LARGEST_STEP:
            raise fail(f"{label}: {name} is {value}")


def _check_operands(operator: TfliteOperator, label: str, fail: _Fail) -> None:
    """Only a bias, or the many optional inputs of a recurrent layer, may be left out."""
    needed = 1 if operator.name in _RECURRENT else 2
    if -1 in operator.inputs[:needed] or not operator.inputs or not operator.outputs:
        raise fail(f"{label} lacks an operand")


def _tensors(subgraph: TfliteSubgraph, operator: TfliteOperator) -> Iterator[TfliteTensor]:
    for index in (*operator.inputs, *operator.outputs):
        if index >= 0:
            yield subgraph.tensors[index]


def _check_scales(
    subgraph: TfliteSubgraph, operator: TfliteOperator, label: str, fail: _Fail
) -> None:
    for tensor in _tensors(subgraph, operator):
        if tensor.dtype not in _RANGES:
            continue
        quantization = tensor.quantization
        if quantization is not None and quantization.details:
            continue
        if quantization is None or not quantization.scale or min(quantization.scale) <= 0:
            raise fail(
                f"{label} computes with the {tensor.dtype} tensor {tensor.index} "
                f"{tensor.name!r}, which has no scale"
            )
        low, high = _RANGES[tensor.dtype]
        if not all(low <= zero <= high for zero in quantization.zero_point):
            raise fail(
                f"{label} computes with the {tensor.dtype} tensor {tensor.index} "
                f"{tensor.name!r}, whose zero point is none of its values"
            )


def _check_sum(subgraph: TfliteSubgraph, operator: TfliteOperator, label: str, fail: _Fail) -> None:
    """ADD writes 2 max(scales) / (2^20 output scale) as a fraction below one."""
    tensors = list(_tensors(subgraph, operator))
    shift = _SUM_SHIFT.get(tensors[-1].dtype)
    scales: List[float] = [t.quantization.scale[0] for t in tensors if t.quantization is not None]
    if shift is None or len(scales) < 3:
        return
    if 2 * max(scales[0], scales[1]) >= scales[-1] * (1 << shift):
        raise fail(f"{label}: the output's scale {scales[-1]:g} is too small for its inputs'")
