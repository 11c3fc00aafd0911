"""A TFLite file with one UNIDIRECTIONAL_SEQUENCE_LSTM, written with LiteRT's own schema bindings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

UNITS, FEATURES, STEPS = 4, 2, 3


def lstm_file() -> bytes:
    """x[1, 3, 2] -> LSTM of 4 units -> y[1, 3, 4]; its two states are variables of the file."""
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers: Any = pytest.importorskip("flatbuffers")
    random = np.random.default_rng(7)
    model = schema.ModelT()
    model.version, model.description, model.buffers = 3, "lstm", [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.name, graph.tensors = "main", []

    def tensor(name: str, shape: tuple[int, ...], values: bool = False, state: bool = False) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), schema.TensorType.FLOAT32
        made.buffer, made.isVariable = 0, state
        if values:
            buffer = schema.BufferT()
            numbers = random.normal(size=shape).astype(np.float32)
            buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    x = tensor("x", (1, STEPS, FEATURES))
    inputs = [tensor(f"w{gate}", (UNITS, FEATURES), values=True) for gate in "ifco"]
    recurrent = [tensor(f"r{gate}", (UNITS, UNITS), values=True) for gate in "ifco"]
    biases = [tensor(f"b{gate}", (UNITS,), values=True) for gate in "ifco"]
    states = [tensor(name, (1, UNITS), state=True) for name in ("h", "c")]
    y = tensor("y", (1, STEPS, UNITS))
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = (
        schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    )
    model.operatorCodes = [code]
    operator = schema.OperatorT()
    operator.inputs = [x, *inputs, *recurrent, -1, -1, -1, *biases, -1, -1, *states]
    operator.outputs = [y]
    operator.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    operator.builtinOptions = schema.UnidirectionalSequenceLSTMOptionsT()
    operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.TANH
    graph.operators, graph.inputs, graph.outputs = [operator], [x], [y]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
