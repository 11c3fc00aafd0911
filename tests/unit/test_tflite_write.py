"""The TFLite writer: read back by another schema reader, run by both engines, same bytes every time."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from edgepress.export.tflite.op_versions import (
    ENGINES,
    first_release,
    minimum_runtime,
    parse_release,
)
from edgepress.export.tflite.write import write
from edgepress.runtime.errors import InputError, UsageError
from edgepress.runtime.tflite_operators import OPERATOR_CODES, OPERATOR_OPTIONS
from support.lite_models import conv_model

SECOND_UNION = ("STABLEHLO", "DILATE", "REDUCE_WINDOW")
WRITTEN = [name for name in OPERATOR_OPTIONS if not name.startswith(SECOND_UNION)]
"""Operators whose options our writer can write; the others are StableHLO's."""


def interpreter(engine: str, data: bytes):
    if engine == "tflite":
        module = pytest.importorskip("tflite_runtime.interpreter")
    else:
        module = pytest.importorskip("ai_edge_litert.interpreter")
    return module.Interpreter(model_content=data, num_threads=1)


def read(data: bytes):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def expected_conv(model: LiteModel, image: np.ndarray) -> np.ndarray:
    """Convolution of the dequantized tensors in float64, quantized again (round half even)."""
    _, w, b, y, *_ = model.tensors
    x = 0.5 * (image.astype(np.float64) + 3)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    weight = w.data.astype(np.float64) * np.reshape(w.quantization.scale, (-1, 1, 1, 1))
    real = np.zeros((1, 6, 6, weight.shape[0]))
    for i in range(3):
        for j in range(3):
            real += padded[:, i : i + 6, j : j + 6] @ weight[:, i, j].T
    real = np.maximum(real + b.data * np.asarray(b.quantization.scale), 0)
    return np.clip(np.rint(real / 2.5) - 50, -128, 127).reshape(1, -1)


@pytest.mark.parametrize("engine", ["tflite", "litert"])
def test_engines_run_what_is_written(engine: str) -> None:
    model = conv_model()
    loaded = interpreter(engine, write(model))
    image = np.random.default_rng(1).integers(-128, 128, (1, 6, 6, 2), dtype=np.int8)
    runner = loaded.get_signature_runner("serving_default")
    scores = runner(image=image)["scores"]
    # one rounding of the requantisation may fall the other way (fixed point against double)
    assert np.abs(scores.astype(int) - expected_conv(model, image)).max() <= 1
    assert len(np.unique(scores)) > 20


def test_an_independent_reader_finds_every_field() -> None:
    model = conv_model()
    data = write(model)
    found = read(data)
    assert data[4:8] == b"TFL3" and found.version == 3 and found.description == b"edgepress"
    assert found.buffers[0].data is None
    graph = found.subgraphs[0]
    assert [t.name.decode() for t in graph.tensors] == [t.name for t in model.tensors]
    for written, tensor in zip(graph.tensors, model.tensors, strict=True):
        assert tuple(written.shape) == tensor.shape
        if tensor.data is None:
            assert written.buffer == 0
        else:
            assert bytes(found.buffers[written.buffer].data) == tensor.data.tobytes()
        if tensor.quantization is not None:
            params = written.quantization
            assert tuple(np.float32(params.scale)) == tuple(np.float32(tensor.quantization.scale))
            assert tuple(params.zeroPoint) == tensor.quantization.zero_point
            assert params.quantizedDimension == tensor.quantization.dimension
    conv, reshape = graph.operators
    code = found.operatorCodes[conv.opcodeIndex]
    assert (code.builtinCode, code.deprecatedBuiltinCode, code.version) == (3, 3, 3)
    options = conv.builtinOptions
    assert (options.padding, options.strideW, options.strideH) == (0, 1, 1)
    assert (options.fusedActivationFunction, options.dilationWFactor) == (1, 1)
    assert list(reshape.builtinOptions.newShape) == [1, 180]
    signature = found.signatureDefs[0]
    assert signature.signatureKey == b"serving_default"
    assert [(m.name, m.tensorIndex) for m in signature.inputs] == [(b"image", 0)]
    assert [(m.name, m.tensorIndex) for m in signature.outputs] == [(b"scores", 5)]
    metadata = {m.name: bytes(found.buffers[m.buffer].data) for m in found.metadata}
    assert metadata[b"edgepress"] == b'{"a":1}'
    assert metadata[b"min_runtime_version"] == b"1.14.0".ljust(16, b"\0")


def test_buffers_are_aligned_and_equal_constants_stored_once() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = conv_model()
    copy = LiteTensor("w2", (), "int8", model.tensors[1].data.copy())
    model.add_tensor(copy)
    data = write(model)
    root = schema.Model.GetRootAsModel(data, 0)
    graph = root.Subgraphs(0)
    assert graph.Tensors(1).Buffer() == graph.Tensors(6).Buffer()
    for index in range(1, root.BuffersLength()):
        view = root.Buffers(index).DataAsNumpy()
        start = view.__array_interface__["data"][0] - np.frombuffer(data, np.uint8).ctypes.data
        assert start % 16 == 0
    assert len(data) - len(write(conv_model())) < 128  # a tensor table and a name, no second copy


def test_same_model_same_bytes() -> None:
    assert write(conv_model()) == write(conv_model())
    assert write(conv_model(seed=1)) != write(conv_model())


def test_codes_above_127_and_custom_operators() -> None:
    model = LiteModel()
    x = model.add_tensor(LiteTensor("x", (1, 4), "float32"))
    y = model.add_tensor(LiteTensor("y", (1, 4), "float32"))
    z = model.add_tensor(LiteTensor("z", (1, 4), "float32"))
    model.operators += [
        LiteOperator("GELU", (x,), (y,), {"approximate": True}),
        LiteOperator("CUSTOM", (y,), (z,), custom_code="EpSign", custom_options=b"\x01\x02"),
    ]
    model.inputs, model.outputs = [x], [z]
    model.input_names, model.output_names = ["x"], ["z"]
    found = read(write(model))
    custom, gelu = found.operatorCodes
    assert (gelu.builtinCode, gelu.deprecatedBuiltinCode) == (OPERATOR_CODES["GELU"], 127)
    assert (custom.builtinCode, custom.customCode) == (32, b"EpSign")
    first, second = found.subgraphs[0].operators
    assert first.builtinOptions.approximate is True
    assert bytes(second.customOptions) == b"\x01\x02"


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_every_options_table_is_selected_as_the_schema_says(name: str) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = LiteModel()
    x = model.add_tensor(LiteTensor("x", (1,), "float32"))
    model.operators.append(LiteOperator(name, (x,), (x,)))
    found = read(write(model))
    (operator,) = found.subgraphs[0].operators
    kind = type(operator.builtinOptions).__name__.removesuffix("T")
    assert kind == OPERATOR_OPTIONS[name]
    assert getattr(schema.BuiltinOptions, kind) == operator.builtinOptionsType


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: setattr(m.operators[0], "code", "CONV"), "CONV"),
        (lambda m: setattr(m.operators[0], "inputs", (0, 99, 2)), "99"),
        (lambda m: m.operators[0].options.update(stride=1), "stride"),
        (lambda m: m.operators[0].options.update(padding="FULL"), "FULL"),
        (lambda m: m.input_names.append("more"), "more"),
        (lambda m: setattr(m.tensors[1], "dtype", "int4"), "int4"),
        (lambda m: setattr(m.tensors[1], "dtype", "uint8"), "uint8"),
        (lambda m: setattr(m.tensors[2], "data", np.zeros(0, np.int32)), "empty"),
        (lambda m: setattr(m.tensors[0], "quantization", LiteQuantization((1.0,), (0, 0))), "zero"),
    ],
)
def test_an_inconsistent_model_is_refused(spoil, message: str) -> None:
    model = conv_model()
    spoil(model)
    with pytest.raises(InputError, match=message):
        write(model)


def opcode_only(name: str, version: int) -> bytes:
    """A file that declares an operator code and does not use it: enough to be looked up."""
    model = LiteModel()
    x = model.add_tensor(LiteTensor("x", (1,), "float32"))
    model.operators.append(LiteOperator(name, (x,), (x,), version=version))
    model.inputs, model.outputs = [x], [x]
    model.input_names, model.output_names = ["x"], ["x"]
    return write(model)


@pytest.mark.parametrize("engine", ["tflite", "litert"])
@pytest.mark.parametrize(
    "name", ["CONV_2D", "FULLY_CONNECTED", "PRELU", "HARD_SWISH", "RESHAPE", "SIGN"]
)
def test_engines_know_the_versions_we_say(engine: str, name: str) -> None:
    from edgepress.export.tflite.op_versions import ENGINE_VERSIONS

    highest = ENGINE_VERSIONS[name][["tflite", "litert"].index(engine)]
    with pytest.raises(ValueError, match="Didn't find op"):
        interpreter(engine, opcode_only(name, highest + 1))
    interpreter(engine, opcode_only(name, highest))


def test_releases() -> None:
    assert first_release("CONV_2D", 3) == (1, 14)
    assert first_release("SIGN", 1) == (
        2,
        14,
    )  # in no release table, accepted by tflite-runtime 2.14
    assert first_release("FULLY_CONNECTED", 12) == ENGINES["ai-edge-litert 2.3"]
    assert first_release("FULLY_CONNECTED", 99) is None
    assert minimum_runtime([("CONV_2D", 3), ("GELU", 1)]) == "2.9.0"
    assert minimum_runtime([]) == "1.5.0"
    assert parse_release("2.14.0") == (2, 14, 0)
    with pytest.raises(UsageError):
        parse_release("new")
