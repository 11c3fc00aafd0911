"""Check what a parsed TFLite file claims, before anybody indexes by it or an engine runs it.

tflite-runtime trusts the file: an index out of range or a constant shorter than its shape reads
foreign memory there. So whatever is inconsistent is refused here, with the tensor or operator named.
"""

from __future__ import annotations

import math
from typing import Callable, Iterable, List, Set

from .errors import InputError
from .tflite_model import (
    BITS,
    TfliteModel,
    TfliteOperator,
    TfliteQuantization,
    TfliteSubgraph,
    TfliteTensor,
)

_Fail = Callable[[str], InputError]

_MAXIMUM_BYTES = 1 << 31  # of one tensor; engines index with 32 bits
_MAXIMUM_RANK = 16
_POSITIVE_OPTIONS = (
    "stride_d",
    "stride_w",
    "stride_h",
    "dilation_d_factor",
    "dilation_w_factor",
    "dilation_h_factor",
    "filter_width",
    "filter_height",
    "block_size",
    "num_splits",
)
_SUBGRAPH_OPTIONS = (
    "subgraph",
    "then_subgraph_index",
    "else_subgraph_index",
    "cond_subgraph_index",
    "body_subgraph_index",
    "init_subgraph_index",
)


def check_model(model: TfliteModel, fail: _Fail) -> None:
    """Raise `fail(what)` for the first inconsistency of `model`."""
    if not model.subgraphs:
        raise fail("it holds no graph")
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            _check_tensor(tensor, fail)
        _check_indices(subgraph, fail)
        _check_order(subgraph, fail)
    _check_calls(model, fail)
    for signature in model.signatures:
        if signature.subgraph >= len(model.subgraphs):
            raise fail(f"signature {signature.key!r} names graph {signature.subgraph}")
        count = len(model.subgraphs[signature.subgraph].tensors)
        indices = [*signature.inputs.values(), *signature.outputs.values()]
        if any(index >= count for index in indices):
            raise fail(f"signature {signature.key!r} names a tensor that does not exist")


def _label(tensor: TfliteTensor) -> str:
    return f"tensor {tensor.index} {tensor.name!r} {list(tensor.shape)} {tensor.dtype}"


def _check_tensor(tensor: TfliteTensor, fail: _Fail) -> None:
    if len(tensor.shape) > _MAXIMUM_RANK or any(n < 0 for n in tensor.shape):
        raise fail(f"{_label(tensor)}: impossible shape")
    if tensor.quantization is not None:
        _check_quantization(tensor, tensor.quantization, fail)
    bits = BITS.get(tensor.dtype)
    if bits is None or tensor.is_sparse:
        return
    expected = (tensor.n_elements * bits + 7) // 8
    if expected > _MAXIMUM_BYTES:
        raise fail(f"{_label(tensor)}: {expected} bytes, more than engines can address")
    if tensor.raw is not None and tensor.raw.size != expected:
        raise fail(f"{_label(tensor)}: holds {tensor.raw.size} bytes, its shape needs {expected}")


def _check_quantization(tensor: TfliteTensor, q: TfliteQuantization, fail: _Fail) -> None:
    if any(not math.isfinite(scale) or scale < 0 for scale in q.scale):
        raise fail(f"{_label(tensor)}: a quantization scale is negative, infinite or not a number")
    rank = len(tensor.shape)
    if rank and not 0 <= q.dimension < rank:
        raise fail(
            f"{_label(tensor)}: quantized along dimension {q.dimension}, which does not exist "
            f"(quantized_dimension must be in range [0, {rank}))"
        )
    if rank and q.per_channel and len(q.scale) != tensor.shape[q.dimension]:
        raise fail(
            f"{_label(tensor)}: {len(q.scale)} scales for the {tensor.shape[q.dimension]} "
            f"slices of dimension {q.dimension}"
        )
    if len(q.zero_point) not in (1, len(q.scale)) and not q.details:
        raise fail(f"{_label(tensor)}: {len(q.scale)} scales but {len(q.zero_point)} zero points")


def _check_indices(subgraph: TfliteSubgraph, fail: _Fail) -> None:
    count = len(subgraph.tensors)

    def inside(indices: Iterable[int], lowest: int, what: str) -> None:
        for index in indices:
            if not lowest <= index < count:
                raise fail(f"{what} names tensor {index} of {count}")

    inside(subgraph.inputs, 0, "the graph's input list")
    inside(subgraph.outputs, 0, "the graph's output list")
    for operator in subgraph.operators:
        label = f"operator {operator.index} ({operator.name})"
        inside(operator.inputs, -1, label)
        inside(operator.outputs, 0, label)
        inside(operator.intermediates, -1, label)
        _check_options(operator, label, fail)


def _check_options(operator: TfliteOperator, label: str, fail: _Fail) -> None:
    for name in _POSITIVE_OPTIONS:
        value = operator.options.get(name, 1)
        if value < 1:
            raise fail(f"{label}: {name} is {value}")


def _check_order(subgraph: TfliteSubgraph, fail: _Fail) -> None:
    """Every tensor an operator reads is there before it runs, and is computed once."""
    known: Set[int] = {t.index for t in subgraph.tensors if t.is_constant or t.is_variable}
    inputs = set(subgraph.inputs)
    known |= inputs
    computed: Set[int] = set()
    for operator in subgraph.operators:
        missing = [index for index in operator.inputs if index >= 0 and index not in known]
        if missing:
            raise fail(
                f"operator {operator.index} ({operator.name}) reads "
                f"{_label(subgraph.tensors[missing[0]])} before anything computes it"
            )
        for index in operator.outputs:
            tensor = subgraph.tensors[index]
            fixed = tensor.is_constant or index in inputs
            if index in computed or (fixed and not tensor.is_variable):
                raise fail(
                    f"operator {operator.index} ({operator.name}) overwrites {_label(tensor)}"
                )
            computed.add(index)
            known.add(index)
    for index in subgraph.outputs:
        if index not in known:
            raise fail(f"nothing computes the output {_label(subgraph.tensors[index])}")


def _callees(subgraph: TfliteSubgraph) -> List[int]:
    return [
        int(operator.options[name])
        for operator in subgraph.operators
        for name in _SUBGRAPH_OPTIONS
        if name in operator.options
    ]


def _check_calls(model: TfliteModel, fail: _Fail) -> None:
    """Graphs called by operators exist and never call themselves."""
    calls = [set(_callees(subgraph)) for subgraph in model.subgraphs]
    if any(not 0 <= callee < len(calls) for callees in calls for callee in callees):
        raise fail("an operator calls a graph that does not exist")
    finished: Set[int] = set()
    remaining = set(range(len(calls)))
    while remaining:
        ready = {index for index in remaining if calls[index] <= finished}
        if not ready:
            raise fail("its graphs call each other in a circle")
        finished |= ready
        remaining -= ready
