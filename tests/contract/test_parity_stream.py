"""Exported C with a state is proven as a stream; a state that is wrong fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.export.onnx.check import run
from edgepress.export.onnx.intake import from_onnx
from edgepress.export.parity_records import Candidate, Rule
from edgepress.export.parity_stream import keeps_state, verify_all
from edgepress.runtime.errors import InputError
from support import c_models
from support.commands import call
from support.streams import PAIRS, SHAPES, step_model, stream


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "step.onnx"
    path.write_bytes(step_model(PAIRS))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return c_models.write(from_onnx(step_model(PAIRS)), tmp_path / "step.c")


def outer(count: int = 12) -> list[tuple[np.ndarray, ...]]:
    return [(x,) for x in stream(count)]


def whole(count: int = 12) -> list[tuple[np.ndarray, ...]]:
    """Samples with a state, too, which a stream leaves out."""
    rng = np.random.default_rng(3)
    states = [rng.normal(size=SHAPES[name]).astype(np.float32) for name in ("past", "total")]
    return [(x, *states) for x in stream(count)]


def quantized() -> object:
    hub = from_onnx(step_model(PAIRS))
    samples, past, total = [], *(np.zeros(SHAPES[name], np.float32) for name in ("past", "total"))
    for x in stream(40, 3):
        samples.append((x, past, total))
        _, past, total = run(hub, {"x": x, "past": past, "total": total})
    return c_models.planned(hub, samples)


@pytest.mark.parametrize("inputs", [outer(), whole()], ids=["steps", "with-states"])
def test_a_stream_passes(
    onnx_file: Path, folder: Path, inputs: list[tuple[np.ndarray, ...]]
) -> None:
    assert keeps_state(folder)
    found = verify_all(onnx_file, [Candidate(folder)], inputs)
    (row,) = found.outputs
    assert found.passed and row.rule is Rule.FLOAT and row.samples == 12
    assert any("12 steps of one stream" in note for note in found.notes)


def test_a_stream_that_does_not_begin_with_zeros_fails(onnx_file: Path, tmp_path: Path) -> None:
    source = c_models.write(from_onnx(step_model(PAIRS)), tmp_path / "bad.c")
    code = next(path for path in source.glob("model.c"))
    text = code.read_text()
    assert text.count("memset(context->state.bytes + 0, 0") == 1
    code.write_text(
        text.replace("memset(context->state.bytes + 0, 0", "memset(context->state.bytes + 0, 60")
    )
    found = verify_all(onnx_file, [Candidate(source)], outer())
    assert not found.passed


def test_plain_files_are_proven_beside_it(onnx_file: Path, folder: Path) -> None:
    found = verify_all(onnx_file, [Candidate(onnx_file), Candidate(folder)], whole())
    assert found.passed and {row.candidate for row in found.outputs} == {"step.onnx", "step.c"}
    assert len(found.outputs) == 4  # three outputs of the step, one of the stream


def test_int8_is_judged_against_the_integers_of_its_twin(onnx_file: Path, tmp_path: Path) -> None:
    hub = quantized()
    twin = tmp_path / "step.int8.onnx"
    twin.write_bytes(hub.SerializeToString())  # type: ignore[attr-defined]
    folder = c_models.write(hub, tmp_path / "step.int8.c", precision="int8")
    found = verify_all(onnx_file, [Candidate(twin), Candidate(folder)], whole(30))
    rules = {row.against: row.rule for row in found.outputs if row.candidate == "step.int8.c"}
    assert rules == {"step.onnx": Rule.REPORTED, "step.int8.onnx": Rule.INT8}
    assert found.passed


def test_a_model_that_names_no_state_is_told(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    path.write_bytes(step_model(None))
    with pytest.raises(InputError, match="does not say which inputs") as told:
        verify_all(path, [Candidate(folder)], outer())
    assert "edgepress.states" in (told.value.hint or "")
    with pytest.raises(InputError, match="its ONNX file proves"):
        verify_all(lambda sample: sample, [Candidate(folder)], outer())


def test_samples_of_another_form_are_told(onnx_file: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="2 inputs given, a step takes 1"):
        verify_all(onnx_file, [Candidate(folder)], [sample[:2] for sample in whole()])


def test_from_the_command_line(onnx_file: Path, folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.concatenate(stream(8)))
    done = call("verify", str(onnx_file), str(folder), "--inputs", str(tmp_path / "x.npz"))
    assert done.code == 0 and "8 steps of one stream" in done.out
