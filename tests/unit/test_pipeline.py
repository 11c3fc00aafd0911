"""The pipeline on a toy: what a run leaves, what is done again and what is not, whose folder it is."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.runtime.errors import LocalDiskFullError, MissingToolError, UsageError
from edgepress.tools.cache import Cache
from edgepress.tools.inputs import Inputs
from edgepress.tools.pipeline import RunResult, run_recipe
from edgepress.tools.plan import make_plan
from edgepress.tools.recipe import load_recipe
from edgepress.tools.recipe_records import Recipe
from support.recipes import toy, write

ALL = "computed"


def origins(result: RunResult) -> dict[str, str]:
    return {step.name: step.origin for step in result.steps}


def artifacts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "artifacts").iterdir())}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, Path]:
    """A finished run of the toy recipe and its cache; tests copy the folder before they change it."""
    base = tmp_path_factory.mktemp("finished")
    recipe = toy(base)
    result = run_recipe(recipe, base / "run", cache=Cache(base / "cache"))
    assert result.exit_code == 0 and set(origins(result).values()) == {ALL}
    return recipe, base / "run", base / "cache"


@pytest.fixture
def run(finished: tuple[Recipe, Path, Path], tmp_path: Path) -> tuple[Recipe, Path]:
    import shutil

    shutil.copytree(finished[1], tmp_path / "run")
    return finished[0], tmp_path / "run"


# ------------------------------------------------------------------- what a run leaves


def test_a_run_leaves_all_files_and_nothing_half_written(run: tuple[Recipe, Path]) -> None:
    _, out = run
    names = {p.name for p in (out / "artifacts").iterdir()}
    assert names == {f"toy.{p}.{f}" for p in ("float32", "int8") for f in ("onnx", "tflite")}
    for name in (
        "recipe.yaml",
        "manifest.json",
        "report.json",
        "report.md",
        "report.html",
        "verdicts.json",
    ):
        assert (out / name).stat().st_size > 0
    assert not [p for p in out.rglob("*") if "tmp" in p.name or "checkpoint" in p.name]
    for step in (out / "steps").iterdir():
        assert json.loads((step / "receipt.json").read_text())["step"] == step.name[3:]


def test_the_manifest_names_every_input(run: tuple[Recipe, Path]) -> None:
    manifest = json.loads((run[1] / "manifest.json").read_text())
    assert manifest["finished"] and manifest["seed"] == 0 and manifest["threads"] == 1
    assert set(manifest["inputs"]) == {"task"}
    assert {"torch", "onnx", "numpy", "edgepress"} <= set(manifest["packages"])
    assert len(manifest["steps"]) == len(make_plan(run[0]))


def test_files_carry_labels_and_origin_but_no_time_or_path(run: tuple[Recipe, Path]) -> None:
    model = onnx.load(run[1] / "artifacts" / "toy.int8.onnx")
    metadata = json.loads({p.key: p.value for p in model.metadata_props}["edgepress"])
    assert metadata["precision"] == "int8" and metadata["task"] == "toy" and metadata["labels"]
    assert len(metadata["source_sha256"]) == 64
    for data in artifacts(run[1]).values():
        assert str(run[1]).encode() not in data


def test_decisions_are_taken_on_validation_and_accuracies_on_test(run: tuple[Recipe, Path]) -> None:
    receipt = json.loads((run[1] / "steps/03-quantize/receipt.json").read_text())
    assert {s["split"] for s in receipt["score_before"] + receipt["score_after"]} == {
        "toy/validation"
    }
    rows = json.loads((run[1] / "steps/06-evaluate/scores.json").read_text())
    assert {row["score"]["split"] for row in rows} == {"toy/test"}
    files = {(row["artifact"], row["engine"]) for row in rows}
    assert ("", "onnxruntime") in files and ("toy.int8.tflite", "tflite") in files


# ------------------------------------------------------------------- taken up again


def test_a_finished_run_does_nothing_again(run: tuple[Recipe, Path]) -> None:
    recipe, out = run
    before = artifacts(out)
    result = run_recipe(recipe, out)
    assert origins(result).pop("budget") == ALL
    assert {v for k, v in origins(result).items() if k != "budget"} == {"kept"}
    assert artifacts(out) == before


@pytest.mark.parametrize(
    "damaged",
    ["steps/01-train/weights.npz", "steps/03-quantize/int8.onnx", "artifacts/toy.int8.tflite"],
)
@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_output_is_made_again(
    run: tuple[Recipe, Path], damaged: str, damage: str
) -> None:
    recipe, out = run
    before = artifacts(out)
    data = (out / damaged).read_bytes()
    (out / damaged).unlink() if damage == "remove" else (out / damaged).write_bytes(
        data[:-1] + b"?"
    )
    result = run_recipe(recipe, out)
    made = {name for name, origin in origins(result).items() if origin == ALL} - {"budget"}
    step = "export" if damaged.startswith("artifacts") else damaged.split("/")[1][3:]
    assert made == {step}
    assert artifacts(out) == before


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"key": 1}'])
def test_a_damaged_step_record_means_the_step_is_not_done(
    run: tuple[Recipe, Path], text: str
) -> None:
    recipe, out = run
    (out / "steps/04-export/step.json").write_text(text)
    assert origins(run_recipe(recipe, out))["export"] == ALL


def test_only_the_first_steps_and_then_the_rest(tmp_path: Path) -> None:
    recipe = toy(tmp_path)
    first = run_recipe(recipe, tmp_path / "run", until="hub")
    assert list(origins(first)) == ["train", "hub"] and not first.reports
    assert not json.loads((tmp_path / "run/manifest.json").read_text())["finished"]
    rest = run_recipe(recipe, tmp_path / "run")
    assert origins(rest)["train"] == "kept" and rest.reports
    with pytest.raises(UsageError, match="no step 'prune'"):
        run_recipe(recipe, tmp_path / "run", until="prune")


def test_a_finished_run_comes_out_of_the_cache(
    finished: tuple[Recipe, Path, Path], tmp_path: Path
) -> None:
    recipe, out, cache = finished
    result = run_recipe(recipe, tmp_path / "again", cache=Cache(cache))
    assert {v for k, v in origins(result).items() if k != "budget"} == {"cached"}
    assert artifacts(tmp_path / "again") == artifacts(out)


def test_without_a_cache_the_files_are_the_same(
    finished: tuple[Recipe, Path, Path], tmp_path: Path
) -> None:
    recipe, out, _ = finished
    assert set(origins(run_recipe(recipe, tmp_path / "again")).values()) == {ALL}
    assert artifacts(tmp_path / "again") == artifacts(out)


def test_a_changed_limit_trains_nothing_again(
    finished: tuple[Recipe, Path, Path], tmp_path: Path
) -> None:
    recipe = toy(tmp_path, "budget.file_bytes=10")
    result = run_recipe(recipe, tmp_path / "run", cache=Cache(finished[2]))
    assert origins(result)["train"] == "cached"
    assert result.exit_code == 1 and "file_bytes" in result.failures[0].what
    assert result.reports  # a failed budget is reported, too


# ------------------------------------------------------------------- whose folder it is


def test_another_recipe_is_refused_and_replaced_by_force(
    run: tuple[Recipe, Path], tmp_path: Path
) -> None:
    _, out = run
    other = toy(tmp_path, "seed=1", "name=other")
    before = artifacts(out)
    with pytest.raises(UsageError, match="another recipe"):
        run_recipe(other, out)
    assert artifacts(out) == before
    (out / "mine.txt").write_text("stays")
    run_recipe(other, out, force=True, until="export")
    assert {name.split(".")[0] for name in artifacts(out)} == {"other"}
    assert (out / "mine.txt").read_text() == "stays" and not (out / "report.html").exists()


def test_a_foreign_folder_or_file_is_refused(tmp_path: Path) -> None:
    recipe = toy(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"holds no run \(thesis.tex"):
        run_recipe(recipe, tmp_path / "docs")
    with pytest.raises(UsageError, match="this is a file"):
        run_recipe(recipe, tmp_path / "docs" / "thesis.tex")
    assert sorted(p.name for p in (tmp_path / "docs").iterdir()) == ["thesis.tex"]


def test_resume_false_refuses_a_run(run: tuple[Recipe, Path]) -> None:
    with pytest.raises(UsageError, match="holds a run"):
        run_recipe(run[0], run[1], resume=False)


def test_two_runs_cannot_share_a_folder(run: tuple[Recipe, Path]) -> None:
    recipe, out = run
    with (out / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another run is working"):
            run_recipe(recipe, out)


def test_steps_of_an_older_plan_go(run: tuple[Recipe, Path]) -> None:
    recipe, out = run
    stale = out / "steps" / "09-other"
    stale.mkdir()
    (out / "artifacts" / "stale.onnx").write_bytes(b"x")
    record = {"name": "other", "key": "k", "outputs": {"artifacts/stale.onnx": "0"}}
    (stale / "step.json").write_text(json.dumps(record))
    run_recipe(recipe, out)
    assert not stale.exists() and not (out / "artifacts" / "stale.onnx").exists()


# ------------------------------------------------------------------- what goes wrong


def test_a_failed_proof_names_the_layer_measures_nothing_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgepress.tools.steps import export

    right = export.file_bytes

    def wrong(model: Any, precision: str, fmt: str, *rest: Any) -> tuple[bytes, tuple[str, ...]]:
        if (precision, fmt) == ("float32", "tflite"):
            model = onnx.ModelProto.FromString(model.SerializeToString())
            weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
            values = onnx.numpy_helper.to_array(weight) * np.float32(1.5)
            weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return right(model, precision, fmt, *rest)

    monkeypatch.setattr(export, "file_bytes", wrong)
    recipe = toy(tmp_path, "profile={processes: 1}")
    result = run_recipe(recipe, tmp_path / "run")
    assert result.exit_code == 1 and origins(result)["profile"] == "left out"
    assert "toy.float32.tflite" in result.failures[0].what
    assert "the first layer that departs is" in result.failures[0].what
    assert json.loads((tmp_path / "run/report.json").read_text())
    again = run_recipe(recipe, tmp_path / "run")
    assert again.exit_code == 1 and origins(again)["verify"] == "kept"


def test_a_full_disk_ends_in_one_message_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    recipe, right = toy(tmp_path), Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "int8.tflite" in path.name:
            right(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return right(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LocalDiskFullError) as caught:
        run_recipe(recipe, tmp_path / "run")
    assert caught.value.exit_code == 2
    assert not [p for p in (tmp_path / "run").rglob("*") if "int8.tflite" in p.name]
    monkeypatch.setattr(Path, "write_bytes", right)
    result = run_recipe(recipe, tmp_path / "run")
    assert origins(result)["quantize"] == "kept" and result.exit_code == 0


def test_an_engine_asked_for_and_missing_is_said_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgepress.tools import engines

    def missing(engine: Any) -> Any:
        raise MissingToolError(f"the engine {engine.name} is not usable")

    monkeypatch.setattr(engines, "import_engine", missing)
    with pytest.raises(MissingToolError, match="litert"):
        run_recipe(toy(tmp_path, "verify.engines=[litert]"), tmp_path / "run")
    assert not (tmp_path / "run" / "steps").exists()


def test_a_users_network_and_task_run_through(tmp_path: Path) -> None:
    write(
        tmp_path,
        "import dataclasses\n"
        "from edgepress.compress import datasets, zoo\n"
        "def net(width):\n    return zoo.build('toy_cnn')\n"
        "def data():\n    return dataclasses.replace(datasets.task('toy'), name='mine', data_sha256='')\n",
        "pipeline_nets.py",
    )
    recipe = toy(
        tmp_path, "model=pipeline_nets:net", "task=pipeline_nets:data", "model_options={width: 2}"
    )
    result = run_recipe(recipe, tmp_path / "run")
    assert result.exit_code == 0
    inputs = json.loads((tmp_path / "run/manifest.json").read_text())["inputs"]
    assert set(inputs) == {"model", "task"}


def test_options_of_a_network_are_added_to_what_the_task_needs(tmp_path: Path) -> None:
    from torch import nn

    recipe = toy(tmp_path, "model=har_cnn", "task=watch-har", "model_options={classes: 3}")
    layers = [m for m in Inputs(recipe).build().modules() if isinstance(m, nn.Linear)]
    assert layers[-1].out_features == 3


def test_building_leaves_the_callers_randomness_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    right = torch.rand(1)
    torch.manual_seed(5)
    first = Inputs(toy(tmp_path)).build().state_dict()
    assert torch.rand(1) == right
    second, third = (Inputs(toy(tmp_path, f"seed={seed}")).build().state_dict() for seed in (0, 1))
    same = [all(torch.equal(first[k], other[k]) for k in first) for other in (second, third)]
    assert same == [True, False]


def test_user_code_can_be_forbidden(tmp_path: Path) -> None:
    write(tmp_path, "raise SystemExit('ran')\n", "nets.py")
    recipe = toy(tmp_path, "model=nets:build")
    with pytest.raises(UsageError, match="no-user-code"):
        run_recipe(recipe, tmp_path / "run", allow_user_code=False)


def test_the_resolved_recipe_of_a_run_takes_the_run_up_again(run: tuple[Recipe, Path]) -> None:
    _, out = run
    again = load_recipe(out / "recipe.yaml")
    assert again == run[0]
    assert origins(run_recipe(again, out))["train"] == "kept"


def test_a_leftover_checkpoint_of_a_finished_step_goes(run: tuple[Recipe, Path]) -> None:
    recipe, out = run
    (out / "steps/01-train/checkpoint.pt").write_bytes(
        b"left by a kill after the record was written"
    )
    assert origins(run_recipe(recipe, out))["train"] == "kept"
    assert not (out / "steps/01-train/checkpoint.pt").exists()
