"""TensorFlow Lite Micro's arena: what it tells, the crash of too small an arena, parity, and what goes wrong."""

from __future__ import annotations

import importlib.util
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices import extras, tflm
from edgepress.devices.child_process import Ended, run_child
from edgepress.devices.measurement import Evidence
from edgepress.devices.tflm import (
    LABEL,
    Arena,
    compare_outputs,
    failure,
    measure_tflm,
    read_arena,
    too_small,
)
from edgepress.devices.tflm_process import run_once, smallest_arena
from edgepress.export.tflite.write import write
from edgepress.runtime.errors import (
    EngineCrashedError,
    InputError,
    MissingToolError,
    ParityError,
    ToolFailedError,
)
from support.data import need_data
from support.lite_models import conv_model

needs_tflm = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="needs pip install 'edgepress[tflm]'"
)

# tflite-micro 0.dev20261023182759: KWS of MLPerf Tiny.
SAID = """[RecordingMicroAllocator] Arena allocation total 24272 bytes
[RecordingMicroAllocator] Arena allocation head 16000 bytes
[RecordingMicroAllocator] Arena allocation tail 8272 bytes
[RecordingMicroAllocator] 'TfLiteEvalTensor data' used 840 bytes with alignment overhead
"""


def test_the_recorded_allocation_is_read() -> None:
    assert read_arena(SAID, "m") == Arena(24272, 16000, 8272)
    with pytest.raises(ToolFailedError, match="told no allocations"):
        read_arena(SAID.replace("tail", "end"), "m")


@pytest.mark.parametrize(
    ("ended", "small", "error", "words"),
    [
        (Ended(-signal.SIGSEGV, "", ""), True, InputError, "fails with an arena of"),
        (
            Ended(1, "", "Failed to resize buffer. Requested: 16000"),
            True,
            InputError,
            "fails with an arena of",
        ),
        (
            Ended(1, "", "Didn't find op for builtin opcode 'SIN'"),
            False,
            InputError,
            "no operator SIN",
        ),
        (
            Ended(1, "", "Hybrid models are not supported\nTraceback (most"),
            False,
            InputError,
            "file: Hybrid models are not supported",
        ),
        (Ended(-signal.SIGKILL, "", ""), False, EngineCrashedError, "ended by SIGKILL"),
        (Ended(None, "", ""), False, EngineCrashedError, "did not end within 9 s"),
    ],
)
def test_ends_of_the_process(ended: Ended, small: bool, error: type[Exception], words: str) -> None:
    assert too_small(ended) is small
    found = failure(ended, "m", 9)
    assert type(found) is error and words in found.what


def test_outputs_of_the_same_network() -> None:
    theirs = np.array([[0, 50, -60, 100]], np.int8)
    same = compare_outputs([theirs], [theirs], "m")
    assert (same.count, same.values, same.text) == (0, 4, "all 4 output values")
    rounded = compare_outputs([theirs + np.int8(1)], [theirs], "m")
    assert (rounded.count, rounded.largest) == (4, 1)
    follows = compare_outputs([theirs + np.array([[0, 12, 0, -3]], np.int8)], [theirs], "m")
    assert (follows.count, follows.largest) == (2, 12)
    assert "2 of 4 output values, others up to 12 apart" in follows.text


@pytest.mark.parametrize(
    "mine",
    [
        np.array([[100, 0, 50, -60]], np.int8),
        np.full((1, 4), 7, np.int8),
        np.zeros((4,), np.int8),
        np.zeros((1, 4), np.float32),
    ],
)
def test_outputs_of_another_network_are_refused(mine: np.ndarray) -> None:
    with pytest.raises(ParityError):
        compare_outputs([mine], [np.array([[0, 50, -60, 100]], np.int8)], "m")


def test_values_that_are_not_numbers_are_refused() -> None:
    good = np.array([1.0, 2.0, 4.0], np.float32)
    compare_outputs([good * np.float32(1 + 1e-6)], [good], "m")
    with pytest.raises(ParityError, match="up to nan"):
        compare_outputs([np.array([1.0, np.nan, 4.0], np.float32)], [good], "m")


def test_without_the_package_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match="tflite-micro is not installed") as caught:
        measure_tflm(tmp_path / "m.tflite")
    assert "edgepress[tflm]" in str(caught.value.hint) and "--pre" in str(caught.value.hint)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path, model = tmp_path / "small.tflite", conv_model()
    model.metadata.clear()
    path.write_bytes(write(model))
    return path


@needs_tflm
def test_a_small_model(small: Path) -> None:
    found = measure_tflm(small, smallest=True)
    assert found.arena.total == found.arena.head + found.arena.tail
    assert found.arena.head >= 6 * 6 * 5 and found.departures.count <= found.departures.values // 10
    assert found.smallest is not None and found.arena.head < found.smallest < 2 * found.arena.total
    measured = found.measurement()
    assert measured.evidence is Evidence.HOST and measured.device == "host"
    assert measured.notes[0] == LABEL and measured.engine == "tflm"
    assert measured.values["arena_smallest_bytes"] == found.smallest


@needs_tflm
def test_an_arena_that_is_too_small_does_not_end_this_process(small: Path) -> None:
    model, x = small.read_bytes(), [np.zeros((1, 6, 6, 2), np.int8)]
    y = run_once(model, 1 << 20, x, 1, tell=False)
    assert smallest_arena(model, x, y, 0, 700) is None
    enough = smallest_arena(model, x, y, 0, 1 << 16)
    assert enough is not None and enough > 700
    assert smallest_arena(model, x, y, 0, enough - 1) is None
    assert smallest_arena(model, x, [y[0] + np.int8(1)], 0, 1 << 16) is None


@needs_tflm
def test_a_first_arena_that_is_too_small_grows(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def counting(command: list[str], *rest: object) -> Ended:
        sizes.append(int(command[4]))
        if len(sizes) == 1:
            return Ended(-signal.SIGSEGV, "", "")
        return run_child(command, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(tflm, "run_child", counting)
    assert measure_tflm(small).arena.total > 0
    assert sizes == [1 << 16, 1 << 18]


@needs_tflm
def test_files_that_are_not_for_it(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"no model at all")
    with pytest.raises(InputError):
        measure_tflm(path)


@needs_tflm
def test_figures_of_the_keyword_network() -> None:
    found = measure_tflm(need_data("models/mlperf_tiny/kws_dscnn_int8.tflite"))
    assert found.arena == Arena(24_272, 16_000, 8_272) and found.departures.count == 0


def test_children_end_with_the_call(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {marker}; wait"
    assert run_child(["sh", "-c", script], tmp_path, 0.5).code is None
    stat = Path("/proc") / marker.read_text().strip() / "stat"
    for _ in range(300):  # the kernel needs a moment; init may never reap it
        if not stat.exists() or " Z " in stat.read_text():
            break
        time.sleep(0.01)
    else:
        pytest.fail("what the child started still runs")
    with pytest.raises(ToolFailedError, match="cannot be run"):
        run_child([str(tmp_path / "none")], tmp_path, 1)
    ended = run_child(["sh", "-c", "echo a; echo b >&2; exit 3"], tmp_path, 5)
    assert (ended.code, ended.out, ended.last_words) == (3, "a\n", "b")
