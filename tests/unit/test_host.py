"""Measuring on the host: processes, what they tell, and how they may end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from edgepress.devices import host, host_process
from edgepress.devices.conditions import conditions, doubts, fingerprint
from edgepress.devices.host import interleave, measure_host
from edgepress.devices.host_process import run_process
from edgepress.devices.measurement import Evidence
from edgepress.runtime.codec import from_json, to_json
from edgepress.runtime.errors import (
    EdgepressError,
    EngineCrashedError,
    InputError,
    MissingToolError,
    UsageError,
)
from edgepress.runtime.time_file import ProcessTiming
from edgepress.runtime.timing import Timing, TimingPlan
from support.lite_files import tiny_dense
from support.onnx_files import affine_model, save

QUICK = TimingPlan(warmup_seconds=0.0, samples=3, seconds=0.0)


def row(
    median: float,
    n: int = 3,
    k: int = 1,
    sha: str = "a",
    engine: str = "tflite",
    steady: bool = True,
) -> ProcessTiming:
    timing = Timing((median,) * n, k, 9.0, 2.0, 10, 20.0, steady, 1.0, 1000)
    return ProcessTiming(sha, 77, engine, "2.14.0", 1, QUICK, timing, "3.11.0", "1.26.4", (0,))


def dense(tmp_path: Path) -> Path:
    path = tmp_path / "d.tflite"
    path.write_bytes(tiny_dense())
    return path


class Told:
    def __init__(self) -> None:
        self.said: list[Any] = []

    def stage(self, name: str, total: int) -> None:
        self.said.append((name, total))

    def advance(self, count: int = 1, **facts: object) -> None:
        self.said.append(count)


def test_a_real_measurement(tmp_path: Path) -> None:
    told = Told()
    found = measure_host(dense(tmp_path), "litert", 1, 2, told, plan=QUICK)
    assert found.evidence is Evidence.HOST and found.device == "host"
    assert (found.engine, found.threads) == ("litert", 1)
    assert found.values["file_bytes"] == len(tiny_dense())
    assert {"latency_ms", "latency_p90_ms", "first_invoke_ms", "load_ms"} <= set(found.values)
    assert found.values["peak_rss_bytes"] > 1 << 20
    assert [len(s) for s in found.samples["latency_ms"]] == [3, 3]
    assert {"cpu", "cores", "kernel", "python", "numpy"} <= set(found.fingerprint)
    assert "load_average" in found.conditions_before and "load_average" in found.conditions_after
    assert told.said == [("time d.tflite", 2), 1, 1]
    assert from_json(type(found), json.loads(json.dumps(to_json(found)))) == found


def measured(monkeypatch: Any, rows: list[ProcessTiming]) -> Any:
    queue = list(rows)
    monkeypatch.setattr(host, "run_process", lambda *_: queue.pop(0))
    return measure_host(Path("x"), processes=len(rows))


def test_values_are_medians_of_processes(monkeypatch: Any) -> None:
    found = measured(monkeypatch, [row(1.0), row(5.0), row(2.0)])
    assert found.values["latency_ms"] == found.values["latency_p90_ms"] == 2.0
    assert "latency_p99_ms" not in found.values
    assert found.values["first_invoke_ms"] == 9.0 and found.values["file_bytes"] == 77
    assert "medians of 3 processes 1 to 5 ms (largest over smallest 5.000" in found.notes[0]
    assert any("too few" in note for note in found.notes)


def test_the_tail_needs_five_hundred_single_invokes_in_every_process(monkeypatch: Any) -> None:
    assert measured(monkeypatch, [row(1.0, 500)] * 5).values["latency_p99_ms"] == 1.0
    for rows in ([row(1.0, 500), row(1.0, 499)], [row(1.0, 500, k=40)] * 2):
        found = measured(monkeypatch, rows)
        assert "latency_p99_ms" not in found.values
    assert any("means of 40 to 40 invokes" in note for note in found.notes)


def test_restless_processes_are_noted(monkeypatch: Any) -> None:
    found = measured(monkeypatch, [row(1.0), row(1.0, steady=False)])
    assert any("1 of 2 processes did not become steady" in note for note in found.notes)


def test_interleaving_takes_turns(monkeypatch: Any) -> None:
    order: list[str] = []

    def fake(path: Path, *_: Any) -> ProcessTiming:
        order.append(str(path))
        return row(1.0 if str(path) == "A" else 1.5, sha=str(path))

    monkeypatch.setattr(host, "run_process", fake)
    found = interleave((Path("A"), Path("B")), processes=5)
    assert "".join(order) == "ABBAABBAAB"
    assert found.comparison.ratio == 1.5 and found.comparison.paired
    assert (found.base.artifact_sha256, found.candidate.artifact_sha256) == ("A", "B")


def test_interleaving_for_real(tmp_path: Path) -> None:
    first = save(affine_model((1, 2)), tmp_path / "a.onnx")
    second = save(affine_model((1, 2), scale=3.0), tmp_path / "b.onnx")
    found = interleave((first, second), processes=2, plan=QUICK)
    assert found.base.artifact_sha256 != found.candidate.artifact_sha256
    assert found.comparison.low <= found.comparison.ratio <= found.comparison.high
    with pytest.raises(UsageError, match=r"different engines \(onnxruntime and tflite\)"):
        interleave((first, dense(tmp_path)), processes=5, plan=QUICK)


def test_errors_of_the_process_keep_their_class(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not run tflite files") as caught:
        measure_host(dense(tmp_path), "onnxruntime", processes=1)
    assert caught.value.hint == "use tflite or litert"
    with pytest.raises(InputError, match="cannot read the file"):
        measure_host(tmp_path / "absent", processes=1)
    with pytest.raises(UsageError, match="0 processes"):
        measure_host(dense(tmp_path), processes=0)


def ends(monkeypatch: Any, code: str, **options: Any) -> ProcessTiming:
    """Run a process that does `code` instead of timing."""
    monkeypatch.setattr(host_process, "command", lambda *_: ["-c", code])
    return run_process(Path("x.tflite"), None, 1, **options)


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL", "out of memory"),
        ("import os; os.kill(os.getpid(), 11)", "ended by SIGSEGV", "another engine"),
        ("import os; os.abort()", "ended by SIGABRT", "another engine"),
    ],
)
def test_a_killed_process_is_one_clear_error(
    monkeypatch: Any, code: str, message: str, hint: str
) -> None:
    with pytest.raises(EngineCrashedError, match=message) as caught:
        ends(monkeypatch, code)
    assert hint in str(caught.value) and caught.value.where == "x.tflite"
    assert caught.value.exit_code == 2


def test_a_hanging_process_is_ended(monkeypatch: Any) -> None:
    with pytest.raises(EngineCrashedError, match="did not end within 0.5 s"):
        ends(monkeypatch, "import time; time.sleep(60)", timeout_s=0.5)


def test_a_process_that_says_nothing_or_nonsense(monkeypatch: Any) -> None:
    with pytest.raises(EdgepressError, match="exit code 0: no output"):
        ends(monkeypatch, "pass")
    with pytest.raises(EdgepressError, match="exit code 1: ValueError: boom"):
        ends(monkeypatch, "raise ValueError('boom')")
    with pytest.raises(EdgepressError, match="timing failed"):
        ends(monkeypatch, "print('{not json')")
    with pytest.raises(InputError, match="missing key"):
        ends(monkeypatch, "print('{}')")


def test_chatter_before_the_document_is_passed_over(monkeypatch: Any) -> None:
    document = json.dumps(to_json(row(1.0)))
    found = ends(monkeypatch, f"print('INFO: hello'); print('''{document}''')")
    assert found == row(1.0)


def test_told_errors_come_back_as_they_were(monkeypatch: Any) -> None:
    told = {"class": "MissingToolError", "what": "w", "where": None, "hint": "h"}
    with pytest.raises(MissingToolError) as caught:
        ends(monkeypatch, f"print('''{json.dumps({'error': told})}''')")
    assert (caught.value.what, caught.value.hint) == ("w", "h")
    odd = {**told, "class": "annotations"}
    with pytest.raises(InputError):
        ends(monkeypatch, f"print('''{json.dumps({'error': odd})}''')")


def test_this_machine() -> None:
    facts = fingerprint()
    assert facts["cpu"] and int(facts["cores"]) >= 1 and facts["kernel"].startswith("Linux")
    assert float(conditions()["load_average"]) >= 0
    assert fingerprint() == facts


def test_doubtful_conditions_are_said() -> None:
    calm = {"load_average": "0.1", "swap_used_bytes": "0", "governor": "performance"}
    assert doubts(calm, calm) == []
    busy = {"load_average": "999", "swap_used_bytes": "4096", "governor": "powersave"}
    said = " ".join(doubts(calm, busy))
    assert "load average was 999" in said and "swap was used" in said and "governor" in said


def test_the_child_runs_this_python() -> None:
    words = host_process.command(Path("m"), "litert", 2, QUICK, Path("i.npz"))
    assert words[:3] == ["-m", "edgepress.runtime.time_file", "m"]
    assert words[words.index("--engine") + 1] == "litert" and "--plan" in words
    assert sys.executable
