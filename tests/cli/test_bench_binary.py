"""`edgepress bench-binary` and `compress --method binarize` on toy data: files, resuming, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import call, refused

ASK = ("bench-binary", "--budget", "smoke", "--operators", "bnn,adabin", "-q")
NO_FILES = "task,architecture,corruption,training,complexity"


def _overall(document: dict, track: str) -> dict[str, float]:
    rows = [f for f in document["figures"] if f["item"] == "overall" and f["track"] == track]
    return {row["operator"]: row["value"] for row in rows}


def test_a_benchmark_writes_its_files_and_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "bench"
    done = call(*ASK, "--tracks", NO_FILES, "--out", out, "--json")
    assert done.code == 0, done.err
    document = done.document
    for track in NO_FILES.split(","):
        assert set(_overall(document, track)) == {"bnn", "adabin"}, track
    names = {"report.md", "figures.csv", "bench.json", "overall.svg", "runs"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "bench.json").read_text()) == document
    _goes_on(out, document)


def _goes_on(out: Path, document: dict) -> None:
    refused(call(*ASK, "--tracks", NO_FILES, "--out", out), "report.md")
    runs = sorted((out / "runs").glob("*.json"))
    victim = next(path for path in runs if ".adabin." in path.name and path.name.count(".") == 4)
    kept = {path: path.stat().st_mtime_ns for path in runs if path != victim}
    before = json.loads(victim.read_text())
    victim.unlink()
    again = call(*ASK, "--tracks", NO_FILES, "--out", out, "--json", "--force")
    assert again.code == 0, again.err
    assert json.loads(victim.read_text())["test"] == before["test"]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert _overall(again.document, "task") == _overall(document, "task")


def test_the_hardware_track_compares_files_and_times(tmp_path: Path) -> None:
    done = call(*ASK, "--tracks", "hardware", "--operators", "bnn", "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    figures = {f["metric"]: f for f in done.document["figures"] if f["operator"] == "bnn"}
    assert figures["file_bytes"]["value"] > 0 and figures["latency_ms"]["evidence"] == "host"
    assert "ep_" in figures["latency_ms"]["note"]  # a kernel that works on packed signs
    assert figures["time_ratio"]["value"] > 0


def test_dry_run_tells_the_trainings_and_does_none(tmp_path: Path) -> None:
    out = tmp_path / "bench"
    done = call(*ASK, "--dry-run", "--json", "--out", out)
    assert done.code == 0 and not out.exists()
    plan = done.document
    assert plan["steps"][0].startswith("15 trainings (0 done)")
    assert plan["settings"]["operators"] == ["bnn", "adabin"]


def test_other_cases_and_seeds(tmp_path: Path) -> None:
    done = call(
        *ASK, "--case", "toy:mlp", "--seeds", "3,4", "--dry-run", "--json", "--out", tmp_path
    )
    settings = done.document["settings"]
    assert settings["cases"] == ["toy:mlp"] and settings["seeds"] == [3, 4]
    assert settings["families"] == ["toy:mlp", "toy:transformer"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--operators", "bnnn"), "did you mean bnn"),
        (("--tracks", "speed"), "none of task"),
        (("--case", "toy"), "TASK:NETWORK"),
        (("--case", "toy:resnet200"), "resnet20"),
        (("--case", "spoken-digits-frames:mlp"), "data"),
        (("--seeds", "a"), "no list of seeds"),
        (("--budget", "huge"), "huge"),
        (("--device", "no-such-board"), "no-such-board"),
    ],
)
def test_refusals(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    refused(call(*ASK, *arguments, "--out", tmp_path / "out"), words)
    assert not (tmp_path / "out").exists()


def test_budgets_without_their_data_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch data is bundled; the other sets are left out with a note."""
    monkeypatch.delenv("EDGEPRESS_DATA", raising=False)
    done = call(
        "bench-binary", "--budget", "standard", "--dry-run", "--json", "--out", tmp_path / "x"
    )
    assert done.document["settings"]["cases"] == ["watch-har:har_cnn"]


def test_compress_binarizes_with_the_options_of_the_pass(tmp_path: Path) -> None:
    ask = ("compress", "toy_cnn", "--random-weights", "--method", "binarize", "--task", "toy")
    options = ("--epochs", 2, "--operator", "recu", "--last", "--border", "0", "--first-stage", 0)
    done = call(*ask, *options, "--out", tmp_path / "run", "--json", "-q")
    assert done.code == 0, done.err
    assert Path(done.document["graph"]).name == "binary.onnx"
    (receipt,) = (r for r in done.document["receipts"] if r["step"] == "binarize")
    assert "of 1 bit" in json.dumps(receipt)
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    assert "operator: recu" in recipe and "border: 0" in recipe and "first_stage: 0" in recipe
    refused(call(*ask, "--sensitivity", "--out", tmp_path / "no"), "--sensitivity")
    refused(
        call("compress", "toy_cnn", "--random-weights", "--task", "toy", "--border", "0",
             "--out", tmp_path / "no"),
        "--border",
    )  # fmt: skip
