"""Gates on exported C: who serves what, the manifest's numbers, scores, what is refused. Nothing is emulated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgepress.compress.datasets import task
from edgepress.devices import board_adb_c
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.runtime.artifact import model_sha256
from edgepress.runtime.c_folder import MANIFEST
from edgepress.runtime.errors import InputError, UsageError
from edgepress.tools.gate import measure
from edgepress.tools.gate.board_config import Board
from edgepress.tools.gate.board_measurer import BoardTimer
from edgepress.tools.gate.config import load_config
from edgepress.tools.gate.folder_measurers import ENGINE, FolderCounter, FolderFacts
from edgepress.tools.gate.measure import Job, find_measurer, measurement_key, take
from edgepress.tools.gate.measurers import FileFacts, measurers_of
from edgepress.tools.gate.records import Judgement
from edgepress.tools.gate.run import Settings, run_gates
from edgepress.tools.scoring import score_file
from onnx import helper
from support import c_models, ptq
from support.gates import write_config
from support.lite_files import tiny_dense
from support.lowering import make_hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """net.c, packed for any core."""
    return c_models.write(ptq.quantized_hub("residual"), tmp_path / "net.c")


def edit(folder: Path, **changes: int) -> None:
    """Other numbers in the manifest."""
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def judged(folder: Path, gate: str) -> list[Judgement]:
    path = write_config(folder.parent, f"gates:\n  - {{model: net.c, {gate}}}\n")
    return list(run_gates(load_config(path), Settings()).judgements)


def job(path: Path, **changes: object) -> Job:
    values: dict[str, object] = {"device": "stm32l4r5", "engine": None, "threads": 1}
    return Job(path, **{**values, "metrics": ("instructions",), **changes})  # type: ignore[arg-type]


def test_a_gate_without_metrics_holds_what_is_exact(folder: Path) -> None:
    names = {}
    for device in ("host", "stm32l4r5", "pi5"):
        path = write_config(folder.parent, f"gates:\n  - {{model: net.c, device: {device}}}\n")
        names[device] = [x.metric for x in load_config(path).gates[0].budget.limits]
    manifest = ["macs", "weight_bytes", "arena_bytes"]
    assert names["host"] == manifest
    assert names["pi5"] == [*manifest, "instructions"]
    firmware = ["instructions", "flash_bytes", "ram_bytes", "stack_bytes"]
    assert names["stm32l4r5"] == [*manifest, *firmware]


def test_numbers_of_the_manifest_need_no_device(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    found = judged(folder, "metrics: {macs: {max: 1}, weight_bytes: {}, arena_bytes: {max: 1MiB}}")
    entries = [j.candidate for j in found]
    assert [j.verdict.word for j in found] == ["fail", "new", "pass"]
    assert all(e is not None and (e.device, e.evidence) == ("any", "computed") for e in entries)
    assert entries[0] is not None and entries[1] is not None and entries[2] is not None
    assert entries[0].location == sum(call["macs"] for call in manifest["calls"]) > 0
    assert entries[1].location == manifest["weights_bytes"] > 0
    assert entries[2].location == manifest["arena_bytes"] > 0
    assert entries[2].model_sha256 == model_sha256(folder)


def test_an_old_folder_is_measured_beside_the_new_one(folder: Path) -> None:
    old = c_models.write(ptq.quantized_hub("residual"), folder.parent / "old" / "net.c")
    arena = json.loads((folder / MANIFEST).read_text())["arena_bytes"]
    edit(folder, arena_bytes=arena + 1)
    path = write_config(
        folder.parent,
        "baseline: {models: old}\ngates:\n  - {model: net.c, metrics: {arena_bytes: {}, macs: {}}}\n",
    )
    arena_now, macs = run_gates(load_config(path), Settings()).judgements
    assert (arena_now.verdict.word, macs.verdict.word) == ("fail", "pass")
    assert arena_now.baseline is not None and arena_now.baseline.model_sha256 == model_sha256(old)


def test_a_named_old_folder_that_is_not_there_is_told(folder: Path) -> None:
    (found,) = judged(folder, "baseline: gone.c, metrics: {macs: {max_regression: 0%}}")
    assert found.verdict.word == "error" and "baseline file is not there" in found.verdict.reason


def test_the_key_of_a_kept_number_changes_with_any_of_its_files(folder: Path) -> None:
    before = measurement_key(FolderFacts(), job(folder))
    (folder / "notes.txt").write_text("no part of the model")
    assert measurement_key(FolderFacts(), job(folder)) == before
    source = folder / "model.c"
    source.write_text(source.read_text() + "\n")
    assert measurement_key(FolderFacts(), job(folder)) != before


def test_a_number_of_other_code_is_not_taken_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measurement_key(FolderFacts(), job(folder))
    monkeypatch.setattr(measure, "own_source_sha256", lambda: "edited")
    assert measurement_key(FolderFacts(), job(folder)) != before


def test_the_score_is_that_of_the_compiled_model(tmp_path: Path) -> None:
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
    folder = c_models.write(hub, tmp_path / "net.c")
    expected = score_file(tmp_path / "net.onnx", subset, subset.load("test").spread(60)).value
    scored = "task: watch-har-subset, samples: 60, metrics: {accuracy: {min: 99%}}"
    (found,) = judged(folder, scored)
    assert found.candidate is not None and found.candidate.location == expected > 0
    assert (found.verdict.word, found.candidate.engine) == ("fail", "native")
    assert (found.candidate.device, found.candidate.evidence) == ("host", "host")


@pytest.mark.parametrize(
    ("device", "metric"),
    [
        *(("pi5", m) for m in ("instructions", "instructions_load")),
        *(("stm32l4r5", m) for m in ("instructions", "flash_bytes", "ram_bytes", "stack_bytes")),
        ("apollo510", "stack_bound_bytes"),
    ],
)
def test_what_is_counted_where(folder: Path, device: str, metric: str) -> None:
    assert isinstance(find_measurer(measurers_of(folder), device, metric), FolderCounter)


@pytest.mark.parametrize(
    ("device", "metric"),
    [
        ("pi5", "flash_bytes"),
        ("host", "instructions"),
        ("stm32l4r5", "latency_ms"),
        ("host", "parameters"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_can(folder: Path, device: str, metric: str) -> None:
    with pytest.raises(UsageError, match=f"{metric} cannot be measured on {device}") as told:
        find_measurer(measurers_of(folder), device, metric)
    assert "macs" in str(told.value)


def test_files_keep_their_measurers(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_dense())
    assert isinstance(find_measurer(measurers_of(path), "pi5", "file_bytes"), FileFacts)
    with pytest.raises(UsageError, match="flash_bytes cannot be measured"):
        find_measurer(measurers_of(path), "stm32l4r5", "flash_bytes")


def test_a_folder_without_a_manifest_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "net.c").mkdir()
    (found,) = judged(tmp_path / "net.c", "metrics: {file_bytes: {}}")
    assert found.verdict.word == "error" and MANIFEST in found.verdict.reason
    with pytest.raises(InputError, match="there is no such file"):
        take(FolderFacts(), job(tmp_path / "gone"), 0, 0, None)


@pytest.mark.parametrize(
    ("key", "value", "words"), [("engine", "litert", "native"), ("threads", 2, "one thread")]
)
def test_only_the_native_engine_in_one_thread(
    folder: Path, key: str, value: object, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        FolderCounter().measure(job(folder, **{key: value}), 0)


def test_over_adb_a_folder_is_its_own_program(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(path: Path, device: str, processes: int, *_: object, **__: object) -> Measurement:
        assert (path, device, processes) == (folder, "adb://W7", 1)
        values = {"latency_ms": 2.0}
        return Measurement("a" * 64, Evidence.MEASURED, device, {}, ENGINE, "gcc", 1, values)

    monkeypatch.setattr(board_adb_c, "measure_adb_c", measured)
    told = BoardTimer({"watch": Board("adb://W7")}).measure(job(folder, device="watch"), 0)
    assert (told.device, told.values) == ("watch", {"latency_ms": 2.0})
