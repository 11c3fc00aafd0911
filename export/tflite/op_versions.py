"""Which runtime knows which version of a TFLite operator.

`RELEASES` says which TensorFlow release first carried a version (public: tensorflow/lite/tools/versioning/
runtime_version.cc, which ends at 2.11); `ENGINE_VERSIONS` is what two engines accepted when each
operator was offered to them in versions 1 to 19 (tests/contract repeats it for what we write).
"""

from __future__ import annotations

from collections.abc import Iterable

from ...runtime.errors import UsageError

Release = tuple[int, ...]

_RELEASES = """
ABS 1.13 2.4 2.5 2.6
ADD 1.5 1.14 2.4 2.6
ARG_MAX 1.9 1.14 2.9
ARG_MIN 1.9 1.14 2.9
AVERAGE_POOL_2D 1.5 1.14 2.3
BATCH_MATMUL 2.3 2.3 2.4 2.5
BATCH_TO_SPACE_ND 1.6 1.14 2.3
BROADCAST_TO - 2.5 2.5
CAST 1.5 2.7 2.8 2.9
CONCATENATION 1.5 1.14 2.3
CONV_2D 1.5 1.14 1.14 2.3 2.4 2.9
CUMSUM 2.4
DEPTHWISE_CONV_2D 1.5 1.12 1.14 2.2 2.3 2.3
DEPTH_TO_SPACE 2.1 2.5
DEQUANTIZE 1.13.1 1.14 1.15 2.2 2.7
DIV 1.6 2.3
ELU 1.14
EQUAL 1.14 1.14 2.3
EXP 1.7
EXPAND_DIMS 1.10
FILL 1.13 2.3 2.5
FLOOR 1.9
FULLY_CONNECTED 1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3
GATHER 1.6 1.14 1.15 2.4 2.5
GATHER_ND 1.14 2.3 2.5
GELU 2.9 2.9
GREATER 1.14 1.14
GREATER_EQUAL 1.14 1.14
HARD_SWISH 1.15
L2_NORMALIZATION 1.5 1.14
LEAKY_RELU 1.13.1 2.3
LESS 1.14 1.14
LESS_EQUAL 1.14 1.14
LOG 1.14
LOGISTIC 1.14 1.14 2.3
LOG_SOFTMAX 1.14 1.14
LSTM 1.7 1.10 1.14 2.3
MAXIMUM 1.14 1.14 2.3 2.3
MAX_POOL_2D 1.5 1.14 2.3
MEAN 1.6 1.14 2.4
MINIMUM 1.14 1.14 2.3 2.3
MIRROR_PAD 1.13.1 2.3
MUL 1.5 1.14 1.15 2.3 2.6
NEG 1.9
NOT_EQUAL 1.14 1.14 2.3
PACK 1.11 1.14 2.3
PAD 1.5 1.14 2.4 2.6
PADV2 1.9 1.14 2.4 2.6
POW 1.10
PRELU 1.8
QUANTIZE 1.14 1.15 2.7
REDUCE_MAX 1.11 1.14 2.5
REDUCE_MIN 1.11 1.14 2.5
RELU 1.5 2.1 2.5
RELU6 1.5 1.14 2.5
RELU_0_TO_1 2.10
RELU_N1_TO_1 1.5
RESHAPE 1.5
RESIZE_BILINEAR 1.7 1.14 2.2 2.5
RESIZE_NEAREST_NEIGHBOR 1.13.1 1.14 2.3 2.4
RSQRT 1.10 2.5
SELECT 1.14 1.14
SELECT_V2 2.2
SHAPE 1.10
SLICE 1.14 1.14 1.14 2.4 2.5
SOFTMAX 1.5 1.14 2.3
SPACE_TO_BATCH_ND 1.6 1.14 2.3
SPACE_TO_DEPTH 1.5 1.14
SPLIT 1.5 1.14 1.14 2.3
SPLIT_V 1.13.1 2.3
SQRT 1.10
SQUARE 1.12
SQUARED_DIFFERENCE 1.13.1 2.5
SQUEEZE 1.6 2.5
STRIDED_SLICE 1.6 1.14 2.1 2.2 2.5 2.6
SUB 1.6 1.14 2.3 2.4 2.4
SUM 1.10 1.15
SVDF 1.5 1.14 2.2 2.3
TANH 1.14 1.14 2.3
TILE 1.10.1 2.2 2.8
TOPK_V2 1.7 1.14
TRANSPOSE 1.6 1.14 1.15 2.3 2.4
TRANSPOSE_CONV 1.9 2.2 2.3
UNIDIRECTIONAL_SEQUENCE_LSTM 1.13.1 1.14 2.3
UNPACK 1.11 1.14 2.2 2.3
"""

ENGINES: dict[str, Release] = {"tflite-runtime 2.14": (2, 14), "ai-edge-litert 2.3": (2, 20)}
"""Engines the versions were tried in, and the TensorFlow release each stands for (LiteRT left after 2.20)."""

_ENGINE_VERSIONS = """
ABS:5/5 ADD:5/6 ADD_N:1/1 ARG_MAX:3/3 ARG_MIN:3/3 ASSIGN_VARIABLE:1/1 ATAN2:1/1 AVERAGE_POOL_2D:3/3
BATCH_MATMUL:4/4 BATCH_TO_SPACE_ND:4/4 BIDIRECTIONAL_SEQUENCE_LSTM:3/3
BIDIRECTIONAL_SEQUENCE_RNN:3/3 BITCAST:1/1 BITWISE_XOR:1/1 BROADCAST_ARGS:1/1 BROADCAST_TO:3/4
BUCKETIZE:1/1 CALL_ONCE:1/1 CAST:5/9 CEIL:1/1 COMPLEX_ABS:1/1 CONCATENATION:4/7 CONV_2D:7/8
CONV_3D:1/1 CONV_3D_TRANSPOSE:1/1 COS:1/2 CUMSUM:1/1 DENSIFY:1/1 DEPTHWISE_CONV_2D:7/7
DEPTH_TO_SPACE:2/2 DEQUANTIZE:5/9 DILATE:0/1 DIV:2/2 DYNAMIC_UPDATE_SLICE:1/6 ELU:1/1
EMBEDDING_LOOKUP:3/5 EMBEDDING_LOOKUP_SPARSE:1/1 EQUAL:4/5 EXP:2/2 EXPAND_DIMS:1/1 FAKE_QUANT:2/2
FILL:4/5 FLOOR:1/1 FLOOR_DIV:3/3 FLOOR_MOD:2/2 FULLY_CONNECTED:10/14 GATHER:6/8 GATHER_ND:4/6
GELU:2/3 GREATER:2/2 GREATER_EQUAL:3/3 HARD_SWISH:1/1 HASHTABLE:1/1 HASHTABLE_FIND:1/1
HASHTABLE_IMPORT:1/1 HASHTABLE_LOOKUP:1/1 HASHTABLE_SIZE:1/1 IF:1/1 IMAG:1/1 L2_NORMALIZATION:2/2
L2_POOL_2D:1/1 LEAKY_RELU:2/2 LESS:3/3 LESS_EQUAL:2/2 LOCAL_RESPONSE_NORMALIZATION:1/1 LOG:1/2
LOGICAL_AND:1/1 LOGICAL_NOT:1/1 LOGICAL_OR:1/1 LOGISTIC:3/3 LOG_SOFTMAX:2/2 LSH_PROJECTION:1/1
LSTM:4/4 MATRIX_DIAG:1/1 MATRIX_SET_DIAG:1/1 MAXIMUM:4/4 MAX_POOL_2D:3/3 MEAN:3/3 MINIMUM:4/4
MIRROR_PAD:3/3 MUL:7/8 MULTINOMIAL:1/1 NEG:1/1 NON_MAX_SUPPRESSION_V4:1/1 NON_MAX_SUPPRESSION_V5:1/1
NOT_EQUAL:3/4 ONE_HOT:1/1 PACK:4/5 PAD:4/6 PADV2:4/6 POW:1/1 PRELU:1/1 QUANTIZE:3/6
RANDOM_STANDARD_NORMAL:1/1 RANDOM_UNIFORM:1/1 RANGE:2/2 RANK:1/1 READ_VARIABLE:1/1 REAL:1/1
REDUCE_ALL:1/1 REDUCE_ANY:1/1 REDUCE_MAX:3/3 REDUCE_MIN:3/3 REDUCE_PROD:2/2 REDUCE_WINDOW:0/1
RELU:3/3 RELU6:3/3 RELU_0_TO_1:1/1 RELU_N1_TO_1:1/1 RESHAPE:1/1 RESIZE_BILINEAR:4/4
RESIZE_NEAREST_NEIGHBOR:4/4 REVERSE_SEQUENCE:1/1 REVERSE_V2:3/4 RFFT2D:1/1 RIGHT_SHIFT:1/1 RNN:3/3
ROUND:1/1 RSQRT:2/3 SCATTER_ND:1/1 SEGMENT_SUM:1/1 SELECT:4/4 SELECT_V2:2/2 SHAPE:1/1 SIGN:2/2
SIN:1/2 SKIP_GRAM:1/1 SLICE:6/8 SOFTMAX:3/4 SPACE_TO_BATCH_ND:4/4 SPACE_TO_DEPTH:2/2
SPARSE_TO_DENSE:3/3 SPLIT:4/5 SPLIT_V:2/3 SQRT:1/2 SQUARE:1/1 SQUARED_DIFFERENCE:2/2 SQUEEZE:2/2
STABLEHLO_ADD:0/1 STABLEHLO_AND:0/1 STABLEHLO_CASE:0/1 STABLEHLO_COMPOSITE:0/1 STABLEHLO_GATHER:0/1
STABLEHLO_MAXIMUM:0/1 STABLEHLO_MINIMUM:0/1 STABLEHLO_MULTIPLY:0/1 STABLEHLO_PAD:0/1
STABLEHLO_REDUCE_WINDOW:0/1 STABLEHLO_RNG_BIT_GENERATOR:0/1 STABLEHLO_SCATTER:0/1
STABLEHLO_SHIFT_LEFT:0/1 STRIDED_SLICE:8/8 SUB:5/5 SUM:2/2 SVDF:4/4 TANH:3/3 TILE:3/3 TOPK_V2:3/3
TRANSPOSE:6/9 TRANSPOSE_CONV:4/5 UNIDIRECTIONAL_SEQUENCE_LSTM:4/4 UNIDIRECTIONAL_SEQUENCE_RNN:3/3
UNIQUE:1/1 UNPACK:4/6 UNSORTED_SEGMENT_MAX:1/1 UNSORTED_SEGMENT_MIN:1/1 UNSORTED_SEGMENT_PROD:1/1
UNSORTED_SEGMENT_SUM:1/1 VAR_HANDLE:1/1 WHERE:2/2 WHILE:1/1 ZEROS_LIKE:1/1
"""
"""Operator, and the highest version each of `ENGINES` accepts (0: no such operator)."""


def _parse(text: str) -> Release:
    return tuple(int(part) for part in text.split("."))


def _release_table() -> dict[tuple[str, int], Release]:
    table = {}
    for line in _RELEASES.split("\n"):
        words = line.split()
        for version, release in enumerate(words[1:], start=1):
            if release != "-":
                table[words[0], version] = _parse(release)
    return table


def _engine_table() -> dict[str, tuple[int, ...]]:
    pairs = (item.split(":") for item in _ENGINE_VERSIONS.split())
    return {name: tuple(int(version) for version in text.split("/")) for name, text in pairs}


RELEASES: dict[tuple[str, int], Release] = _release_table()
"""(operator, version) -> first TensorFlow release that carries it."""

ENGINE_VERSIONS: dict[str, tuple[int, ...]] = _engine_table()
"""Operator -> highest version each engine of `ENGINES` accepts; 0 where it has no such operator."""


def first_release(operator: str, version: int) -> Release | None:
    """First release known to run this version; None if no engine tried and no table knows it."""
    if (operator, version) in RELEASES:
        return RELEASES[operator, version]
    highest = ENGINE_VERSIONS.get(operator, ())
    fitting = (
        release
        for known, release in zip(highest, ENGINES.values(), strict=False)
        if version <= known
    )
    return next(fitting, None)


def minimum_runtime(used: Iterable[tuple[str, int]]) -> str:
    """The value of a file's `min_runtime_version`: the newest of the first releases of (operator, version)."""
    releases = [first_release(operator, version) for operator, version in used]
    newest = max((release for release in releases if release is not None), default=(1, 5))
    return ".".join(str(part) for part in (*newest, 0, 0)[:3])


def parse_release(text: str) -> Release:
    """(2, 14) of "2.14"; a suffix such as ".0" is allowed. Other text is a `UsageError`."""
    try:
        release = _parse(text)
    except ValueError:
        release = ()
    if len(release) < 2:
        raise UsageError(f"{text!r} is no runtime version", hint="give it as 2.14, for instance")
    return release
