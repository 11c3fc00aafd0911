"""Parsing TFLite files against LiteRT's own object API, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgepress.runtime.errors import InputError
from edgepress.runtime.tflite_assumptions import check_assumptions
from edgepress.runtime.tflite_schema import (
    ENUMS,
    OPERATOR_NAMES,
    TABLES,
    TfliteOperator,
    TfliteTensor,
    read_model,
)
from support.data import need_data
from support.lite_files import real_lite_files, tiny_dense


def _bindings() -> Any:
    return pytest.importorskip("ai_edge_litert.schema_py_generated")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _compare_tensor(mine: TfliteTensor, theirs: Any, buffers: Any) -> None:
    assert mine.name == theirs.name.decode()
    assert list(mine.shape) == list(theirs.shape if theirs.shape is not None else [])
    assert ENUMS["TensorType"].index(mine.dtype.upper()) == theirs.type
    q = theirs.quantization
    if q is not None and q.scale is not None and len(q.scale):
        assert mine.quantization is not None
        assert np.array_equal(np.float32(mine.quantization.scale), q.scale)
        assert list(mine.quantization.zero_point) == list(q.zeroPoint)
        assert mine.quantization.dimension == q.quantizedDimension
    else:
        assert mine.quantization is None
    stored = buffers[theirs.buffer].data
    assert mine.is_constant == (stored is not None)
    if mine.raw is not None:
        assert np.array_equal(mine.raw, stored)


def _compare_operator(mine: TfliteOperator, theirs: Any, codes: Any) -> None:
    code = codes[theirs.opcodeIndex]
    assert mine.code.name == OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    assert mine.code.version == code.version
    assert list(mine.inputs) == list(theirs.inputs)
    assert list(mine.outputs) == list(theirs.outputs)
    if theirs.builtinOptions is None:
        assert mine.options == {}
        return
    assert type(theirs.builtinOptions).__name__ == mine.options_table + "T"
    for field in TABLES[mine.options_table]:
        value = getattr(theirs.builtinOptions, _camel(field.name))
        ours = mine.options[field.name]
        if field.type in ENUMS:
            assert ENUMS[field.type][value] == ours
        elif field.type.startswith("["):
            assert list(ours) == list(value if value is not None else [])
        else:
            assert ours == value


def test_reference_files_read_as_litert_reads_them() -> None:
    schema, root = _bindings(), need_data("models").parent
    files = [p for p in real_lite_files(root) if "bad_qdim" not in p.name]
    assert len(files) == 14
    for path in files:
        data = path.read_bytes()
        mine, theirs = read_model(data, path.name), schema.ModelT.InitFromPackedBuf(data, 0)
        assert len(mine.subgraphs) == len(theirs.subgraphs)
        graph, other = mine.main, theirs.subgraphs[0]
        assert list(graph.inputs) == list(other.inputs)
        assert list(graph.outputs) == list(other.outputs)
        assert len(graph.tensors) == len(other.tensors)
        for tensor, their_tensor in zip(graph.tensors, other.tensors, strict=True):
            _compare_tensor(tensor, their_tensor, theirs.buffers)
        for operator, their_operator in zip(graph.operators, other.operators, strict=True):
            _compare_operator(operator, their_operator, theirs.operatorCodes)


def test_signatures_and_metadata_are_read() -> None:
    model = read_model(need_data("models/tflm/hello_world_int8.tflite").read_bytes())
    assert [s.key for s in model.signatures] == ["serving_default"]
    assert model.signatures[0].inputs == {"dense_input": model.main.inputs[0]}
    assert model.metadata["min_runtime_version"].rstrip(b"\0") == b"1.14.0"
    ours = read_model(tiny_dense(metadata={"edgepress": b'{"task": "x"}'}))
    assert ours.metadata == {"edgepress": b'{"task": "x"}'}


def test_packed_types_are_unpacked() -> None:
    packed = np.array([0x21, 0xF0, 0x87, 0, 0, 0x7F], np.uint8)
    model = read_model(tiny_dense(weights=packed, weight_type="INT4", scale=(0.5,)))
    values = model.main.tensors[1].values()
    assert values.tolist() == [[1, 2, 0, -1], [7, -8, 0, 0], [0, 0, -1, 7]]
    two_bits = np.array([0b11100100, 0, 0b01], np.uint8)
    model = read_model(tiny_dense(weights=two_bits, weight_type="INT2", scale=(0.5,)))
    assert model.main.tensors[1].values().tolist() == [[0, 1, -2, -1], [0, 0, 0, 0], [1, 0, 0, 0]]
    halves = np.array([1.0, -2.5, 0.0], np.float32)
    upper = (np.resize(halves, 12).view(np.uint32) >> 16).astype(np.uint16)
    model = read_model(tiny_dense(weights=upper, weight_type="BFLOAT16"))
    assert np.array_equal(model.main.tensors[1].values().ravel(), np.resize(halves, 12))


def test_activations_have_no_values() -> None:
    with pytest.raises(ValueError, match="no plain values"):
        read_model(tiny_dense()).main.tensors[0].values()


def _set(attribute: str, value: Any, *path: Any) -> Any:
    def edit(model: Any) -> None:
        target = model
        for step in path:
            target = target[step] if isinstance(step, int) else getattr(target, step)
        setattr(target, attribute, value)

    return edit


GRAPH = ("subgraphs", 0)
BROKEN = {
    "is [(]quantized_dimension|quantized along dimension 2": _set(
        "quantizedDimension", 2, *GRAPH, "tensors", 1, "quantization"
    ),
    "2 scales for the 3 slices": _set("scale", [1.0, 2.0], *GRAPH, "tensors", 1, "quantization"),
    "scale is negative": _set(
        "scale", [1.0, float("nan"), 2.0], *GRAPH, "tensors", 1, "quantization"
    ),
    "names tensor 9 of 4": _set("inputs", [0, 9, 2], *GRAPH, "operators", 0),
    "names tensor -1 of 4": _set("outputs", [-1], *GRAPH, "operators", 0),
    "output list names tensor 4": _set("outputs", [4], *GRAPH),
    "input list names tensor -2": _set("inputs", [-2], *GRAPH),
    "names buffer 7 of 3": _set("buffer", 7, *GRAPH, "tensors", 0),
    "has code 3 of 1": _set("opcodeIndex", 3, *GRAPH, "operators", 0),
    "holds 48 bytes, its shape needs 64": _set("shape", [4, 4], *GRAPH, "tensors", 1),
    "impossible shape": _set("shape", [-1, 4], *GRAPH, "tensors", 0),
    "more than engines can address": _set("shape", [1 << 16, 1 << 16], *GRAPH, "tensors", 0),
    "before anything computes it": _set("inputs", [3, 1, 2], *GRAPH, "operators", 0),
    "overwrites tensor 1": _set("outputs", [1], *GRAPH, "operators", 0),
    "nothing computes the output": _set("operators", [], *GRAPH),
    "schema version 2": _set("version", 2),
    "holds no graph": _set("subgraphs", []),
}


@pytest.mark.parametrize("message", sorted(BROKEN))
def test_inconsistent_files_are_refused(message: str) -> None:
    quantized = np.zeros((3, 4), np.int8) if "scale" in message or "quantized" in message else None
    options: dict[str, Any] = {}
    if quantized is not None:
        options = {"weights": quantized, "weight_type": "INT8", "scale": (1.0, 1.0, 1.0)}
    read_model(tiny_dense(**options))  # sound as it is
    with pytest.raises(InputError, match=message) as caught:
        read_model(tiny_dense(**options, edit=BROKEN[message]), where="here.tflite")
    assert caught.value.where == "here.tflite"


def test_graphs_that_call_each_other_are_refused() -> None:
    schema = _bindings()

    def loop(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CALL_ONCE
        model.operatorCodes[0].deprecatedBuiltinCode = 127
        operator = model.subgraphs[0].operators[0]
        operator.builtinOptionsType = schema.BuiltinOptions.CallOnceOptions
        operator.builtinOptions = schema.CallOnceOptionsT()

    with pytest.raises(InputError, match="call each other in a circle"):
        read_model(tiny_dense(edit=loop))


def test_the_real_model_with_a_bad_quantized_dimension() -> None:
    path = need_data("models/tflm/person_detect_bad_qdim.tflite")
    with pytest.raises(
        InputError, match=r"quantized_dimension must be in range \[0, 1\)"
    ) as caught:
        read_model(path.read_bytes(), where=path.name)
    assert str(caught.value).count("\n") == 1  # the message and what to do next


def test_unknown_operators_keep_their_number() -> None:
    def newer(model: Any) -> None:
        model.operatorCodes[0].builtinCode = 4000

    assert read_model(tiny_dense(edit=newer)).main.operators[0].name == "BUILTIN_4000"


def _scale(index: int, scale: list[float]) -> Any:
    return _set("scale", scale, *GRAPH, "tensors", index, "quantization")


ASSUMED = {
    "stride_w is 2147483647": _set("strideW", 2**31 - 1, *GRAPH, "operators", 0, "builtinOptions"),
    "computes with the int8 tensor . 'y', which has no scale": _set(
        "quantization", None, *GRAPH, "tensors", 3
    ),
    "which has no scale": _scale(0, [0.0]),
    "lacks an operand": _set("inputs", [0, -1, 2], *GRAPH, "operators", 0),
    "zero point is none of its values": _set(
        "zeroPoint", [300], *GRAPH, "tensors", 0, "quantization"
    ),
}


@pytest.mark.parametrize("message", sorted(ASSUMED))
def test_what_kernels_assume_is_checked(message: str) -> None:
    """Such files end the process in tflite-runtime 2.14 or LiteRT 2.3, or compute nonsense."""
    from edgepress.export.tflite.write import write
    from support.lite_models import conv_model

    schema = _bindings()
    flatbuffers: Any = pytest.importorskip("flatbuffers")
    data = write(conv_model())
    check_assumptions(read_model(data))  # sound as it is
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    ASSUMED[message](model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(InputError, match=message):
        check_assumptions(read_model(bytes(builder.Output())))


@pytest.mark.parametrize(("output", "sound"), [(0.5, True), (1e-7, False)])
def test_a_sum_whose_output_scale_is_far_too_small(output: float, sound: bool) -> None:
    from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
    from edgepress.export.tflite.write import write

    made = LiteModel()
    for name, scale in (("a", 0.5), ("b", 0.25), ("y", output)):
        made.add_tensor(LiteTensor(name, (1, 2), "int8", None, LiteQuantization((scale,), (0,))))
    options = {"fused_activation_function": "NONE"}
    made.operators.append(LiteOperator("ADD", (0, 1), (2,), options, 2))
    made.inputs, made.outputs = [0, 1], [2]
    made.input_names, made.output_names = ["a", "b"], ["y"]
    model = read_model(write(made))
    if sound:
        check_assumptions(model)
        return
    with pytest.raises(InputError, match="the output's scale 1e-07 is too small") as caught:
        check_assumptions(model, "here.tflite")
    assert caught.value.where == "here.tflite"
