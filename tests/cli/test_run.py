"""`edgepress run`, `compress`, `export` and `report` on a toy recipe: what a user sees, and what is on disk."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.commands import call, command, environment, refused, spawn, tree

RECIPE = """\
name: toy
model: toy_cnn
task: toy
passes:
  - train: {epochs: 2}
  - quantize: {observer: minmax, calibration_samples: 32}
verify: {samples: 4, layers: false}
profile: null
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, made by the command."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.yaml").write_text(RECIPE)
    done = call("run", folder / "toy.yaml", "--out", folder / "run", "--no-cache")
    assert done.code == 0, done.err
    assert "toy: PASS" in done.out and "report.html" in done.out
    assert "train ..." in done.err  # plain lines: this is no terminal
    return folder


def test_the_run_folder_is_complete(toy: Path) -> None:
    run = toy / "run"
    names = {path.name for path in (run / "artifacts").iterdir()}
    assert names == {f"toy.{p}.{f}" for p in ("float32", "int8") for f in ("onnx", "tflite")}
    for name in ("recipe.yaml", "manifest.json", "report.json", "report.md", "report.html"):
        assert (run / name).is_file()
    report = json.loads((run / "report.json").read_text())
    assert report["schema"] == "edgepress-report/1" and report["outcome"] == "pass"
    assert {score["data"] for score in report["scores"]} == {"toy"}


def test_report_renders_the_run_again(toy: Path) -> None:
    written = (toy / "run/report.md").read_text()
    assert call("report", toy / "run", "--format", "md").out.strip() == written.strip()


def test_a_second_run_keeps_every_step(toy: Path) -> None:
    done = call("run", toy / "toy.yaml", "--out", toy / "run", "--no-cache", "--json", "-q")
    origins = {step["name"]: step["origin"] for step in done.document["steps"]}
    assert done.code == 0 and done.document["schema"] == "edgepress-result/1"
    assert {origins[name] for name in ("train", "hub", "quantize", "export")} == {"kept"}


def test_another_recipe_does_not_overwrite_the_run(toy: Path) -> None:
    before = tree(toy / "run")
    done = call("run", toy / "toy.yaml", "--out", toy / "run", "--seed", 3, "-q")
    refused(done, "another recipe or other settings", "--force")
    assert tree(toy / "run") == before


def test_a_broken_budget_is_1_and_still_reported(toy: Path) -> None:
    out = toy / "strict"
    limit = ("--set", "budget.file_bytes=1KiB")
    done = call("run", toy / "toy.yaml", "--out", out, "--no-cache", "-q", *limit)
    assert done.code == 1
    assert "FAIL" in done.out and "file_bytes" in done.out
    assert json.loads((out / "report.json").read_text())["outcome"] == "fail"


def test_export_of_the_quantized_graph_keeps_every_scale(toy: Path) -> None:
    graph, out = next((toy / "run").glob("steps/*-quantize/int8.onnx")), toy / "exported"
    done = call("export", graph, "--name", "toy", "--task", "toy", "--out", out, "--json", "-q")
    assert done.code == 0, done.err
    assert (out / "toy.int8.tflite").stat().st_size == (
        toy / "run/artifacts/toy.int8.tflite"
    ).stat().st_size
    float_file = toy / "run/artifacts/toy.float32.onnx"
    proof = call("verify", float_file, *sorted(out.iterdir()), "--task", "toy", "--samples", 4)
    assert proof.code == 0, proof.out


def test_verify_without_a_twin_gives_no_verdict(toy: Path) -> None:
    files = toy / "run/artifacts"
    proof = (
        "verify",
        files / "toy.float32.onnx",
        files / "toy.int8.tflite",
        "--task",
        "toy",
        "--samples",
        2,
    )
    done = call(*proof, "-q")
    assert done.code == 3 and "NO VERDICT" in done.out and "int8 ONNX file" in done.out
    assert call(*proof, "-q", "--json").document["outcome"] == "none"


def test_compress_gives_receipt_and_sensitivity(toy: Path) -> None:
    model, out = toy / "run/artifacts/toy.float32.onnx", toy / "compressed"
    arguments = (
        "compress",
        model,
        "--task",
        "toy",
        "--observer",
        "minmax",
        "--calibration-samples",
        16,
    )
    done = call(*arguments, "--sensitivity", "--out", out, "--json", "-q")
    assert done.code == 0, done.err
    assert Path(done.document["graph"]).is_file()
    assert done.document["sensitivity"]
    (receipt,) = (r for r in done.document["receipts"] if r["step"] == "quantize")
    assert "computed, not a file" in receipt["saving"]


def test_qat_of_an_onnx_file_is_refused(toy: Path) -> None:
    model, out = toy / "run/artifacts/toy.float32.onnx", toy / "no"
    refused(
        call("compress", model, "--method", "qat", "--task", "toy", "--out", out), "torch model"
    )
    refused(call("compress", model, "--epochs", 2, "--task", "toy", "--out", out), "--epochs")
    assert not out.exists()


def test_sigterm_in_training_then_resume_gives_the_same_bytes(toy: Path, tmp_path: Path) -> None:
    arguments = ("run", toy / "toy.yaml", "--out", tmp_path / "run", "--no-cache")
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    while process.stderr.readline() != "train ...\n":
        assert process.poll() is None
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in err
    assert not list((tmp_path / "run").rglob("*.edgepress-tmp"))
    done = call(*arguments, "-q")
    assert done.code == 0, done.err
    assert tree(tmp_path / "run/artifacts") == tree(toy / "run/artifacts")


def test_a_full_disk_in_a_run_then_space_again(toy: Path, tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))"
    arguments = ("run", toy / "toy.yaml", "--out", tmp_path / "run", "--no-cache", "-q")
    refused(spawn(*arguments, code=limit), "no space left")
    assert not list(tmp_path.rglob("*.edgepress-tmp"))
    assert not list(tmp_path.rglob("artifacts/*"))
    assert call(*arguments).code == 0
    assert tree(tmp_path / "run/artifacts") == tree(toy / "run/artifacts")


FACTORY = """\
import torch

def build():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2))
"""


def test_user_code_is_announced_and_can_be_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    (tmp_path / "users_own_net.py").write_text(FACTORY)
    np.savez(tmp_path / "x.npz", x=np.ones((2, 3), np.float32))
    monkeypatch.chdir(tmp_path)
    arguments = ("export", "users_own_net:build", "--calibration", "x.npz", "--out", "out")
    refused(call(*arguments, "--no-user-code"), "--no-user-code")
    assert not (tmp_path / "out").exists()
    done = call(*arguments)
    assert done.code == 0 and "importing users_own_net:build runs your code" in done.err
    assert (tmp_path / "out/build.float32.tflite").is_file()
