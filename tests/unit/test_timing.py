"""The measurement protocol, played through with a clock of our own; nothing here asserts a speed."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.runtime.artifact import Artifact, TensorSpec
from edgepress.runtime.codec import from_json
from edgepress.runtime.errors import InputError, UsageError
from edgepress.runtime.session import Session, open_session
from edgepress.runtime.time_file import ProcessTiming, main, time_file
from edgepress.runtime.timing import (
    Timing,
    TimingPlan,
    peak_rss_bytes,
    random_inputs,
    read_inputs,
    time_session,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lite_files import tiny_dense
from support.onnx_files import affine_model, save

QUICK = TimingPlan(warmup_seconds=0.0, samples=3, seconds=0.0)
MS = 1_000_000


class Played(Session):
    """A session whose invokes take the times it is told, on a clock that only they advance."""

    def __init__(self, duration_ns: Callable[[int], int]):
        spec = TensorSpec("x", (1, 2), "float32")
        self.artifact = Artifact(Path("played"), "onnx", (spec,), (), "0", 1)
        self.engine, self.engine_version, self.threads, self.load_ms = "played", "1", 1, 7.0
        self.duration_ns, self.calls, self.now, self.collecting = duration_ns, 0, 0, []
        self.log: list[str] = []

    def _set_inputs(self, inputs: list[Any]) -> None:
        self.log.append("set")

    def invoke(self) -> None:
        self.now += self.duration_ns(self.calls)
        self.calls += 1
        self.collecting.append(gc.isenabled())
        if self.log[-1] != "invoke":
            self.log.append("invoke")

    def outputs(self) -> list[Any]:
        self.log.append("outputs")
        return []

    def clock(self) -> int:
        return self.now


def play(duration_ns: Callable[[int], int], plan: TimingPlan | None = None) -> Timing:
    session = Played(duration_ns)
    return time_session(session, plan, clock=session.clock)


def test_a_steady_model_is_warmed_up_for_a_fifth_of_a_second_and_measured_for_half() -> None:
    timing = play(lambda _: 4 * MS)
    assert timing.warmup_invokes == 50 and timing.warmup_ms == 200 and timing.steady
    assert len(timing.samples_ms) == 125 and timing.batch_k == 1
    assert timing.median_ms == timing.min_ms == timing.percentile_ms(90) == 4
    assert timing.load_ms == 7


def test_a_slow_model_gets_five_invokes_and_ten_to_compare() -> None:
    timing = play(lambda _: 300 * MS)
    assert timing.warmup_invokes == 10 and timing.steady  # two windows of five
    assert len(timing.samples_ms) == 30


def test_the_first_invoke_is_told_apart() -> None:
    timing = play(lambda call: 90 * MS if call == 0 else 5 * MS)
    assert timing.first_invoke_ms == 90
    assert max(timing.samples_ms) == 5


def test_warm_up_goes_on_until_steady() -> None:
    timing = play(lambda call: max(100 - call, 70) * MS)
    assert timing.steady and set(timing.samples_ms) == {70.0}
    assert 30 < timing.warmup_invokes < 50


def test_a_model_that_never_settles_ends_the_warm_up_at_its_cap() -> None:
    quick = play(lambda call: (10 if call // 5 % 2 else 20) * MS)
    assert quick.warmup_invokes <= 13 + 50
    restless = play(lambda call: (call + 1) * MS)
    assert not restless.steady and restless.warmup_invokes == 20 + 50
    slow = play(lambda call: (1000 + 100 * call) * MS)
    assert not slow.steady and slow.warmup_invokes < 15  # five seconds more are enough


def test_the_cap_on_measuring() -> None:
    timing = play(lambda _: 3000 * MS)
    assert len(timing.samples_ms) == 4  # 12 s: the first sample beyond 10 s is the last
    endless = play(lambda _: 60_000 * MS, QUICK)
    assert len(endless.samples_ms) == 1


def test_short_invokes_are_timed_in_batches() -> None:
    timing = play(lambda _: 20_000, TimingPlan(warmup_seconds=0.01))
    assert timing.batch_k == 50 and len(timing.samples_ms) == 500
    assert timing.median_ms == pytest.approx(0.02)
    assert play(lambda _: 50_000, TimingPlan(warmup_seconds=0.01)).batch_k == 1


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(10_000, 40 * MS), st.integers(0, 5))
def test_samples_are_times_of_one_invoke_whatever_the_batch(duration: int, spread: int) -> None:
    timing = play(lambda call: duration + spread * (call % 3), TimingPlan(warmup_seconds=0.01))
    low, high = duration / 1e6, (duration + 2 * spread) / 1e6
    assert all(low <= s <= high or s == pytest.approx(low) for s in timing.samples_ms)
    assert len(timing.samples_ms) >= 30 or sum(timing.samples_ms) * timing.batch_k >= 10_000


def test_collection_is_off_in_the_region_and_back_afterwards() -> None:
    session = Played(lambda _: 30 * MS)
    assert gc.isenabled()
    time_session(session, QUICK, clock=session.clock)
    assert gc.isenabled() and not any(session.collecting)
    gc.disable()
    try:
        time_session(session, QUICK, clock=session.clock)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_collection_comes_back_when_the_engine_fails() -> None:
    def fail(call: int) -> int:
        raise InputError("no")

    with pytest.raises(InputError):
        play(fail)
    assert gc.isenabled()


def test_inputs_are_set_once_before_and_outputs_read_once_after() -> None:
    session = Played(lambda _: 30 * MS)
    time_session(session, QUICK, [np.zeros((1, 2), np.float32)], session.clock)
    assert session.log == ["set", "invoke", "outputs"]


# ---------------------------------------------------------------- inputs


def test_random_inputs_fill_the_range_and_repeat() -> None:
    specs = [
        TensorSpec("a", (-1, 500), "int8"),
        TensorSpec("b", (2, 500), "float32"),
        TensorSpec("c", (100,), "int64"),
        TensorSpec("d", (100,), "bool"),
        TensorSpec("e", (3,), "float16"),
    ]
    a, b, c, d, e = random_inputs(specs, seed=3)
    assert a.shape == (1, 500) and a.dtype == np.int8 and a.min() < -120 and a.max() > 120
    assert b.dtype == np.float32 and -1 <= b.min() < -0.9 and 0.9 < b.max() < 1
    assert set(c.tolist()) == {0, 1} and d.dtype == np.bool_ and e.dtype == np.float16
    again, other = random_inputs(specs, 3), random_inputs(specs, 4)
    assert all(np.array_equal(x, y) for x, y in zip(again, (a, b, c, d, e), strict=True))
    assert not np.array_equal(other[0], a)
    with pytest.raises(InputError, match="has the type string"):
        random_inputs([TensorSpec("s", (1,), "string")], 0)


def test_inputs_from_an_archive(tmp_path: Path) -> None:
    specs = [TensorSpec("a", (1,), "float32"), TensorSpec("b", (2,), "float32")]
    one, two = np.zeros(1, np.float32), np.ones(2, np.float32)
    path = tmp_path / "in.npz"
    np.savez(path, b=two, a=one)
    assert [v.size for v in read_inputs(path, specs)] == [1, 2]
    np.savez(path, one, two)
    assert [v.size for v in read_inputs(path, specs)] == [1, 2]
    np.savez(path, one)
    with pytest.raises(InputError, match="holds 1 arrays, the model takes 2") as caught:
        read_inputs(path, specs)
    assert "by name: a, b" in str(caught.value.hint)
    np.save(tmp_path / "in.npy", one)
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "objects.npz", np.array([{}], object))
    for name in ("in.npy", "text.npz", "objects.npz", "absent.npz"):
        with pytest.raises(InputError):
            read_inputs(tmp_path / name, specs)


# ---------------------------------------------------------------- one process


def arguments(path: Path, *more: str) -> list[str]:
    plan = '{"warmup_seconds": 0.0, "samples": 2, "seconds": 0.0}'
    return [str(path), "--plan", plan, *more]


def run(capsys: Any, words: Sequence[str]) -> tuple[int, dict[str, Any], str]:
    code = main(list(words))
    out = capsys.readouterr()
    assert out.out.count("\n") == 1
    return code, json.loads(out.out), out.err


def test_time_file_prints_one_document(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "d.tflite"
    path.write_bytes(tiny_dense())
    np.savez(tmp_path / "in.npz", x=np.ones((1, 4), np.float32))
    words = arguments(path, "--engine", "litert", "--threads", "2", "--cpus", "0")
    code, document, _ = run(capsys, [*words, "--inputs", str(tmp_path / "in.npz")])
    result = from_json(ProcessTiming, document)
    assert code == 0 and result.engine == "litert" and result.threads == 2 and result.cpus == (0,)
    assert result.artifact_sha256 == open_session(path).artifact.sha256
    assert result.plan.samples == 2 and len(result.timing.samples_ms) == 2
    assert result.timing.load_ms > 0 and result.timing.peak_rss_bytes > 1 << 20


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        (["--engine", "nope"], "UsageError", "no engine is called"),
        (["--threads", "0"], "UsageError", "0 threads"),
        (["--cpus", "a"], "UsageError", "no list of numbers"),
        (["--cpus", "4095"], "UsageError", "cannot run on processors"),
        (["--plan", "{"], "UsageError", "not JSON"),
        (["--plan", '{"sample": 1}'], "InputError", "unknown key 'sample'"),
        (["--inputs", "absent.npz"], "InputError", "cannot read the inputs"),
    ],
)
def test_errors_are_documents_too(
    tmp_path: Path, capsys: Any, more: list[str], kind: str, message: str
) -> None:
    path = tmp_path / "d.tflite"
    path.write_bytes(tiny_dense())
    code, document, err = run(capsys, [*arguments(path), *more])
    assert code == 2 and document["error"]["class"] == kind
    assert message in document["error"]["what"] and message in err


def test_wrong_inputs_in_the_archive_are_told(tmp_path: Path) -> None:
    path = save(affine_model((1, 2)), tmp_path / "a.onnx")
    np.savez(tmp_path / "in.npz", x=np.ones((1, 3), np.float32))
    with pytest.raises(InputError, match=r"input 'x' takes float32 \[1, 2\]"):
        time_file(path, plan=QUICK, inputs=tmp_path / "in.npz")
    with pytest.raises(UsageError):
        time_file(path, "tflite", plan=QUICK)


def test_peak_memory_is_this_process_s_own() -> None:
    """A child started from a process that holds much reports its own peak."""
    held = np.ones(40 << 20, np.uint8)  # 40 MiB more here than there
    code = "from edgepress.runtime.timing import peak_rss_bytes; print(peak_rss_bytes())"
    child = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    )
    assert 1 << 20 < child < peak_rss_bytes()
    assert held.nbytes < peak_rss_bytes()
