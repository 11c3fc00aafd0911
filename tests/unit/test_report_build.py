"""report.json is gathered from the records of a run folder, and says what is missing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from edgepress.runtime.errors import InputError
from edgepress.tools.report import build_report, write_report
from support.commands import tree
from support.run_folders import NAME, make_run_folder, save


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run_folder(tmp_path / "run")


def test_files_are_counted_and_hashed(run: Path) -> None:
    report = build_report(run)
    onnx, tflite = report["artifacts"]
    assert (onnx["precision"], onnx["format"]) == ("float32", "onnx")
    assert onnx["totals"]["macs"] == 64 * 2 * 9 * 16
    assert tflite["file_bytes"] == (run / "artifacts" / f"{NAME}.int8.tflite").stat().st_size
    assert "times_smaller" not in tflite  # a TFLite file is compared with a TFLite file


def test_ratio_against_the_float_file_of_the_same_format(run: Path) -> None:
    artifacts = run / "artifacts"
    data = (artifacts / f"{NAME}.float32.onnx").read_bytes()
    (artifacts / f"{NAME}.int8.onnx").write_bytes(data)
    report = build_report(run)
    (entry,) = (a for a in report["artifacts"] if a["name"] == f"{NAME}.int8.onnx")
    assert entry["times_smaller"] == 1.0 and entry["smaller_than"] == f"{NAME}.float32.onnx"


def test_measurements_find_their_files_by_hash(run: Path) -> None:
    report = build_report(run)
    assert [m["artifact"] for m in report["measurements"]] == [
        f"{NAME}.float32.onnx",
        f"{NAME}.int8.tflite",
    ]
    assert all(m["evidence"] == "host" and m["processes"] == 3 for m in report["measurements"])


def test_scores_carry_data_split_samples_seed_and_evidence(run: Path) -> None:
    for score in build_report(run)["scores"]:
        assert score["data"] == "watch-har" and score["split"] == "test"
        assert (score["samples"], score["seed"], score["evidence"]) == (1372, 0, "host")


def test_savings_are_the_words_of_the_receipts(run: Path) -> None:
    train, quantize = build_report(run)["steps"]
    assert train["saving"] == "this step made nothing smaller or faster"
    assert quantize["saving"] == "packed weights 3.76x smaller (computed, not a file)"


@pytest.mark.parametrize(("passed", "outcome"), [(True, "pass"), (False, "fail")])
def test_the_outcome_is_that_of_the_proof(tmp_path: Path, passed: bool, outcome: str) -> None:
    report = build_report(make_run_folder(tmp_path / "run", passed))
    assert report["outcome"] == outcome


def test_a_proof_that_judged_nothing_is_no_pass(run: Path) -> None:
    path = run / "steps/03-verify/parity.json"
    parity = json.loads(path.read_text())
    parity["outputs"] = [row for row in parity["outputs"] if row["outcome"] == "reported"]
    save(path, parity)
    save(run / "verdicts.json", [])
    report = build_report(run)
    assert report["parity"]["outcome"] == report["outcome"] == "none"
    assert any("judged nothing" in line for line in report["missing"])


@pytest.mark.parametrize("outcome", ["fail", "invalid"])
def test_the_outcome_is_that_of_the_budget(run: Path, outcome: str) -> None:
    save(run / "verdicts.json", [{"name": "file_bytes", "outcome": outcome}])
    assert build_report(run)["outcome"] == outcome


def test_what_is_not_there_is_missing(run: Path) -> None:
    for path in (run / "steps/03-verify").iterdir():
        path.unlink()
    (run / "verdicts.json").unlink()
    report = build_report(run)
    assert report["parity"] is None and report["outcome"] == "none"
    assert report["missing"] == [
        "the exported files were not scored",
        "no parity proof was made",
        "the recipe sets no budget",
    ]


def test_infinities_become_null(run: Path) -> None:
    path = run / "steps/03-verify/parity.json"
    parity = json.loads(path.read_text())
    parity["outputs"][0]["distance"]["relative"] = math.inf
    path.write_text(json.dumps(parity))
    report = build_report(run)
    assert report["parity"]["outputs"][0]["distance"]["relative"] is None
    write_report(run, report)
    assert "outputs are not finite" in (run / "report.md").read_text()


def test_a_file_nobody_can_read_is_told_not_fatal(run: Path) -> None:
    (run / "artifacts" / f"{NAME}.int8.tflite").write_bytes(b"not a model")
    (entry,) = (a for a in build_report(run)["artifacts"] if a["format"] == "tflite")
    assert entry["layers"] == [] and "no layer table" in entry["note"]


def test_the_same_folder_gives_the_same_files(run: Path) -> None:
    write_report(run)
    before = tree(run)
    write_report(run)
    assert tree(run) == before
    assert {"report.json", "report.md", "report.html"} <= set(before)


@pytest.mark.parametrize(
    "relative",
    ["manifest.json", "verdicts.json", "steps/01-train/receipt.json", "measurements/0.json"],
)
def test_damaged_records_name_their_file(run: Path, relative: str) -> None:
    (run / relative).write_text("{")
    with pytest.raises(InputError) as caught:
        build_report(run)
    assert relative in str(caught.value)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        build_report(tmp_path)
    with pytest.raises(InputError, match="no such run folder"):
        build_report(tmp_path / "nowhere")
