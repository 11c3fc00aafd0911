"""Streaming models as C: the state lies in the context, and a stream computes what the whole window computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.integer import IntegerModel
from edgepress.export.c import to_c
from edgepress.export.c.lower import lower
from edgepress.export.onnx.check import run
from edgepress.export.onnx.intake import from_onnx
from edgepress.runtime.c_folder import MANIFEST, parse
from edgepress.runtime.errors import InputError, UsageError
from edgepress.runtime.real_values import to_real, to_stored
from edgepress.runtime.session import open_session
from edgepress.runtime.session_native import NativeSession
from onnx import TensorProto, helper
from support import c_models
from support.streams import PAIRS, SHAPES, TAPS, step_model, stream, weights


def opened(hub: Any, folder: Path, **options: Any) -> NativeSession:
    session = open_session(c_models.write(hub, folder, **options))
    assert isinstance(session, NativeSession)
    return session


def step(session: NativeSession, x: np.ndarray) -> np.ndarray:
    specs = session.artifact
    (given,) = session.step([to_stored(specs.inputs[0], x)])
    return to_real(specs.outputs[0], given)


def test_a_stream_computes_what_the_window_computes(tmp_path: Path) -> None:
    session = opened(from_onnx(step_model(PAIRS)), tmp_path)
    assert [spec.name for spec in session.artifact.inputs] == ["x"]
    assert [spec.name for spec in session.artifact.outputs] == ["y"]
    xs = stream(12)
    whole = np.concatenate([np.zeros(SHAPES["past"], np.float32), *xs], axis=2)[0]
    for number, x in enumerate(xs):
        wanted = np.einsum("oct,ct->o", weights(), whole[:, number : number + TAPS])
        np.testing.assert_allclose(step(session, x).reshape(-1), wanted, rtol=1e-5, atol=1e-5)


def test_run_begins_a_stream_and_step_goes_on(tmp_path: Path) -> None:
    session = opened(from_onnx(step_model(PAIRS)), tmp_path)
    x = to_stored(session.artifact.inputs[0], stream(1)[0])
    first, second = session.run([x])[0], session.step([x])[0]
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(session.run([x])[0], first)


def test_int8_states_follow_the_integer_reference(tmp_path: Path) -> None:
    """Scales of a state's two ends are the same here: `past` is only moved, and io is float for the sum."""
    hub = from_onnx(step_model(PAIRS))
    samples = [
        tuple(np.random.default_rng(n).normal(size=s).astype(np.float32) for s in SHAPES.values())
        for n in range(8)
    ]
    quantized = c_models.planned(hub, samples)
    session = opened(quantized, tmp_path, io="float")
    reference = IntegerModel(quantized)
    past, total = (np.zeros(SHAPES[name], np.float32) for name in ("past", "total"))
    for x in stream(10):
        wanted, past, total = reference.run((x, past, total))
        np.testing.assert_array_equal(step(session, x), wanted)


def test_int8_borders_are_rounded_to_the_scale_of_the_input(tmp_path: Path) -> None:
    """An int8 state keeps the input's scale: within three steps of the float stream, and reset is its zero point."""
    hub = from_onnx(step_model(PAIRS))
    xs = stream(40, 3)
    samples, past, total = [], *(np.zeros(SHAPES[name], np.float32) for name in ("past", "total"))
    for x in xs:
        samples.append((x, past, total))
        _, past, total = run(hub, {"x": x, "past": past, "total": total})
    session = opened(c_models.planned(hub, samples), tmp_path, io="int8")
    scale = session.artifact.outputs[0].scale or 1.0
    for x, (_, past, total) in zip(xs, samples, strict=True):
        wanted = run(hub, {"x": x, "past": past, "total": total})[0]
        assert np.abs(step(session, x) - wanted).max() < 3 * scale


@pytest.mark.parametrize("taken", [("x", "a"), ("b", "a")])
def test_states_that_are_passed_on(taken: tuple[str, str], tmp_path: Path) -> None:
    """b takes what a was: a shift register; or two that change places. The hub names such outputs by their inputs."""
    shape = {"x": [1, 4], "a": [1, 4], "b": [1, 4]}
    info = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shape.items()}
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("y", "p", "q")]
    nodes = [
        helper.make_node("Identity", [taken[0]], ["p"]),
        helper.make_node("Identity", [taken[1]], ["q"]),
        helper.make_node("Sub", ["a", "b"], ["d"]),
        helper.make_node("Add", ["d", "x"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "shift", list(info.values()), ends)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    hub = from_onnx(model.SerializeToString())
    session = opened(hub, tmp_path, states={"a": taken[0], "b": taken[1]})
    held = {name: np.zeros((1, 4), np.float32) for name in shape}
    for number in range(1, 6):
        held["x"] = np.full((1, 4), number * number, np.float32)
        np.testing.assert_array_equal(
            session.step([held["x"]])[0], held["a"] - held["b"] + held["x"]
        )
        held = {**held, "a": held[taken[0]], "b": held[taken[1]]}


def test_sizes_are_told_and_nothing_changes_without_a_state() -> None:
    with_states = to_c(from_onnx(step_model(PAIRS)))
    made = parse(with_states[MANIFEST])
    assert made.state_bytes == 48 + 16  # 12 and 4 floats, at multiples of 16
    assert "#define MODEL_STATE_BYTES 64" in with_states["model.h"].decode()
    assert "void model_reset(model_context *context);" in with_states["model.h"].decode()
    plain = to_c(from_onnx(step_model(None)))
    assert parse(plain[MANIFEST]).state_bytes == 0
    assert not any(word in plain["model.h"].decode() for word in ("reset", "STATE"))
    assert "string.h" not in plain["model.c"].decode()


def test_contexts_are_streams_of_their_own(tmp_path: Path) -> None:
    folder = c_models.write(from_onnx(step_model(PAIRS)), tmp_path)
    one, two = open_session(folder), open_session(folder)
    assert isinstance(one, NativeSession) and isinstance(two, NativeSession)
    xs = [to_stored(one.artifact.inputs[0], x) for x in stream(6)]
    alone = [one.step([x])[0] for x in xs]
    one.run([xs[0]])
    mixed = []
    for x in xs:
        mixed.append(two.step([x])[0])
        one.step([x[::-1]])
    np.testing.assert_array_equal(alone, mixed)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"past": "nothing"}, "no border of the model is called 'nothing'"),
        ({"past": "total_out"}, "both must be the same"),
        ({"x": "y"}, "both must be the same"),
        ({"past": "past_out", "total": "past_out"}, "both must be the same"),
    ],
)
def test_impossible_states_are_refused(states: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as told:
        lower(from_onnx(step_model(None)), states=states)
    assert words in str(told.value)


def test_damaged_metadata_is_told() -> None:
    model = onnx.load_from_string(step_model(None))
    model.metadata_props.add(key="edgepress.states", value="[1")
    with pytest.raises(InputError, match="no JSON object"):
        lower(from_onnx(model.SerializeToString()))
