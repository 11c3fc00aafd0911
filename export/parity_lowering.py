"""Axis orders of a TFLite file that our own lowering wrote, from lowering the ONNX model it was made from again.

Where H = W = C, or a series is as long as it is wide, shapes leave the order of axes open. The lowering knows it. It
is asked again, and believed only if it makes the very graph that lies in the file; what the constants hold plays no
part, so the order is right for a file with wrong numbers, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..runtime.errors import EdgepressError
from .tflite.layout import Order


def orders_by_lowering(file: Any, models: Iterable[Any], precision: str) -> dict[str, Order]:
    """Tensor name -> axis order of a parsed TFLite file (`runtime.tflite_schema.TfliteModel`); empty if no model fits.

    Args:
        models: ONNX models (onnx.ModelProto) that the file may come from.
        precision: of the file.
    """
    from .tflite.lower import lower

    wanted = _graph_of_file(file)
    for model in models:
        for io_layout in ("nhwc", "nchw"):
            for io in ("int8", "float") if precision == "int8" else ("int8",):
                try:
                    lowered = lower(model, precision=precision, io=io, io_layout=io_layout)
                except EdgepressError:
                    break  # made for ONNX only, or of another precision
                if _graph_of_lowering(lowered.model) == wanted:
                    return dict(lowered.orders)
    return {}


def _graph_of_file(file: Any) -> list[Any]:
    graph = file.subgraphs[0]
    tensors = {t.index: (t.name, tuple(t.shape), t.is_constant) for t in graph.tensors}
    return [
        (operator.name, [tensors.get(i) for i in (*operator.inputs, *operator.outputs)])
        for operator in graph.operators
    ]


def _graph_of_lowering(model: Any) -> list[Any]:
    tensors = {i: (t.name, tuple(t.shape), t.data is not None) for i, t in enumerate(model.tensors)}
    return [
        (operator.code, [tensors.get(i) for i in (*operator.inputs, *operator.outputs)])
        for operator in model.operators
    ]
