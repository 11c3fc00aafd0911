"""Sessions of all engines: what they take, give and refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import edgepress
import numpy as np
import onnx
import pytest
from edgepress.runtime import engines
from edgepress.runtime.artifact import FileMetadata, open_artifact
from edgepress.runtime.engines import quiet_stderr
from edgepress.runtime.errors import InputError, MissingToolError, UsageError
from edgepress.runtime.onnx_wire import border_quantization
from edgepress.runtime.session import engines_for, installed_engines, open_session, run_real
from edgepress.runtime.tflite_schema import read_model
from edgepress.runtime.timing import random_inputs
from support.data import need_data
from support.lite_files import real_lite_files, tiny_dense
from support.lite_lstm import lstm_file
from support.onnx_files import affine_model, int8_borders, model, save

LITE = engines_for("tflite")


def dense(tmp_path: Path, **options: Any) -> Path:
    path = tmp_path / "dense.bin"  # judged by content
    path.write_bytes(tiny_dense(**options))
    return path


def chain(name: str) -> Path:
    return next(p for p in need_data("models").rglob("*.tflite") if p.name == name)


def test_engine_names_and_versions() -> None:
    assert engines_for("onnx") == ("onnxruntime",)
    assert engines_for("tflite") == ("tflite", "litert")
    assert engines_for("c") == ("native",)
    assert engines_for("gguf") == ()
    found = installed_engines()
    assert list(found) == ["onnxruntime", "tflite", "litert", "native", "lce-reference"]
    assert all(any(c.isdigit() for c in version) for version in found.values())


@pytest.mark.parametrize("engine", [None, *LITE])
def test_dense_layer_by_content(tmp_path: Path, engine: str | None) -> None:
    session = open_session(dense(tmp_path), engine, threads=2)
    assert session.engine == (engine or "tflite") and session.threads == 2
    x = np.array([[1, 2, 3, 4]], np.float32)
    expected = x @ np.arange(12, dtype=np.float32).reshape(3, 4).T
    first = session.run([x])[0]
    np.testing.assert_allclose(first, expected)
    second = session.run([2 * x])[0]
    np.testing.assert_allclose(second, 2 * expected)
    np.testing.assert_allclose(first, expected)  # a copy, not the engine's memory
    assert session.load_ms > 0 and session.artifact == open_artifact(dense(tmp_path))


def test_onnx_free_batch_and_two_runs(tmp_path: Path) -> None:
    path = save(affine_model(["N", 2]), tmp_path / "model.tflite")  # a wrong suffix
    session = open_session(path)
    assert session.engine == "onnxruntime"
    assert session.artifact.inputs[0].shape == (-1, 2)
    kept = session.run([np.ones((1, 2), np.float32)])[0]
    for batch in (3, 1):
        found = session.run([np.full((batch, 2), 4, np.float32)])[0]
        np.testing.assert_array_equal(found, np.full((batch, 2), 9, np.float32))
    np.testing.assert_array_equal(kept, np.full((1, 2), 3, np.float32))


def test_onnxruntime_gets_the_threads(tmp_path: Path) -> None:
    path = save(affine_model(), tmp_path / "a.onnx")
    for threads in (1, 3):
        session: Any = open_session(path, threads=threads)
        options = session._session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


@pytest.mark.parametrize("engine", LITE)
def test_free_batch_of_a_tflite_file(engine: str) -> None:
    session = open_session(chain("ad_fcae_float.tflite"), engine)
    x = np.random.default_rng(0).normal(size=(3, 640)).astype(np.float32)
    together = session.run([x])[0]
    alone = [session.run([row[None]])[0][0] for row in x]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_wrong_inputs_name_what_is_wrong(tmp_path: Path) -> None:
    session = open_session(dense(tmp_path))
    good = np.zeros((1, 4), np.float32)
    with pytest.raises(InputError, match=r"takes 1 inputs \(x\), got 2"):
        session.run([good, good])
    with pytest.raises(InputError, match=r"input 'x' takes float32 \[1, 4\], got float32 \[1, 5\]"):
        session.run([np.zeros((1, 5), np.float32)])
    with pytest.raises(InputError, match="takes float32 .*, got float64"):
        session.run([good.astype(np.float64)])
    with pytest.raises(InputError, match=r"got float32 \[4\]"):
        session.run([good[0]])


def test_invoke_before_inputs_is_an_error(tmp_path: Path) -> None:
    for path in (dense(tmp_path), save(affine_model(), tmp_path / "a.onnx")):
        with pytest.raises(UsageError, match="no inputs are set"):
            open_session(path).invoke()


def test_wrong_engine_threads_and_files(tmp_path: Path) -> None:
    path = dense(tmp_path)
    with pytest.raises(UsageError, match="does not run tflite files") as caught:
        open_session(path, "onnxruntime")
    assert caught.value.hint == "use tflite or litert"
    with pytest.raises(UsageError, match="no engine is called 'tflight'"):
        open_session(path, "tflight")
    with pytest.raises(UsageError, match="0 threads"):
        open_session(path, threads=0)
    with pytest.raises(InputError, match="cannot read the file"):
        open_session(tmp_path / "absent.tflite")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="neither an ONNX nor a TFLite file"):
        open_session(tmp_path / "text")


@pytest.mark.parametrize("engine", LITE)
def test_what_the_engine_rejects_is_one_clear_error(engine: str, tmp_path: Path) -> None:
    def custom(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = 32
        code.customCode = "Frobnicate"

    with pytest.raises(InputError, match=r"the engine refuses the file: .*Frobnicate") as caught:
        open_session(dense(tmp_path, edit=custom), engine)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("engine", LITE)
def test_the_real_bad_file_never_reaches_an_engine(engine: str) -> None:
    with pytest.raises(InputError, match="quantized_dimension must be in range"):
        open_session(chain("person_detect_bad_qdim.tflite"), engine)


def test_an_onnx_file_that_onnxruntime_refuses() -> None:
    path = need_data("models/qonnx/mnist_tfc_1w1a.qonnx.onnx")
    with pytest.raises(InputError, match="onnxruntime refuses the file: .*BipolarQuant"):
        open_session(path)


def test_missing_engines_say_how_to_get_them(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(MissingToolError) as caught:
        open_session(dense(tmp_path), "tflite")
    assert caught.value.hint == "pip install tflite-runtime"
    assert open_session(dense(tmp_path)).engine == "litert"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingToolError, match="no engine for tflite files") as caught:
        open_session(dense(tmp_path))
    assert "pip install tflite-runtime" in str(caught.value.hint)
    assert "pip install ai-edge-litert" in str(caught.value.hint)
    assert installed_engines()["litert"] == "not usable: ai-edge-litert is not installed"
    monkeypatch.setattr(sys, "version_info", (3, 13))
    with pytest.raises(MissingToolError) as caught:
        open_session(dense(tmp_path), "tflite")
    assert "no build for this Python: pip install ai-edge-litert" in str(caught.value.hint)


def test_numpy_2_is_told_before_tflite_runtime_dies(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(MissingToolError, match="does not work with numpy 2.1.0"):
        open_session(dense(tmp_path), "tflite")
    assert open_session(dense(tmp_path)).engine == "litert"


@pytest.mark.parametrize("engine", LITE)
def test_opening_prints_nothing(engine: str) -> None:
    code = (
        "from pathlib import Path; from edgepress.runtime.session import open_session;"
        f"open_session(Path({str(chain('ad_fcae_float.tflite'))!r}), {engine!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_opening_imports_no_other_engine() -> None:
    code = (
        "import sys; from pathlib import Path; from edgepress.runtime.session import open_session;"
        f"open_session(Path({str(chain('hello_world_int8.tflite'))!r}), 'tflite');"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"onnx", "onnxruntime", "ai_edge_litert", "torch"}.isdisjoint(done.stdout.split())


def test_quiet_stderr_catches_and_restores(capfd: Any) -> None:
    with quiet_stderr() as caught:
        subprocess.run(["sh", "-c", "echo inside >&2"], check=True)
    subprocess.run(["sh", "-c", "echo outside >&2"], check=True)
    assert caught == ["inside\n"]
    assert capfd.readouterr().err == "outside\n"


@pytest.mark.parametrize("engine", LITE)
def test_inner_tensors_of_every_layer(engine: str) -> None:
    path = chain("kws_dscnn_int8.tflite")
    session = open_session(path, engine)
    graph = read_model(path.read_bytes()).main
    names = [graph.tensors[op.outputs[0]].name for op in graph.operators]
    x = np.random.default_rng(1).integers(-128, 128, (1, 49, 10, 1), dtype=np.int8)
    before = session.run([x])[0]
    inner = session.intermediate(names)
    for name in names:
        tensor = next(t for t in graph.tensors if t.name == name)
        assert inner[name].shape == tensor.shape and inner[name].dtype.name == tensor.dtype
    # The inspecting interpreter has no delegates: its kernels may round another way.
    assert np.abs(inner[names[-1]].astype(int) - before.astype(int)).max() <= 2
    assert inner[names[0]].std() > 0
    other = np.zeros_like(x)
    session.run([other])
    assert not np.array_equal(session.intermediate(names[:1])[names[0]], inner[names[0]])
    np.testing.assert_array_equal(session.run([x])[0], before)


def test_inner_tensors_by_unknown_name_or_elsewhere(tmp_path: Path) -> None:
    session = open_session(dense(tmp_path))
    with pytest.raises(UsageError, match="no inputs are set"):
        session.intermediate(["y"])
    session.run([np.ones((1, 4), np.float32)])
    with pytest.raises(UsageError, match="no tensor is called 'yy'") as caught:
        session.intermediate(["yy"])
    assert caught.value.hint == "the nearest name is 'y'"
    other = open_session(save(affine_model(), tmp_path / "a.onnx"))
    with pytest.raises(UsageError, match="does not give inner tensors"):
        other.intermediate(["m"])


# ---------------------------------------------------------------- real values


def test_real_values_of_a_quantized_file() -> None:
    session = open_session(chain("hello_world_int8.tflite"))
    spec_in, spec_out = session.artifact.inputs[0], session.artifact.outputs[0]
    x = np.array([[1.3]], np.float32)
    stored = np.rint(x / np.float32(spec_in.scale)) + spec_in.zero_point
    raw = session.run([stored.astype(np.int8)])[0]
    expected = (raw.astype(np.float32) - spec_out.zero_point) * np.float32(spec_out.scale)
    np.testing.assert_array_equal(run_real(session, [x])[0], expected)
    np.testing.assert_array_equal(run_real(session, [stored.astype(np.int8)])[0], expected)


def test_storing_rounds_half_to_even_and_clips(tmp_path: Path) -> None:
    session = open_session(save(int8_borders(0.5, -3), tmp_path / "q.onnx"))
    assert (session.artifact.inputs[0].scale, session.artifact.inputs[0].zero_point) == (0.5, -3)
    assert session.artifact.outputs[0].scale == 1.0
    x = np.array([[0.25, 0.75, 1000, -1000]], np.float32)  # 0.5 and 1.5 steps
    expected = 2 * 0.5 * np.array([[0, 2, 127 + 3, -128 + 3]], np.float32)
    np.testing.assert_array_equal(run_real(session, [x])[0], expected)
    with pytest.raises(InputError, match="'x' holds NaN"):
        run_real(session, [np.full((1, 4), np.nan, np.float32)])
    with pytest.raises(InputError, match="takes 1 inputs, got 0"):
        run_real(session, [])


def test_border_quantization_stands_in_every_encoding() -> None:
    plain = int8_borders(0.25, -7)
    listed = onnx.ModelProto()
    listed.CopyFrom(plain)
    for tensor in listed.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        tensor.ClearField("raw_data")
        if value.dtype == np.int8:
            tensor.int32_data.append(int(value))
        else:
            tensor.float_data.append(float(value))
    for made in (plain, listed):
        found = border_quantization(made.SerializeToString())
        assert found == {"x": (0.25, -7), "y": (0.5, -7)}
    assert border_quantization(b"\xff\xff\xff") == {}
    assert border_quantization(plain.SerializeToString()[:-40]) == {}


@pytest.mark.parametrize("rank", [3, 4])
def test_axes_move_as_the_file_says(tmp_path: Path, rank: int) -> None:
    shape = [1, 5, 4, 2][: rank - 1] + [2]  # channels last in the file
    layout = {3: "NLC", 4: "NHWC"}[rank]
    metadata = FileMetadata(input_layouts=(layout,), extra={"output_layouts": layout})
    made = affine_model(shape)
    path = save(made, tmp_path / "last.onnx", {"edgepress": metadata.dumps()})
    session = open_session(path)
    assert session.artifact.inputs[0].layout == session.artifact.outputs[0].layout == layout
    x = np.random.default_rng(0).normal(size=[1, 2, *shape[1:-1]]).astype(np.float32)
    np.testing.assert_allclose(run_real(session, [x])[0], 2 * x + 1, rtol=1e-6)
    bare = open_session(save(affine_model(shape), tmp_path / "bare.onnx"))
    with pytest.raises(InputError, match="input 'x' takes"):
        run_real(bare, [x])  # a foreign file is fed as it is
    np.testing.assert_allclose(run_real(bare, [np.moveaxis(x, 1, -1)])[0].shape, shape)


def test_half_and_whole_numbers(tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node("Add", ["x", "x"], ["y"])]
    for kind, name in ((onnx.TensorProto.FLOAT16, "h"), (onnx.TensorProto.INT32, "i")):
        made = model(nodes, {"x": [1, 2]}, ["y"], {}, kinds={"x": kind, "y": kind})
        session = open_session(save(made, tmp_path / f"{name}.onnx"))
        found = run_real(session, [np.array([[1.0, 2.0]], np.float32)])[0]
        np.testing.assert_array_equal(found, [[2, 4]])
        assert found.dtype == (np.float32 if name == "h" else np.int32)
    with pytest.raises(InputError, match="not whole numbers"):
        run_real(session, [np.array([[0.5, 2.0]], np.float32)])


@pytest.mark.parametrize("engine", LITE)
def test_state_starts_from_zero_in_every_run(engine: str, tmp_path: Path) -> None:
    """An LSTM's variables outlive an invoke; `run` is a function of its inputs all the same."""
    path = tmp_path / "lstm.tflite"
    path.write_bytes(lstm_file())
    session = open_session(path, engine)
    x = np.random.default_rng(0).normal(size=(1, 3, 2)).astype(np.float32)
    first = session.run([x])[0]
    np.testing.assert_array_equal(session.run([x])[0], first)
    session.invoke()  # goes on from the state that is there
    assert not np.array_equal(session.outputs()[0], first)


# ---------------------------------------------------------------- every real file


def test_every_reference_file_runs_in_both_engines() -> None:
    """The engines agree with each other: float closely, int8 within a few steps."""
    files = [p for p in real_lite_files(need_data("models").parent) if "bad_qdim" not in p.name]
    assert len(files) == 14
    for path in files:
        x = random_inputs(open_artifact(path).inputs, seed=0)
        first, second = (open_session(path, engine).run(x)[0] for engine in LITE)
        assert first.dtype.name == open_artifact(path).outputs[0].dtype
        if first.dtype == np.float32:
            # The keyword net has int8 weights: each engine quantizes its activations its own way.
            allowed = 0.02 if path.name == "kws_dscnn_float.tflite" else 1e-3
            np.testing.assert_allclose(first, second, rtol=1e-3, atol=allowed, err_msg=path.name)
        else:  # noise drives the deep uint8 networks far from what they were calibrated for
            apart = np.abs(first.astype(int) - second.astype(int)).max()
            assert apart <= 8, path.name


def test_public_names() -> None:
    assert edgepress.open_artifact is open_artifact
    assert edgepress.open_session is open_session
    assert engines.find_engine("litert").package == "ai-edge-litert"


@pytest.mark.parametrize("engine", LITE)
def test_names_that_are_no_text_do_not_matter(engine: str, tmp_path: Path) -> None:
    data = tiny_dense()
    assert data.count(b"\x01\0\0\0x\0") == 1
    path = tmp_path / "odd.tflite"
    path.write_bytes(data.replace(b"\x01\0\0\0x\0", b"\x01\0\0\0\xff\0"))
    x = np.array([[1, 2, 3, 4]], np.float32)
    expected = x @ np.arange(12, dtype=np.float32).reshape(3, 4).T
    session = open_session(path, engine)
    np.testing.assert_allclose(session.run([x])[0], expected)
    assert session.artifact.inputs[0].name == "\ufffd"


def test_outputs_before_a_run_are_an_error(tmp_path: Path) -> None:
    for path in (dense(tmp_path), save(affine_model(), tmp_path / "a.onnx")):
        with pytest.raises(UsageError, match="nothing was run yet"):
            open_session(path).outputs()


@pytest.mark.parametrize("engine", LITE)
def test_a_file_that_would_end_the_process_is_refused(engine: str, tmp_path: Path) -> None:
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers: Any = pytest.importorskip("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(chain("micro_speech_int8.tflite").read_bytes(), 0)
    options = model.subgraphs[0].operators[1].builtinOptions
    options.strideW = 2**31 - 1  # SIGFPE in tflite-runtime 2.14
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "bad.tflite"
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(InputError, match="would end the process .* stride_w is 2147483647"):
        open_session(path, engine)
