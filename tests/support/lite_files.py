"""Small TFLite files for tests, written with LiteRT's own schema bindings (not with our writer)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def tiny_dense(
    *,
    weights: Any = None,
    weight_type: str = "FLOAT32",
    scale: tuple[float, ...] = (),
    dimension: int = 0,
    metadata: dict[str, bytes] | None = None,
    edit: Any = None,
) -> bytes:
    """Bytes of y = FULLY_CONNECTED(x[1, 4], weights[3, 4]) + bias; `edit(model)` may break it."""
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers: Any = pytest.importorskip("flatbuffers")
    if weights is None:
        weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    model = schema.ModelT()
    model.version, model.description = 3, "test"
    model.buffers = [schema.BufferT() for _ in range(3)]
    model.buffers[1].data = np.frombuffer(np.ascontiguousarray(weights).tobytes(), np.uint8)
    model.buffers[2].data = np.frombuffer(np.zeros(3, np.float32).tobytes(), np.uint8)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    model.operatorCodes = [code]
    graph = schema.SubGraphT()
    graph.name = "main"
    graph.tensors = [
        _tensor(schema, "x", (1, 4), "FLOAT32", 0),
        _tensor(schema, "w", (3, 4), weight_type, 1),
        _tensor(schema, "b", (3,), "FLOAT32", 2),
        _tensor(schema, "y", (1, 3), "FLOAT32", 0),
    ]
    if scale:
        q = schema.QuantizationParametersT()
        q.scale, q.zeroPoint = list(scale), [0] * len(scale)
        q.quantizedDimension = dimension
        graph.tensors[1].quantization = q
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [3]
    model.subgraphs = [graph]
    model.metadata = [_metadata(schema, model, *item) for item in (metadata or {}).items()]
    if edit is not None:
        edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(schema: Any, name: str, shape: tuple[int, ...], kind: str, buffer: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
    tensor.type = getattr(schema.TensorType, kind)
    return tensor


def _metadata(schema: Any, model: Any, name: str, content: bytes) -> Any:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers) - 1
    return entry


def real_lite_files(root: Path) -> list[Path]:
    """All TFLite files of the reference models."""
    return sorted((root / "models").rglob("*.tflite"))
