"""The whole flow in seconds: one epoch on real watch recordings, int8, both formats, every engine, the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgepress.runtime.engines import engines_for, installed_engines
from edgepress.tools.pipeline import RunResult, run_recipe
from edgepress.tools.recipe import load_recipe

SHORT = (
    "task=watch-har-subset",
    "threads=1",
    "passes.train.epochs=1",
    "passes.quantize.observer=minmax",
    "passes.quantize.calibration_samples=64",
    "passes.quantize.sensitivity=false",
    "verify.samples=8",
    "evaluate.samples=200",
    "profile.processes=1",
    "budget.accuracy_drop=100",  # one epoch says nothing about accuracy
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run_recipe(load_recipe("watch-har", SHORT), tmp_path_factory.mktemp("smoke") / "run")


def usable() -> set[str]:
    return {name for name, version in installed_engines().items() if not version.startswith("not")}


def test_the_demo_runs_from_recording_to_report(result: RunResult) -> None:
    assert result.exit_code == 0 and not result.failures
    names = {Path(path).name for path in result.artifacts}
    assert names == {f"watch-har.{p}.{f}" for p in ("float32", "int8") for f in ("onnx", "tflite")}
    assert {Path(path).name for path in result.reports} == {
        "report.json",
        "report.md",
        "report.html",
    }


def test_every_engine_ran_every_file_and_agrees(result: RunResult) -> None:
    parity = json.loads((Path(result.folder) / "steps/05-verify/parity.json").read_text())
    assert parity["passed"]
    ran = {(row["candidate"], row["engine"]) for row in parity["outputs"]}
    wanted = {
        (Path(path).name, engine)
        for path in result.artifacts
        for engine in usable() & set(engines_for(Path(path).suffix[1:]))
    }
    assert ran == wanted


def test_the_int8_files_are_smaller_and_learned_something(result: RunResult) -> None:
    size = {Path(path).name: Path(path).stat().st_size for path in result.artifacts}
    for fmt in ("onnx", "tflite"):
        assert size[f"watch-har.int8.{fmt}"] * 2 < size[f"watch-har.float32.{fmt}"]
    rows = json.loads((Path(result.folder) / "steps/06-evaluate/scores.json").read_text())
    assert all(row["score"]["value"] > 100 / 7 for row in rows)  # better than guessing one of seven


def test_every_measurement_says_host(result: RunResult) -> None:
    found = [json.loads(p.read_text()) for p in (Path(result.folder) / "measurements").iterdir()]
    assert found and {m["evidence"] for m in found} == {"host"}
