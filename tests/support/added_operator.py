"""A real TFLite file with one more operator in it: a little more work."""

from __future__ import annotations

from typing import Any

from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from edgepress.export.tflite.write import write
from edgepress.runtime.tflite_model import TfliteTensor
from edgepress.runtime.tflite_schema import read_model


def pooling(window: int) -> dict[str, Any]:
    """Options of a MAX_POOL_2D with stride 1; a window of 1 copies."""
    return {
        **{"padding": "SAME", "stride_w": 1, "stride_h": 1},
        **{"filter_width": window, "filter_height": window, "fused_activation_function": "NONE"},
    }


def rewritten(data: bytes, after: int | None = None, window: int = 1) -> bytes:
    """The file written by our writer; with `after`, a MAX_POOL_2D behind the operator of that number."""
    source = read_model(data)
    graph, model = source.main, LiteModel(description=source.description)
    for tensor in graph.tensors:
        model.add_tensor(_tensor(tensor))
    for operator in graph.operators:
        model.operators.append(
            LiteOperator(
                operator.code.name,
                operator.inputs,
                operator.outputs,
                dict(operator.options),
                operator.code.version,
            )
        )
    model.inputs, model.outputs = list(graph.inputs), list(graph.outputs)
    model.input_names = [f"input_{i}" for i in graph.inputs]
    model.output_names = [f"output_{i}" for i in graph.outputs]
    if after is not None:
        _insert(model, after, window)
    return write(model)


def _insert(model: LiteModel, after: int, window: int) -> None:
    """A pooling of the operator's output, which all later operators read instead."""
    old = model.operators[after].outputs[0]
    like = model.tensors[old]
    new = model.add_tensor(LiteTensor("added", like.shape, like.dtype, None, like.quantization))
    for operator in model.operators[after + 1 :]:
        operator.inputs = tuple(new if i == old else i for i in operator.inputs)
    model.outputs = [new if i == old else i for i in model.outputs]
    added = LiteOperator("MAX_POOL_2D", (old,), (new,), pooling(window), version=2)
    model.operators.insert(after + 1, added)


def _tensor(tensor: TfliteTensor) -> LiteTensor:
    found = tensor.quantization
    quantization = (
        LiteQuantization(found.scale, found.zero_point, found.dimension)
        if found and found.scale
        else None
    )
    data = tensor.values() if tensor.is_constant else None
    return LiteTensor(tensor.name, tensor.shape, tensor.dtype, data, quantization)
