"""A recipe with the binarize pass, from float training to packed files that are proven equal to the torch model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from edgepress.devices.layers import layer_table
from edgepress.tools.cache import Cache
from edgepress.tools.pipeline import RunResult, run_recipe
from edgepress.tools.recipe import load_recipe
from edgepress.tools.report.build import build_report
from support.recipes import write

RECIPE = """\
name: bits
model: toy_cnn
task: toy
passes:
  - train: {epochs: 2, batch_size: 32}
  - binarize: {epochs: 3, batch_size: 32, last: true, first_stage: 0.3}
  - quantize: {observer: minmax, calibration_samples: 16}
export: {formats: [onnx, qonnx, tflite], precisions: [float32, weight-only, int8], binary: [int8, lce]}
verify: {samples: 8}
evaluate: {samples: 20}
profile: null
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    base = tmp_path_factory.mktemp("bits")
    recipe = load_recipe(write(base, RECIPE))
    return base / "run", run_recipe(recipe, base / "run", cache=Cache(base / "cache"))


def _receipt(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "steps/03-binarize/receipt.json").read_text())
    return found


def test_the_files_are_proven_against_the_binary_torch_model(
    finished: tuple[Path, RunResult],
) -> None:
    run, result = finished
    assert result.exit_code == 0
    names = {p.name for p in (run / "artifacts").iterdir()}
    kinds = ("onnx", "qonnx.onnx", "tflite", "lce.tflite")
    assert names == {f"bits.{p}.{k}" for p in ("float32", "weight-only", "int8") for k in kinds}
    report = json.loads((run / "steps/06-verify/parity.json").read_text())
    rows = [r for r in report["outputs"] if r["against"] == "torch"]
    assert (
        report["passed"]
        and rows
        and all(r["outcome"] == "pass" for r in rows if r["outcome"] != "reported")
    )


def test_every_kind_of_file_is_proven_and_scored(finished: tuple[Path, RunResult]) -> None:
    report = json.loads((finished[0] / "steps/06-verify/parity.json").read_text())
    proven = {(r["candidate"], r["engine"]) for r in report["outputs"] if r["outcome"] == "pass"}
    assert ("bits.float32.lce.tflite", "lce-reference") in proven
    assert ("bits.float32.qonnx.onnx", "onnxruntime") in proven
    rows = json.loads((finished[0] / "steps/07-evaluate/scores.json").read_text())
    scores = {r["artifact"]: r["score"]["value"] for r in rows}
    assert scores["bits.float32.lce.tflite"] == scores["bits.float32.onnx"]
    assert not any("qonnx" in name for name in scores)  # it holds the same network


def test_one_bit_weights_take_one_bit_in_lce_files(finished: tuple[Path, RunResult]) -> None:
    artifacts = finished[0] / "artifacts"
    table = layer_table(artifacts / "bits.float32.lce.tflite")
    assert table.binary_macs == layer_table(artifacts / "bits.float32.onnx").binary_macs > 0
    plain = layer_table(artifacts / "bits.float32.tflite")
    assert table.weight_bytes < plain.weight_bytes and plain.binary_macs == 0
    report = build_report(finished[0])
    kinds = {a["name"]: (a["precision"], a["format"]) for a in report["artifacts"]}
    assert kinds["bits.int8.lce.tflite"] == ("int8", "lce")
    assert kinds["bits.weight-only.qonnx.onnx"] == ("weight-only", "qonnx")


def test_the_onnx_file_holds_packed_functions(finished: tuple[Path, RunResult]) -> None:
    model = onnx.load(finished[0] / "artifacts" / "bits.float32.onnx")
    assert any(n.domain == "edgepress" for n in model.graph.node) and not model.graph.value_info
    assert {f.domain for f in model.functions} == {"edgepress"}


def test_int8_takes_what_stayed_real(finished: tuple[Path, RunResult]) -> None:
    model = onnx.load(finished[0] / "artifacts" / "bits.int8.onnx")
    kinds = [n.op_type for n in model.graph.node]
    assert "BinaryGemm" in kinds and "QuantizeLinear" in kinds
    packed = {n.input[1] for n in model.graph.node if n.op_type.startswith("Binary")}
    large = [t for t in model.graph.initializer if len(t.dims) == 4 and t.name not in packed]
    assert large and {t.data_type for t in large} == {onnx.TensorProto.INT8}


def test_the_receipt_says_what_became_binary_and_what_it_takes(
    finished: tuple[Path, RunResult],
) -> None:
    receipt = _receipt(finished[0])
    notes = {row["name"]: row["note"] for row in receipt["layers"]}
    assert "binary" in notes.values() and "real: first layer" in notes.values()
    shares = next(n for n in receipt["notes"] if n.startswith("stored numbers by width"))
    assert "of 1 bit (" in shares and "of 32 bit (" in shares and "MACs are binary" in shares
    assert any("differs from the simulation in 0 of" in n for n in receipt["notes"])
    binary = [r["values"] for r in receipt["layers"] if r["note"] == "binary"]
    assert all(0 <= v["positive_weights"] <= 1 and "clipped_weights" in v for v in binary)
    assert receipt["after"]["packed_weight_bytes"] < receipt["before"]["packed_weight_bytes"]
    assert not [p for p in finished[0].rglob("checkpoint*")]


def test_the_loss_is_told_against_the_float_model(finished: tuple[Path, RunResult]) -> None:
    rows = json.loads((finished[0] / "steps/07-evaluate/scores.json").read_text())
    (base,) = [r for r in rows if not r["artifact"]]
    for row in rows:
        if row["artifact"]:
            assert row["loss"] == pytest.approx(base["score"]["value"] - row["score"]["value"])


def test_the_same_again(finished: tuple[Path, RunResult], tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, RECIPE))
    run_recipe(recipe, tmp_path / "run", cache=Cache(tmp_path / "cache"))
    for path in (finished[0] / "artifacts").iterdir():
        assert (tmp_path / "run" / "artifacts" / path.name).read_bytes() == path.read_bytes()
