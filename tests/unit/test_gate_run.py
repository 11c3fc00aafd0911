"""Running gates: who is measured when, what stops a sequence, the cache, what is missing, several outcomes."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgepress.compress.datasets import task
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.runtime.errors import EdgepressError, InputError, UsageError
from edgepress.tools.cache import Cache
from edgepress.tools.exit_codes import ExitCode
from edgepress.tools.gate.baseline import read_baseline, update_baseline
from edgepress.tools.gate.board_config import Board
from edgepress.tools.gate.board_measurer import BoardTimer
from edgepress.tools.gate.compare import compare_results
from edgepress.tools.gate.config import load_config
from edgepress.tools.gate.extra_measurers import LatencyEstimator
from edgepress.tools.gate.judge import Rules
from edgepress.tools.gate.measure import Job, find_measurer, measurement_key, take
from edgepress.tools.gate.measurers import EmulatedCounter, FileFacts, can_count, standard
from edgepress.tools.gate.records import Results
from edgepress.tools.gate.run import Settings, exit_code, run_gates
from edgepress.tools.scoring import score_file
from onnx import helper
from support.gates import Told, exact, timed, write_config
from support.lite_files import tiny_dense
from support.lowering import make_hub
from support.onnx_files import affine_model, save

BOARD = """\
baseline: {models: old}
gates:
  - {model: m.tflite, device: board, metrics: {latency_ms: {max_regression: 5%}}}
"""


def folder(tmp_path: Path) -> Path:
    """A new file m.tflite and its older version old/m.tflite."""
    (tmp_path / "old").mkdir()
    (tmp_path / "m.tflite").write_bytes(tiny_dense())
    (tmp_path / "old" / "m.tflite").write_bytes(tiny_dense() + b"\0")
    return tmp_path


def steady(slower: float) -> Callable[[str, int], Sequence[float]]:
    """Times of the new file `slower` times those of the old one; both named m.tflite, so told by turn."""
    turns = [0]

    def tell(_: str, number: int) -> Sequence[float]:
        old_first = number % 2 == 0
        is_old = (turns[0] % 2 == 0) == old_first
        turns[0] += 1
        return [1.0 if is_old else slower] * 3

    return tell


def run(path: Path, *measurers: Told, **settings: object) -> Results:
    found = Settings(measurers=(*measurers, *standard()), **settings)  # type: ignore[arg-type]
    return run_gates(load_config(path), found)


def words(results: Results) -> list[str]:
    return [j.verdict.word for j in results.judgements]


# ------------------------------------------------------------------- sequences


def test_arms_take_turns_and_a_clear_case_ends_at_the_first_look(tmp_path: Path) -> None:
    told = Told(steady(1.0))
    paths: list[str] = []
    measure = told.measure

    def noting(job: Job, number: int) -> Measurement:
        paths.append("A" if "old" in job.path.parts else "B")
        return measure(job, number)

    told.measure = noting  # type: ignore[method-assign]
    results = run(write_config(folder(tmp_path), BOARD), told)
    assert "".join(paths) == "ABBAABBAAB" and words(results) == ["pass"]
    (judgement,) = results.judgements
    assert judgement.baseline_origin == "re-measured" and judgement.baseline is not None
    orders = [p.order for e in (judgement.baseline, judgement.candidate) for p in e.processes]  # type: ignore[union-attr]
    assert orders == [0, 3, 4, 7, 8, 1, 2, 5, 6, 9]


def test_a_slower_file_fails(tmp_path: Path) -> None:
    results = run(write_config(folder(tmp_path), BOARD), Told(steady(1.2)))
    assert words(results) == ["fail"] and exit_code(results.judgements) == ExitCode.FAILED
    assert results.judgements[0].where.endswith("gates.yml:4")


def test_an_unclear_case_goes_to_the_cap(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    told = Told(lambda *_: list(random.uniform(1.0, 2.0, 3)))
    results = run(write_config(folder(tmp_path), BOARD), told)
    assert words(results) == ["inconclusive"] and len(told.calls) == 30
    assert exit_code(results.judgements) == ExitCode.NO_VERDICT


def test_a_throttled_run_stops_at_once(tmp_path: Path) -> None:
    told = Told(steady(1.0))
    told.invalid = ("the device was throttled",)
    results = run(write_config(folder(tmp_path), BOARD), told)
    assert words(results) == ["invalid"] and len(told.calls) == 10 and told.closed == 1


def test_host_warnings_go_on_until_they_are_sure(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    told = Told(lambda *_: list(random.uniform(1.0, 2.0, 3)), Evidence.HOST)
    results = run(write_config(folder(tmp_path), BOARD), told)
    assert words(results) == ["warn"] and len(told.calls) == 30


def test_policy_and_noise(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = write_config(folder(tmp_path), BOARD)
    told = Told(lambda *_: list(random.uniform(1.0, 2.0, 3)))
    assert words(run(path, told, policy="fail")) == ["fail"]
    noisy = BOARD.replace(
        "device: board,", "device: board, expect: noisy, reason: r, expires: 2030-01-01,"
    )
    path = write_config(tmp_path, noisy)
    today = datetime.date(2029, 1, 1)
    assert words(run(path, Told(steady(1.2)), today=today)) == ["warn"]


# ------------------------------------------------------------------- several outcomes


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("x"), 2), (UsageError("x"), 2), (EdgepressError("x"), 5)],
)
def test_one_trouble_does_not_stop_the_others(
    tmp_path: Path, error: EdgepressError, code: int
) -> None:
    def tell(*_: object) -> Sequence[float]:
        raise error

    text = BOARD + "  - {model: m.tflite, metrics: {file_bytes: {max: 1}}}\n"
    results = run(write_config(folder(tmp_path), text), Told(tell))
    assert words(results) == ["error", "fail"]
    assert exit_code(results.judgements) == code and results.judgements[0].name.startswith(
        "m.tflite @board"
    )


def test_exit_codes_of_the_worst() -> None:
    assert exit_code([]) == ExitCode.OK


def test_wrong_devices_and_absent_files_are_told(tmp_path: Path) -> None:
    text = """\
gates:
  - {model: absent.tflite, metrics: {file_bytes: {max: 1}}}
  - {model: m.tflite, device: pi55, metrics: {instructions: {max: 1}}}
  - {model: m.tflite, device: stm32u585, metrics: {instructions: {max: 1}}}
  - {model: m.tflite, device: host, metrics: {ram_bytes: {max: 1}}}
"""
    results = run(write_config(folder(tmp_path), text))
    reasons = [j.verdict.reason for j in results.judgements]
    assert words(results) == ["error"] * 4
    assert "no such file" in reasons[0] and "pi5" in reasons[1]
    assert "instructions cannot be measured on stm32u585" in reasons[2]
    assert "ram_bytes cannot be measured on host" in reasons[3] and "file_bytes" in reasons[3]
    assert exit_code(results.judgements) == ExitCode.USAGE


# ------------------------------------------------------------------- baselines


def test_remeasuring(tmp_path: Path) -> None:
    told = Told(steady(1.0))
    path = write_config(
        folder(tmp_path), BOARD.replace("models: old", "remeasure: never, models: old")
    )
    assert words(run(path, told)) == ["new"] and len(told.calls) == 5
    path = write_config(tmp_path, BOARD.replace("models: old", "remeasure: always"))
    (judgement,) = run(path, told).judgements
    assert judgement.verdict.word == "error" and "measured again" in judgement.verdict.reason
    named = BOARD.replace("device: board,", "device: board, baseline: nowhere.tflite,")
    (judgement,) = run(write_config(tmp_path, named), told).judgements
    assert "baseline file is not there" in judgement.verdict.reason


STORED = """\
baseline: {file: base.json}
gates:
  - {model: m.tflite, metrics: {file_bytes: {}, macs: {}}}
"""


def test_new_then_pass_then_missing_and_removed(tmp_path: Path) -> None:
    path = write_config(folder(tmp_path), STORED)
    first = run(path)
    assert words(first) == ["new", "new"] and "no baseline at base.json yet" in first.notes
    update_baseline(first, tmp_path / "base.json")
    assert words(run(path)) == ["pass", "pass"]
    (tmp_path / "m.tflite").write_bytes(tiny_dense() + b"\0\0")
    grown = run(path)
    assert words(grown) == ["fail", "pass"] and grown.judgements[0].baseline_origin == "stored"
    fewer = STORED.replace(", macs: {}", "")
    assert words(run(write_config(tmp_path, fewer)))[-1] == "missing"
    assert words(run(write_config(tmp_path, "removed: [m.tflite]\n" + fewer)))[-1] == "removed"


def test_what_could_not_be_measured_is_not_missing_too(tmp_path: Path) -> None:
    path = write_config(folder(tmp_path), STORED)
    update_baseline(run(path), tmp_path / "base.json")
    (tmp_path / "m.tflite").unlink()
    assert words(run(path)) == ["error", "error"]


def test_updates_are_guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    path = write_config(
        folder(tmp_path), "gates: [{model: m.tflite, metrics: {file_bytes: {max: 1}}}]\n"
    )
    failed, target = run(path), tmp_path / "b" / "base.json"
    with pytest.raises(UsageError, match="ended with fail of m.tflite"):
        update_baseline(failed, target)
    assert not target.exists()
    kept = update_baseline(failed, target, force=True)
    assert kept.updated_by == "octocat" and kept.judgements == ()
    assert read_baseline(target) == kept and read_baseline(tmp_path / "none.json") is None
    with pytest.raises(UsageError, match="no numbers"):
        update_baseline(replace(failed, entries=()), target)


# ------------------------------------------------------------------- the file's own numbers, the cache


class Counting(FileFacts):
    """Counts how often it measures."""

    def __init__(self) -> None:
        self.count = 0

    def measure(self, job: Job, number: int) -> Measurement:
        self.count += 1
        return super().measure(job, number)


def test_exact_numbers_are_kept_by_content(tmp_path: Path) -> None:
    model = save(affine_model((1, 2)), tmp_path / "a.onnx")
    job = Job(model, "host", None, 1, ("file_bytes", "parameters", "macs"))
    cache, counting = Cache(tmp_path / "cache"), Counting()
    first, again = (take(counting, job, 0, 0, cache).measurement for _ in range(2))
    assert first == again and counting.count == 1
    assert first.values["file_bytes"] == model.stat().st_size
    take(counting, job, 0, 0, None)
    assert counting.count == 2
    save(affine_model((1, 2), scale=3.0), model)
    assert take(counting, job, 0, 0, cache).measurement.artifact_sha256 != first.artifact_sha256
    assert counting.count == 3


def test_a_damaged_entry_of_the_cache_is_measured_again(tmp_path: Path) -> None:
    model = save(affine_model((1, 2)), tmp_path / "a.onnx")
    job = Job(model, "host", None, 1, ("file_bytes",))
    cache, counting = Cache(tmp_path / "cache"), Counting()
    take(counting, job, 0, 0, cache)
    (kept,) = (tmp_path / "cache" / "entries").rglob("measurement.json")
    kept.write_text("{}")
    assert take(counting, job, 0, 0, cache).measurement.values["file_bytes"] > 0
    assert counting.count == 2


def test_the_key_holds_what_the_number_depends_on(tmp_path: Path) -> None:
    model = save(affine_model((1, 2)), tmp_path / "a.onnx")
    job, measurer = Job(model, "host", None, 1, ("file_bytes",)), FileFacts()
    others = [replace(job, device="pi5"), replace(job, threads=2), replace(job, engine="tflite")]
    others += [replace(job, metrics=("macs",))]
    keys = {measurement_key(measurer, j) for j in [job, *others]}
    assert len(keys) == 5 and measurement_key(measurer, replace(job)) in keys


def test_who_serves() -> None:
    assert can_count("pi5") and not can_count("host") and not can_count("ssh://pi@h")
    assert not can_count("nowhere") and not can_count("stm32u585")
    assert isinstance(find_measurer(standard(), "pi5", "file_bytes"), FileFacts)
    boards = standard({"pi5": Board("ssh://pi@h")})
    assert isinstance(find_measurer(boards, "pi5", "latency_ms"), BoardTimer)
    assert isinstance(find_measurer(boards, "pi5", "instructions"), EmulatedCounter)
    assert isinstance(find_measurer(standard(), "pi5", "latency_ms"), LatencyEstimator)
    assert isinstance(find_measurer(standard(), "ssh://pi@h", "latency_ms"), BoardTimer)
    with pytest.raises(UsageError, match="instructions cannot be measured on ssh://pi@h"):
        find_measurer(standard(), "ssh://pi@h", "instructions")


# ------------------------------------------------------------------- two files of results


def as_results(*entries: object) -> Results:
    return Results("2030-01-01T00:00:00Z", "c", "edgepress 0", {}, entries)  # type: ignore[arg-type]


def test_results_are_compared() -> None:
    base = as_results(exact(98.0), timed([1.0] * 5), exact(1.0, "macs"))
    new = as_results(exact(99.0), timed([1.2] * 5), exact(91.0, "accuracy"))
    found = compare_results(base, new)
    assert words(found) == ["fail", "warn", "new", "missing"]
    trusted = compare_results(base, new, rules=Rules(trust_stored=True))
    assert words(trusted)[1] == "fail"


def test_pairs_that_do_not_compare_are_errors_of_their_own() -> None:
    base = as_results(timed([1.0] * 5), exact(98.0))
    new = as_results(timed([1.0] * 5, evidence="host"), exact(98.0))
    found = compare_results(base, new)
    assert words(found) == ["error", "pass"] and "evidence" in found.judgements[0].verdict.reason
    assert exit_code(found.judgements) == ExitCode.USAGE


def test_limits_go_with_device_and_engine(tmp_path: Path) -> None:
    text = """\
gates:
  - {model: m.tflite, device: pi4b, engine: litert, metrics: {instructions: {max_regression: 9%}, file_bytes: {max: 9}}}
  - {model: m.tflite, device: pi5, engine: tflite, metrics: {instructions: {max_regression: 1%}}}
"""
    config = load_config(write_config(tmp_path, text))
    runs = {"evidence": "emulated", "metric": "instructions"}
    old = [exact(100.0, device="pi4", engine="litert", **runs), exact(9.0)]
    old += [exact(100.0, device="pi5", engine=engine, **runs) for engine in ("tflite", "litert")]
    new = [replace(entry, location=1.05 * entry.location) for entry in old]
    found = compare_results(as_results(*old), as_results(*new), config=config)
    limits = ["+9 %", "at most 9 B", "+1 %", "+0.5 %"]
    assert [j.limit for j in found.judgements] == limits
    assert words(found) == ["pass", "fail", "fail", "fail"]


def test_accuracy_is_the_score_of_the_split(tmp_path: Path) -> None:
    """A random linear classifier on 60 real windows of the bundled watch data."""
    subset = task("watch-har-subset")
    size = int(np.prod(subset.input_shapes[0]))
    weights = np.random.default_rng(0).normal(size=(size, 6)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    hub = make_hub(nodes, {"x": (1, *subset.input_shapes[0])}, ["y"], {"w": weights})
    (tmp_path / "net.onnx").write_bytes(hub.SerializeToString())
    expected = score_file(tmp_path / "net.onnx", subset, subset.load("test").spread(60)).value
    text = "gates: [{model: net.onnx, task: watch-har-subset, samples: 60, metrics: {accuracy: {min: 99%}}}]\n"
    (judgement,) = run(write_config(tmp_path, text)).judgements
    entry = judgement.candidate
    assert entry is not None and entry.location == expected and 0 < expected < 60
    assert judgement.verdict.word == "fail" and (entry.device, entry.evidence) == ("host", "host")
    other = replace(entry, fingerprint={**entry.fingerprint, "samples": "700"})
    again = compare_results(as_results(entry), as_results(other))
    assert words(again) == ["error"]  # of other samples it is another number


def test_the_configuration_limits_a_comparison(tmp_path: Path) -> None:
    text = "removed: [m.tflite]\ngates: [{model: m.tflite, metrics: {file_bytes: {max_regression: 5%}}}]\n"
    config = load_config(write_config(tmp_path, text))
    base = as_results(exact(98.0), exact(1.0, "macs"))
    found = compare_results(base, as_results(exact(99.0)), config=config)
    assert words(found) == ["pass", "removed"] and found.judgements[0].where.endswith(":3")
