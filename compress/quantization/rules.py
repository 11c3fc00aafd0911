"""The one table of int8 rules: what TFLite's int8 kernels demand of each operator.

Source: the TFLite 8-bit quantization specification (tensorflow/lite/g3doc/performance/quantization_spec.md)
and what each engine accepted when invoked (docs/operators.md is generated from those runs).
The planner ties and fixes parameters by it, the TFLite writer checks by it, `edgepress lint` judges any file by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OutputRule(StrEnum):
    """How the output parameters of an int8 operator relate to its inputs."""

    FREE = "free"
    SAME_AS_INPUT = "same as input"
    FIXED = "fixed"
    UNQUANTIZED = "not quantized"


@dataclass(frozen=True)
class Int8Rule:
    """int8 rule of one TFLite operator and the ONNX operators that lower to it.

    `version` is the lowest operator version that takes int8; `float_version` the one for float32.
    `fixed` is (scale, zero point) of the output where the kernel demands it.
    `weight_axis` is the quantized dimension of the weight in TFLite's layout.
    """

    tflite: str
    onnx: tuple[str, ...]
    output: OutputRule
    version: int
    float_version: int = 1
    fixed: tuple[float, int] | None = None
    weight_axis: int | None = None


_FREE, _SAME, _FIXED = OutputRule.FREE, OutputRule.SAME_AS_INPUT, OutputRule.FIXED
_PLAIN = OutputRule.UNQUANTIZED

SEVERAL = "(several operators)"
"""Stands for the operator of a rule whose ONNX operators are rewritten with more than one of TFLite's."""

RULES: tuple[Int8Rule, ...] = (
    Int8Rule("CONV_2D", ("Conv",), _FREE, 3, weight_axis=0),
    Int8Rule("DEPTHWISE_CONV_2D", (), _FREE, 3, weight_axis=3),
    Int8Rule("TRANSPOSE_CONV", ("ConvTranspose",), _FREE, 2, weight_axis=0),
    Int8Rule("FULLY_CONNECTED", ("Gemm", "MatMul"), _FREE, 4, weight_axis=0),
    Int8Rule("ADD", ("Add",), _FREE, 2),
    Int8Rule("SUB", ("Sub",), _FREE, 2),
    Int8Rule("MUL", ("Mul",), _FREE, 2),
    Int8Rule("BATCH_MATMUL", (), _FREE, 2),
    Int8Rule("SQUARED_DIFFERENCE", (), _FREE, 2),
    Int8Rule("RELU", (), _FREE, 2),
    Int8Rule("RELU6", (), _FREE, 2),
    Int8Rule("RELU_N1_TO_1", (), _FREE, 1),
    Int8Rule("ABS", ("Abs",), _FREE, 2),
    Int8Rule("EXP", ("Exp",), _FREE, 2),
    Int8Rule("RSQRT", (), _FREE, 2),
    Int8Rule(SEVERAL, ("Neg", "Sign"), _FREE, 1),
    Int8Rule("SUM", ("ReduceSum",), _FREE, 2),
    Int8Rule("MEAN", ("ReduceMean", "GlobalAveragePool"), _FREE, 2),
    Int8Rule("QUANTIZE", (), _FREE, 2),
    Int8Rule("HARD_SWISH", ("HardSwish",), _FREE, 1),
    Int8Rule("PRELU", ("PRelu",), _FREE, 1),
    Int8Rule("LEAKY_RELU", ("LeakyRelu",), _FREE, 2),
    Int8Rule("GELU", ("Gelu",), _FREE, 2),
    Int8Rule("LOGISTIC", ("Sigmoid",), _FIXED, 2, fixed=(1 / 256, -128)),
    Int8Rule("SOFTMAX", ("Softmax",), _FIXED, 2, fixed=(1 / 256, -128)),
    Int8Rule("TANH", ("Tanh",), _FIXED, 2, fixed=(1 / 128, 0)),
    Int8Rule("L2_NORMALIZATION", (), _FIXED, 2, fixed=(1 / 128, 0)),
    Int8Rule("LOG_SOFTMAX", ("LogSoftmax",), _FIXED, 2, fixed=(16 / 256, 127)),
    Int8Rule("AVERAGE_POOL_2D", ("AveragePool",), _SAME, 2),
    Int8Rule("MAX_POOL_2D", ("MaxPool", "GlobalMaxPool"), _SAME, 2),
    Int8Rule("CONCATENATION", ("Concat",), _SAME, 2),
    Int8Rule("RESHAPE", ("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _SAME, 1),
    Int8Rule("TRANSPOSE", ("Transpose",), _SAME, 2),
    Int8Rule("PAD", ("Pad",), _SAME, 2),
    Int8Rule("PADV2", (), _SAME, 2),
    Int8Rule("SLICE", ("Slice",), _SAME, 2),
    Int8Rule("STRIDED_SLICE", (), _SAME, 2),
    Int8Rule("SPLIT", ("Split",), _SAME, 2),
    Int8Rule("GATHER", ("Gather",), _SAME, 2),
    Int8Rule("SPACE_TO_BATCH_ND", (), _SAME, 2),
    Int8Rule("BATCH_TO_SPACE_ND", (), _SAME, 2),
    Int8Rule("SPACE_TO_DEPTH", ("SpaceToDepth",), _SAME, 2),
    Int8Rule("RESIZE_BILINEAR", ("Resize",), _SAME, 2),
    Int8Rule("RESIZE_NEAREST_NEIGHBOR", (), _SAME, 2),
    Int8Rule("MAXIMUM", ("Max",), _SAME, 2),
    Int8Rule("MINIMUM", ("Min",), _SAME, 2),
    Int8Rule("SELECT_V2", ("Where",), _SAME, 1),
    Int8Rule("REDUCE_MAX", ("ReduceMax",), _SAME, 2),
    Int8Rule("REDUCE_MIN", ("ReduceMin",), _SAME, 2),
    Int8Rule("SPLIT_V", (), _SAME, 2),
    Int8Rule("SQUEEZE", (), _SAME, 1),
    Int8Rule("EXPAND_DIMS", (), _SAME, 1),
    Int8Rule("PACK", (), _SAME, 2),
    Int8Rule("UNPACK", (), _SAME, 2),
    Int8Rule("TILE", ("Tile",), _SAME, 1),
    Int8Rule("BROADCAST_TO", ("Expand",), _SAME, 2, 2),
    Int8Rule("MIRROR_PAD", (), _SAME, 2),
    Int8Rule("DEPTH_TO_SPACE", ("DepthToSpace",), _SAME, 1),
    Int8Rule("GREATER", ("Greater",), _PLAIN, 2),
    Int8Rule("GREATER_EQUAL", ("GreaterOrEqual",), _PLAIN, 2),
    Int8Rule("LESS", ("Less",), _PLAIN, 2),
    Int8Rule("LESS_EQUAL", ("LessOrEqual",), _PLAIN, 2),
    Int8Rule("EQUAL", ("Equal",), _PLAIN, 2),
    Int8Rule("NOT_EQUAL", (), _PLAIN, 2),
    Int8Rule("ARG_MAX", ("ArgMax",), _PLAIN, 2),
    Int8Rule("ARG_MIN", ("ArgMin",), _PLAIN, 2),
)
"""Squeezing or tying `Resize` by mode, and depthwise against grouped convolution, is the writer's business."""

REFUSES, WRONG = "refuses it", "computes it wrongly"

INT8_GAPS: dict[str, dict[str, str]] = {
    "DIV": {"tflite": REFUSES},
    "SQRT": {"tflite": REFUSES},
    "LOG": {"tflite": REFUSES},
    "NEG": {"tflite": REFUSES, "litert": WRONG},  # the zero point is ignored
    "SIGN": {"tflite": WRONG, "litert": REFUSES},
    "FLOOR_DIV": {"tflite": WRONG, "litert": WRONG},
    **{
        name: {"tflite": REFUSES, "litert": REFUSES}
        for name in ("SQUARE", "POW", "FLOOR", "CEIL", "ROUND", "SIN", "ADD_N", "CUMSUM")
    },
}
"""Operators that load with int8 tensors and then fail: engine (tflite-runtime 2.14, LiteRT 2.3) -> how.

Found by running each on random tensors. MAXIMUM, MINIMUM and the pools compute without a word on
integers whose scales differ, so breaking SAME_AS_INPUT is not found by running either.
"""

FUSED_ACTIVATIONS: tuple[str, ...] = ("Relu", "Clip")
"""ONNX activations that int8 kernels fuse: no Q/DQ stands between a compute operator and one of these."""


def by_onnx(op_type: str) -> Int8Rule | None:
    """Rule of an ONNX operator, None if int8 does not know it."""
    return next((rule for rule in RULES if op_type in rule.onnx), None)


def by_tflite(name: str) -> Int8Rule | None:
    """Rule of a TFLite operator, None if int8 does not know it."""
    return next((rule for rule in RULES if rule.tflite == name), None)
