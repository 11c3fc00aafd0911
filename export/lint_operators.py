"""Lint of single operators against the one table of int8 rules (compress/quantization/rules.py)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..compress.quantization.rules import INT8_GAPS, Int8Rule, OutputRule, by_tflite
from ..runtime.tflite_schema import TfliteOperator, TfliteQuantization, TfliteSubgraph, TfliteTensor
from .lint_tensors import Item, label
from .tflite.op_versions import ENGINES, Release

_WEIGHT_AND_BIAS = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Positions of input, weight and bias among an operator's inputs."""

_BIAS_TOLERANCE = 1e-6
"""Relative; converters multiply the two scales in float32 or in double, both are right."""

_SMALLEST_SCALE = np.float32(1e-37)

_ENGINE_OF_GAP = dict(zip(("tflite", "litert"), ENGINES, strict=True))

_BORDERS = ("QUANTIZE", "DEQUANTIZE")


def is_int8_model(subgraph: TfliteSubgraph) -> bool:
    """True if some operator with weights computes on int8 activations."""
    return any(
        op.code.name in _WEIGHT_AND_BIAS and _activation(subgraph, op).dtype == "int8"
        for op in subgraph.operators
    )


def check_operator(
    subgraph: TfliteSubgraph, operator: TfliteOperator, int8_model: bool, target: Release | None
) -> Iterator[Item]:
    """Errors and warnings about one operator."""
    where = f"operator {operator.index} ({operator.name})"
    read = [subgraph.tensors[i] for i in operator.inputs if i >= 0]
    made = [subgraph.tensors[i] for i in operator.outputs]
    name = operator.code.name
    if name in _WEIGHT_AND_BIAS:
        yield from _weights(subgraph, operator, where)
    if any(t.dtype == "int8" and not t.is_constant for t in (*read, *made)):
        yield from _int8(operator, read, made, where, target)
    elif int8_model:
        yield from _float_island(name, read, made, where)


def _int8(
    operator: TfliteOperator,
    read: list[TfliteTensor],
    made: list[TfliteTensor],
    where: str,
    target: Release | None,
) -> Iterator[Item]:
    name = operator.code.name
    yield from _gaps(name, where, target)
    rule = by_tflite(name)
    if rule is None:
        return
    plain = [t for t in (*read, *made) if t.dtype == "int8" and t.quantization is None]
    for tensor in plain:
        message = f"{label(tensor)} is int8 without scale and zero point"
        yield "error", "parameters", where, message, "quantize this tensor"
    if plain:
        return
    needs_int8 = name != "QUANTIZE" or read[0].dtype == "int8"  # from float32, version 1 serves
    if needs_int8 and operator.code.version < rule.version:
        message = f"version {operator.code.version} does not know int8, version {rule.version} does"
        yield "warning", "operator-version", where, message, "old runtimes may refuse or misread it"
    if rule.output is OutputRule.SAME_AS_INPUT:
        yield from _same_scale(name, read, made, where)
    elif rule.output is OutputRule.FIXED:
        yield from _fixed(rule, made[0], where)


def _gaps(name: str, where: str, target: Release | None) -> Iterator[Item]:
    """int8 kernels that engines do not have, or have wrong."""
    hint = "rewrite the operator, or keep it float"
    gaps = INT8_GAPS.get(name, {})
    for short, how in gaps.items():
        engine = _ENGINE_OF_GAP[short]
        concerned = target is not None and ENGINES[engine] >= target
        hopeless = target is None and len(gaps) == len(ENGINES)
        if concerned or hopeless or target is None:
            severity = "error" if concerned or hopeless else "warning"
            yield severity, "no-int8-kernel", where, f"{engine} {how} on int8", hint


def _same_scale(
    name: str, read: list[TfliteTensor], made: list[TfliteTensor], where: str
) -> Iterator[Item]:
    expected = made[0].quantization
    for tensor in (*read, *made[1:]):
        if tensor.dtype == "int8" and not _equal(tensor.quantization, expected):
            message = (
                f"{name} does not rescale, but {label(tensor)} has {_show(tensor.quantization)} "
                f"and {label(made[0])} {_show(expected)}"
            )
            yield "error", "same-scale", where, message, "tie the two, or put a QUANTIZE between"


def _fixed(rule: Int8Rule, output: TfliteTensor, where: str) -> Iterator[Item]:
    if output.dtype != "int8" or rule.fixed is None:
        return
    scale, zero_point = rule.fixed
    if not _equal(output.quantization, TfliteQuantization((scale,), (zero_point,))):
        message = (
            f"int8 {rule.tflite} makes scale {scale}, zero point {zero_point}; "
            f"{label(output)} has {_show(output.quantization)}"
        )
        yield "error", "fixed-output", where, message, "write the fixed parameters"


def _float_island(
    name: str, read: list[TfliteTensor], made: list[TfliteTensor], where: str
) -> Iterator[Item]:
    """Float computing in an int8 model; borders and the unpacking of constants are not meant."""
    if name in _BORDERS or not any(tensor.dtype == "float32" for tensor in made):
        return
    if all(tensor.is_constant for tensor in read):
        return
    message = f"{name} computes in float32 in a model that is int8 elsewhere"
    yield (
        "warning",
        "float-island",
        where,
        message,
        "quantize it, unless it was kept float on purpose",
    )


# -- weights and biases ---------------------------------------------------------------------------


def _activation(subgraph: TfliteSubgraph, operator: TfliteOperator) -> TfliteTensor:
    return subgraph.tensors[operator.inputs[_WEIGHT_AND_BIAS[operator.code.name][0]]]


def _weights(subgraph: TfliteSubgraph, operator: TfliteOperator, where: str) -> Iterator[Item]:
    """int8 weights are symmetric and narrow along the kernel's axis; biases carry the product scale."""
    positions = _WEIGHT_AND_BIAS[operator.code.name]
    held = [
        subgraph.tensors[operator.inputs[p]]
        if p < len(operator.inputs) and operator.inputs[p] >= 0
        else None
        for p in positions
    ]
    activation, weight, bias = held
    if activation is None or weight is None or weight.dtype != "int8":
        return
    q = weight.quantization
    if q is None:
        if activation.dtype == "int8":
            message = f"weight {label(weight)} is int8 without scale"
            yield "error", "parameters", where, message, "quantize this tensor"
        return
    yield from _weight(operator.code.name, weight, q, where)
    if bias is not None and bias.dtype == "int32" and activation.dtype == "int8":
        yield from _bias(bias, activation, q, where)


def _weight(name: str, weight: TfliteTensor, q: TfliteQuantization, where: str) -> Iterator[Item]:
    rule = by_tflite(name)
    if any(q.zero_point):
        message = f"weight {label(weight)} has zero point {next(z for z in q.zero_point if z)}"
        yield "error", "weight-symmetric", where, message, "quantize weights symmetrically"
    if q.per_channel and rule is not None and q.dimension != rule.weight_axis:
        message = f"weight {label(weight)} has scales along {q.dimension}, {name} reads {rule.weight_axis}"
        yield "error", "weight-axis", where, message, "quantize along the kernel's axis"
    if weight.is_constant and not weight.is_sparse and bool((weight.values() == -128).any()):
        message = f"weight {label(weight)} holds -128; kernels count on [-127, 127]"
        yield "error", "weight-narrow", where, message, "quantize weights to the narrow range"


def _bias(
    bias: TfliteTensor, activation: TfliteTensor, weight: TfliteQuantization, where: str
) -> Iterator[Item]:
    if activation.quantization is None:
        return
    q = bias.quantization
    if q is None or not q.scale:
        message = f"bias {label(bias)} is int32 without scale"
        yield "warning", "bias-scale", where, message, "engines that check it refuse the file"
        return
    if any(q.zero_point):
        message = f"bias {label(bias)} has zero point {next(z for z in q.zero_point if z)}"
        yield "error", "bias-zero-point", where, message, "biases have zero point 0"
    expected = np.float32(activation.quantization.scale[0]) * np.asarray(weight.scale, np.float32)
    written = np.asarray(q.scale, np.float32)
    if written.shape != expected.shape:
        message = f"bias {label(bias)} has {written.size} scales, its weight {expected.size}"
        yield "error", "bias-scale", where, message, "one bias scale for each weight scale"
    elif not np.allclose(written, expected, rtol=_BIAS_TOLERANCE, atol=0):
        worst = int(np.argmax(np.abs(written - expected) / np.maximum(expected, _SMALLEST_SCALE)))
        message = f"bias {label(bias)} has scale {written[worst]} at {worst}, input x weight is {expected[worst]}"
        yield "error", "bias-scale", where, message, "bias scale = input scale x weight scale"


def _equal(a: TfliteQuantization | None, b: TfliteQuantization | None) -> bool:
    if a is None or b is None:
        return False
    scales = np.array_equal(np.asarray(a.scale, np.float32), np.asarray(b.scale, np.float32))
    return scales and a.zero_point == b.zero_point


def _show(q: TfliteQuantization | None) -> str:
    return "none" if q is None else f"scale {q.scale[0]:.9g}, zero point {q.zero_point[0]}"
