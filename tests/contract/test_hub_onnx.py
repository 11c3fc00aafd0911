"""A user's ONNX file -> hub: any opset, proven equal, quantized ones verbatim; what is wrong with a file is said."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.export.onnx import intake
from edgepress.export.onnx.check import run
from edgepress.export.onnx.hub import from_onnx, read_metadata, write_metadata
from edgepress.runtime.artifact import FileMetadata
from edgepress.runtime.errors import (
    EdgepressError,
    InputError,
    ParityError,
    UnsupportedOperatorError,
)
from edgepress.runtime.files import sha256_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from support.data import need_data
from support.lowering import run_onnx
from support.passes import ints, parse, random

CONV = """(float[N,3,8,8] x) => (float[N,4] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, w, b) n = BatchNormalization(a, g, h, m, v) r = Relu(n)
    p = GlobalAveragePool(r) f = Flatten(p) d = Gemm<transB = 1>(f, k, c) y = Softmax<axis = 1>(d) }"""


def weights() -> dict[str, np.ndarray]:
    return {
        "w": random(6, 3, 3, 3),
        "b": random(6, seed=1),
        "g": random(6, seed=2),
        "h": random(6, seed=3),
        "m": random(6, seed=4),
        "v": np.abs(random(6, seed=5)) + np.float32(0.5),
        "k": random(4, 6, seed=6) * np.float32(0.3),
        "c": random(4, seed=7),
    }


def network(opset: int = 21) -> onnx.ModelProto:
    return parse(CONV, opset, **weights())


@functools.cache
def content() -> bytes:
    return network().SerializeToString()


def images(count: int = 1) -> np.ndarray:
    return random(count, 3, 8, 8, seed=9)


def same_outputs(
    model: onnx.ModelProto, hub: onnx.ModelProto, feeds: dict[str, Any], atol: float = 1e-5
) -> None:
    for a, b in zip(run(model, feeds), run_onnx(hub, feeds), strict=True):
        np.testing.assert_allclose(b, a, atol=atol)


@pytest.mark.parametrize("opset", range(7, 25))
def test_every_opset(opset: int) -> None:
    model = network(opset)
    if opset < 9:  # then every constant had to be an input as well
        model.ir_version = 3
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, 1, tensor.dims))
    hub = from_onnx(model.SerializeToString())
    assert (hub.ir_version, hub.opset_import[0].version) == (10, 21)
    onnx.checker.check_model(hub, full_check=True)
    assert [n.op_type for n in hub.graph.node] == ["Conv", "Relu", "ReduceMean", "Gemm", "Softmax"]
    assert [i.name for i in hub.graph.input] == ["x"]
    same_outputs(model, hub, {"x": images()})


OLD_FORMS = {
    (7, "attribute pads"): ("Pad<pads = [0,0,1,1,0,0,1,1], value = 0.5>(x)", {}),
    (7, "upsample"): ("Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(x)", {}),
    (9, "upsample"): ("Upsample(x, s)", {"s": np.float32([1, 1, 2, 2])}),
    (7, "attribute axes"): ("ReduceMean<axes = [2, 3], keepdims = 0>(x)", {}),
    (9, "attribute slice"): ("Slice<axes = [2], starts = [1], ends = [3]>(x)", {}),
    (10, "attribute clip"): ("Clip<min = 0.0, max = 6.0>(x)", {}),
    (10, "flat softmax"): ("Softmax<axis = 1>(x)", {}),
    (11, "squeeze"): ("Unsqueeze<axes = [0]>(x)", {}),
    (12, "split"): ("ReduceSum<axes = [1]>(x)", {}),
    (7, "prelu"): ("PRelu(x, s)", {"s": random(3, 1, 1)}),
}


@pytest.mark.parametrize("form", OLD_FORMS, ids=str)
def test_forms_that_older_opsets_had(form: tuple[int, str]) -> None:
    text, constants = OLD_FORMS[form]
    rank = "N,3,4,4" if "flat" not in form[1] else "N,3,4"
    model = parse(
        f"(float[{rank}] x) => (float[] y) {{ a = Tanh(x) y = {text.replace('(x', '(a')} }}",
        form[0],
        **constants,
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    hub = from_onnx(model.SerializeToString())
    shape = (1, 3, 4, 4) if "flat" not in form[1] else (1, 3, 4)
    same_outputs(model, hub, {"x": random(*shape)})


def test_a_real_file_of_opset_9_is_equal_and_stays_as_it_was() -> None:
    path = need_data("models/onnx/kws_9conv_float.onnx")
    before = path.read_bytes()
    hub = from_onnx(path)
    assert path.read_bytes() == before
    assert read_metadata(hub).source_sha256 == sha256_bytes(before)
    (name,) = [i.name for i in hub.graph.input]
    original = onnx.load(str(path))
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((1, 49, 10, 1)).astype(np.float32) * 20
        same_outputs(original, hub, {name: x}, 2e-5)
    again = from_onnx(path)
    assert again.SerializeToString(deterministic=True) == hub.SerializeToString(deterministic=True)


def test_a_free_batch_is_one_and_other_free_dimensions_are_asked_for() -> None:
    hub = from_onnx(content())
    assert [d.dim_value for d in hub.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 8, 8]
    model = parse("(float[N,3,T] x) => (float[] y) { y = Tanh(x) }")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    data = model.SerializeToString()
    with pytest.raises(InputError, match=r"'x' has free dimensions: \[-1, 3, -1\]"):
        from_onnx(data)
    hub = from_onnx(data, input_shapes={"x": (1, 3, 7)})
    assert [d.dim_value for d in hub.graph.output[0].type.tensor_type.shape.dim] == [1, 3, 7]
    for shapes, message in (({"z": (1, 3, 7)}, "no input 'z'"), ({"x": (1, 4, 7)}, "does not fit")):
        with pytest.raises(InputError, match=message):
            from_onnx(data, input_shapes=shapes)


def test_a_shape_computed_from_the_batch_becomes_static() -> None:
    text = """(float[N,3,4] x) => (float[] y) { s = Shape(x) n = Gather(s, zero) one = Unsqueeze(n, axis)
        t = Concat<axis = 0>(one, minus) y = Reshape(x, t) }"""
    model = parse(text, zero=np.int64(0), axis=ints(0), minus=ints(-1))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    hub = from_onnx(model.SerializeToString())
    assert [n.op_type for n in hub.graph.node] == ["Reshape"]


def test_shapes_that_depend_on_the_data_are_refused() -> None:
    model = parse("(float[1,4] x) => (int64[] y) { y = NonZero(x) }")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InputError, match="NonZero"):
        from_onnx(model.SerializeToString(), "model.onnx")


# ----------------------------------------------------------------------- what a file may hold


def external(folder: Path, location: str = "weights.bin") -> Path:
    model = network()
    for tensor in model.graph.initializer:
        onnx.external_data_helper.set_external_data(tensor, location)
    onnx.external_data_helper.write_external_data_tensors(model, str(folder))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    same_outputs(network(), from_onnx(external(tmp_path)), {"x": images()})


def test_missing_or_foreign_weight_files_are_refused(tmp_path: Path) -> None:
    path = external(tmp_path)
    with pytest.raises(InputError, match="given as a path"):
        from_onnx(path.read_bytes())
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match="weights.bin' is missing"):
        from_onnx(path)
    model = onnx.load_model_from_string(path.read_bytes())
    outside = tmp_path / "secret.bin"
    outside.write_bytes(bytes(1 << 16))
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "../secret.bin"
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="outside the model's folder"):
        from_onnx(inner / "model.onnx")


def test_functions_of_the_file_are_inlined() -> None:
    body = helper.make_function(
        "mine",
        "Swish",
        ["v"],
        ["o"],
        [helper.make_node("Sigmoid", ["v"], ["s"]), helper.make_node("Mul", ["v", "s"], ["o"])],
        [helper.make_opsetid("", 21)],
    )
    model = parse("(float[1,4] x) => (float[1,4] y) { a = mine.Swish(x) y = mine.Swish(a) }")
    model.functions.append(body)
    hub = from_onnx(model.SerializeToString())
    assert [n.op_type for n in hub.graph.node] == ["Sigmoid", "Mul"] * 2 and not hub.functions
    same_outputs(model, hub, {"x": random(1, 4)})


def test_a_known_branch_is_taken() -> None:
    text = """(float[1,4] x) => (float[1,4] y) { y = If (yes) <
        then_branch = t () => (float[1,4] p) { p = Exp(x) }, else_branch = e () => (float[1,4] q) { q = Neg(x) } > }"""
    hub = from_onnx(parse(text, yes=np.asarray(True)).SerializeToString())
    assert [n.op_type for n in hub.graph.node] == ["Exp"]


@pytest.mark.parametrize("kind", ["float16", "double"])
def test_other_floating_types_become_float32(kind: str) -> None:
    dtype = np.float16 if kind == "float16" else np.float64
    constants = {"w": random(6, 3, 3, 3).astype(dtype), "t": np.asarray(0.5, dtype)}
    text = f"({kind}[N,3,8,8] x) => ({kind}[] y) {{ a = Conv(x, w) b = Add(a, t) y = Tanh(b) }}"
    model = parse(text, **constants)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    hub = from_onnx(model.SerializeToString())
    kinds = {t.data_type for t in hub.graph.initializer} | {
        i.type.tensor_type.elem_type for i in hub.graph.input
    }
    assert kinds == {TensorProto.FLOAT}
    wanted = ReferenceEvaluator(model).run(None, {"x": images().astype(dtype)})[0]
    np.testing.assert_allclose(
        run_onnx(hub, {"x": images()})[0], wanted, atol=5e-3 if kind == "float16" else 1e-5
    )


def test_a_mask_of_infinities_passes_infinite_weights_do_not() -> None:
    mask = np.where(np.tri(4, dtype=bool), 0, -np.inf).astype(np.float32)
    hub = from_onnx(
        parse(
            "(float[1,4] x) => (float[4,4] y) { a = Add(x, m) y = Softmax(a) }", m=mask
        ).SerializeToString()
    )
    assert len(hub.graph.node) == 2
    for value in (np.nan, np.inf):
        bad = weights()
        bad["k"][1, 2] = value
        with pytest.raises(InputError, match="initializer 'k'.*(NaN|infinite)"):
            from_onnx(parse(CONV, **bad).SerializeToString())


def test_metadata_of_the_file_is_kept() -> None:
    model = write_metadata(network(), FileMetadata(labels=("a", "b", "c", "d"), task="kws"))
    held = read_metadata(from_onnx(model.SerializeToString()))
    assert held.labels == ("a", "b", "c", "d") and held.task == "kws"


# ----------------------------------------------------------------------------- quantized


@functools.cache
def quantized(signed: bool, form: str = "QDQ") -> bytes:
    """The network quantized by onnxruntime's own quantizer."""
    import tempfile

    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [{"x": images() * (i + 1) / 4} for i in range(4)]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    kind = q.QuantType.QInt8 if signed else q.QuantType.QUInt8
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.onnx", Path(folder) / "b.onnx"
        source.write_bytes(from_onnx(content()).SerializeToString())
        q.quantize_static(
            source, target, Reader(), quant_format=getattr(q.QuantFormat, form), per_channel=True,
            activation_type=kind, weight_type=q.QuantType.QInt8,
        )  # fmt: skip
        return target.read_bytes()


@pytest.mark.parametrize("signed", [True, False])
def test_a_quantized_file_keeps_every_integer_and_scale(signed: bool) -> None:
    model = onnx.load_model_from_string(quantized(signed))
    hub = from_onnx(quantized(signed))
    before, after = ({t.name: t for t in m.graph.initializer} for m in (model, hub))
    for name in ("w", "b", "k", "c"):
        old = next(t for key, t in before.items() if key.startswith(f"{name}_quantized"))
        stored = [numpy_helper.to_array(t) for t in after.values()]
        values = numpy_helper.to_array(old)
        assert any(s.dtype == values.dtype and np.array_equal(s, values) for s in stored), name
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        assert scales(hub, kind) == scales(model, kind)
    same_outputs(model, hub, {"x": images()}, 1e-6)


def scales(model: onnx.ModelProto, kind: str) -> set[tuple[float, ...]]:
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {
        tuple(np.atleast_1d(held[n.input[1]]).tolist())
        for n in model.graph.node
        if n.op_type == kind
    }


def test_operator_oriented_files_are_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedOperatorError, match="QOperator format") as caught:
        from_onnx(quantized(True, "QOperator"), "model.onnx")
    assert "QDQ" in str(caught.value)


# --------------------------------------------------------------------------- wrong files


def test_operators_outside_the_standard_are_refused_by_name() -> None:
    model = parse("(float[1,4] x) => (float[1,4] y) { y = com.acme.Magic(x) }")
    with pytest.raises(UnsupportedOperatorError, match="com.acme::Magic"):
        from_onnx(model.SerializeToString())
    model = parse("(float[1,4] x) => (float[1,4] y) { y = Swirl(x) }")
    with pytest.raises(UnsupportedOperatorError, match="Swirl.*opset 21"):
        from_onnx(model.SerializeToString())
    model = parse("(float[1,4] x) => (float[1,4] y) { y = onnx.brevitas.Trunc(x) }")
    with pytest.raises(UnsupportedOperatorError, match="QONNX operator Trunc"):
        from_onnx(model.SerializeToString())


def test_cycles_double_writers_and_dangling_reads() -> None:
    cyclic = parse("(float[1,4] x) => (float[1,4] y) { a = Add(x, b) b = Tanh(a) y = Exp(b) }")
    double = parse("(float[1,4] x) => (float[1,4] y) { y = Exp(x) y = Tanh(x) }")
    dangling = parse("(float[1,4] x) => (float[1,4] y) { y = Add(x, nowhere) }")
    unwritten = parse("(float[1,4] x) => (float[1,4] y) { a = Exp(x) }")
    for model, message in (
        (cyclic, "cycle"),
        (double, "written twice"),
        (dangling, "'nowhere'"),
        (unwritten, "'y' is written by no node"),
    ):
        with pytest.raises(InputError, match=message):
            from_onnx(model.SerializeToString())


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    for data, message in (
        (b"", "empty"),
        (b"\x1c\0\0\0TFL3" + bytes(64), "TFLite"),
        (b"PK\x03\x04" * 9, "not a readable ONNX file|no graph"),
    ):
        (tmp_path / "model.onnx").write_bytes(data)
        with pytest.raises(InputError, match=message):
            from_onnx(tmp_path / "model.onnx")
    with pytest.raises(InputError, match="cannot read"):
        from_onnx(tmp_path / "missing.onnx")


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EdgepressError):
        from_onnx(data, "model.onnx")


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_truncated_files_are_refused(position: int) -> None:
    with pytest.raises(EdgepressError):
        from_onnx(content()[: position % len(content())], "model.onnx")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=120, deadline=None)
def test_damaged_files_are_refused_or_equal_to_what_they_say(edits: list[tuple[int, int]]) -> None:
    data = bytearray(content())
    for position, value in edits:
        data[position % len(data)] = value
    try:
        from_onnx(bytes(data), "model.onnx")
    except EdgepressError as error:
        assert not isinstance(error, ParityError)


def test_a_wrong_rewrite_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    real = intake.normalise

    def wrong(graph: Any, where: str, **options: Any) -> None:
        real(graph, where, **options)
        name = next(n for n in graph.constants if n.startswith("k"))
        graph.constants[name] = graph.constants[name] * np.float32(1.5)

    monkeypatch.setattr(intake, "normalise", wrong)
    with pytest.raises(ParityError, match="differs from the reference"):
        from_onnx(content())
