"""The pipeline on a toy: what a run leaves, what is done again and what is not, what the keys cover."""

from __future__ import annotations

import dataclasses
import fcntl
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.compress.passes import PASSES
from edgepress.runtime.errors import InputError, LocalDiskFullError, MissingToolError, UsageError
from edgepress.tools import plan
from edgepress.tools.cache import Cache
from edgepress.tools.digest import OWN_SOURCE, digest, factory_sha256
from edgepress.tools.inputs import Inputs, read_samples, spread, usable_engines
from edgepress.tools.pipeline import RunResult, run_recipe
from edgepress.tools.plan import describe_plan, make_plan, step_keys
from edgepress.tools.recipe import load_recipe, recipe_yaml
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

    def wrong(model: Any, precision: str, fmt: str, *rest: Any) -> bytes:
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
    from edgepress.tools import inputs

    def missing(engine: Any) -> Any:
        raise MissingToolError(f"the engine {engine.name} is not usable")

    monkeypatch.setattr(inputs, "import_engine", missing)
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
        "my_nets.py",
    )
    recipe = toy(tmp_path, "model=my_nets:net", "task=my_nets:data", "model_options={width: 2}")
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


# ------------------------------------------------------------------- models from outside


def onnx_recipe(folder: Path, *lines: str) -> Recipe:
    text = "name: mine\nmodel: toy.onnx\nprofile: null\nverify: {samples: 4}\n" + "\n".join(lines)
    return load_recipe(write(folder, text, "onnx.yaml"))


@pytest.fixture
def user_onnx(finished: tuple[Recipe, Path, Path], tmp_path: Path) -> Path:
    path = tmp_path / "toy.onnx"
    path.write_bytes((finished[1] / "artifacts" / "toy.float32.onnx").read_bytes())
    return path


def test_an_onnx_file_with_calibration_inputs(user_onnx: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0, 255, (12, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", input=values)
    recipe = onnx_recipe(
        tmp_path, "calibration: inputs.npz", "passes: [{quantize: {observer: minmax}}]"
    )
    result = run_recipe(recipe, tmp_path / "run")
    assert result.exit_code == 0 and "evaluate" not in origins(result)
    assert len(result.artifacts) == 4


def test_an_onnx_file_that_holds_its_normalisation_gets_no_second_one(
    user_onnx: Path, tmp_path: Path, finished: tuple[Recipe, Path, Path]
) -> None:
    recipe = onnx_recipe(
        tmp_path, "task: toy", "export: {precisions: [float32]}", "evaluate: {samples: 20}"
    )
    run_recipe(recipe, tmp_path / "run")
    mine = json.loads((tmp_path / "run/steps/04-evaluate/scores.json").read_text())
    theirs = json.loads((finished[1] / "steps/06-evaluate/scores.json").read_text())
    assert mine[0]["score"]["value"] == theirs[0]["score"]["value"]


def test_an_onnx_file_of_another_shape_is_refused(user_onnx: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", input=np.zeros((4, 1, 9, 8), np.float32))
    recipe = onnx_recipe(tmp_path, "calibration: inputs.npz", "export: {precisions: [float32]}")
    with pytest.raises(InputError, match="takes 1x1x8x8, the calibration file gives 1x1x9x8"):
        run_recipe(recipe, tmp_path / "run")


def test_a_quantized_onnx_file_is_exported_as_it_is_and_not_quantized_again(
    finished: tuple[Recipe, Path, Path], tmp_path: Path
) -> None:
    data = (finished[1] / "artifacts" / "toy.int8.onnx").read_bytes()
    (tmp_path / "toy.onnx").write_bytes(data)
    common = ("task: toy", "export: {precisions: [int8]}", "evaluate: {samples: 20}")
    result = run_recipe(onnx_recipe(tmp_path, *common), tmp_path / "run")
    assert result.exit_code == 0
    with pytest.raises(InputError, match="quantized already"):
        run_recipe(onnx_recipe(tmp_path, *common, "passes: [quantize]"), tmp_path / "other")
    with pytest.raises(InputError, match="cannot be exported as float32"):
        floats = onnx_recipe(tmp_path, "task: toy", "export: {precisions: [float32]}")
        run_recipe(floats, tmp_path / "third")


def test_a_float_onnx_file_is_not_int8(user_onnx: Path, tmp_path: Path) -> None:
    recipe = onnx_recipe(tmp_path, "task: toy", "export: {precisions: [int8]}")
    with pytest.raises(InputError, match="no pass makes it int8"):
        run_recipe(recipe, tmp_path / "run")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "holds no samples"),
        ({"a": np.zeros((0, 1))}, "holds no samples"),
        ({"a": np.full((2, 1), np.nan)}, "NaN"),
        ({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))}, "different length"),
        ({"a": np.array(["x", "y"])}, "not numbers"),
        ({"a": np.array([{}, {}], dtype=object)}, "not a readable"),
    ],
)
def test_calibration_files_that_are_refused(
    tmp_path: Path, arrays: dict[str, Any], said: str
) -> None:
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(InputError, match=said):
        read_samples(tmp_path / "c.npz")


def test_a_truncated_calibration_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", a=np.zeros((50, 10)))
    data = (tmp_path / "c.npz").read_bytes()
    for length in (0, 3, 100, len(data) - 30):
        (tmp_path / "c.npz").write_bytes(data[:length])
        with pytest.raises(InputError):
            read_samples(tmp_path / "c.npz")


# ------------------------------------------------------------------- keys


def keys_of(recipe: Recipe) -> dict[str, str]:
    return step_keys(make_plan(recipe), Inputs(recipe))


def _other(value: Any, metadata: Any) -> Any:
    """Another valid value of the same kind; None where there is none to make up."""
    choices = metadata.get("choices")
    if isinstance(value, bool):
        return not value
    if choices:
        return choices[-1] if value != choices[-1] else choices[0]
    if isinstance(value, int | float):
        return (metadata.get("le") or metadata.get("lt") or 2 * value + 1) - type(value)(0.3)
    return None


def _changes() -> list[tuple[str, str]]:
    """Every option of every pass with another value, as overrides."""
    found = []
    for name in ("train", "quantize"):
        for field in dataclasses.fields(PASSES[name].options):
            other = _other(field.default, field.metadata)
            if field.name == "input_range":
                other = [0, 9]
            if field.name == "keep_float":
                other = ["conv"]
            if field.name == "teacher":
                other = None  # stands in SECTIONS
            if other is not None:
                found.append((f"passes.{name}.{field.name}", json.dumps(other)))
    return found


SECTIONS = [
    ("name", "other"),
    ("model", "har_cnn"),
    ("model_options", "{channels: 2}"),
    ("task", "watch-har"),
    ("normalisation", "none"),
    ("seed", "1"),
    ("threads", "2"),
    ("device", "cuda"),
    ("passes.train.teacher", "{model: toy_cnn}"),
    ("export.formats", "[onnx]"),
    ("export.precisions", "[int8]"),
    ("export.io", "float"),
    ("export.io_layout", "nchw"),
    ("verify.samples", "5"),
    ("verify.split", "validation"),
    ("verify.layers", "false"),
    ("verify.engines", "[tflite]"),
    ("evaluate.splits", "[test]"),
    ("evaluate.samples", "21"),
    ("evaluate.engines", "[tflite]"),
    ("profile", "{processes: 2}"),
    ("budget.accuracy", "1"),
    ("budget.accuracy_drop", "1"),
    ("budget.file_bytes", "1"),
]


@pytest.mark.parametrize(("field", "value"), SECTIONS + _changes(), ids=lambda value: str(value))
def test_the_keys_change_when_any_field_of_the_recipe_changes(
    tmp_path: Path, field: str, value: str
) -> None:
    recipe, other = toy(tmp_path), toy(tmp_path, f"{field}={value}")
    assert recipe_yaml(recipe) != recipe_yaml(other)
    assert set(keys_of(recipe).values()) != set(keys_of(other).values())


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("budget.file_bytes", "1", ["train", "hub", "quantize", "export", "verify", "evaluate"]),
        ("verify.samples", "5", ["train", "hub", "quantize", "export", "evaluate", "budget"]),
        ("export.io_layout", "nchw", ["train", "hub", "quantize"]),
        ("passes.quantize.observer", "mse", ["train", "hub"]),
        ("seed", "1", []),
        ("threads", "2", []),
    ],
)
def test_what_does_not_matter_for_a_step_leaves_its_key(
    tmp_path: Path, field: str, value: str, same: list[str]
) -> None:
    before, after = keys_of(toy(tmp_path)), keys_of(toy(tmp_path, f"{field}={value}"))
    assert [folder[3:] for folder in before if before[folder] == after[folder]] == same


def test_keys_follow_from_the_recipe_alone(tmp_path: Path) -> None:
    assert keys_of(toy(tmp_path)) == keys_of(toy(tmp_path))


def test_every_step_hangs_on_the_one_before(tmp_path: Path) -> None:
    recipe = toy(tmp_path)
    planned = make_plan(recipe)
    roles = {
        p.step.name: {role: folder for role, (folder, _) in p.sources.items()} for p in planned
    }
    assert roles["hub"] == {"weights": "01-train"}
    assert roles["export"] == {"float_hub": "02-hub", "int8_hub": "03-quantize"}
    assert roles["budget"] == {"artifacts": "04-export", "scores": "06-evaluate"}


@pytest.mark.parametrize("package", ["torch", "onnx", "numpy", "edgepress", "python"])
def test_the_keys_change_with_every_package_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    recipe = toy(tmp_path)
    before = keys_of(recipe)
    versions = {**plan.package_versions(), package: "0.0.1"}
    monkeypatch.setattr(plan, "package_versions", lambda: versions)
    after = keys_of(recipe)
    assert not set(before.values()) & set(after.values())


def test_the_keys_change_with_our_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys_of(toy(tmp_path))
    monkeypatch.setattr(plan, "own_source_sha256", lambda: "edited")
    assert not set(before.values()) & set(keys_of(toy(tmp_path)).values())


def test_our_own_code_is_that_of_every_room_and_of_the_steps(tmp_path: Path) -> None:
    root = Path(plan.__file__).parent.parent
    for part in OWN_SOURCE:
        assert (root / part).exists(), part
    assert {p.parent.name for p in root.glob("*/__init__.py")} - {"tests"} <= {*OWN_SOURCE, "tools"}


def test_the_keys_change_with_every_byte_of_an_input(tmp_path: Path, user_onnx: Path) -> None:
    np.savez(tmp_path / "inputs.npz", input=np.zeros((4, 1, 8, 8), np.float32))
    recipe = onnx_recipe(tmp_path, "calibration: inputs.npz", "passes: [quantize]")
    seen = {json.dumps(keys_of(recipe))}
    rng, changes = np.random.default_rng(0), 0
    for path in (tmp_path / "inputs.npz", user_onnx):
        data = path.read_bytes()
        # an ONNX file must stay readable: a byte of its metadata at the end is changed
        places = rng.integers(0, len(data), 6) if path != user_onnx else [len(data) - 30]
        for place in places:
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            seen.add(json.dumps(keys_of(recipe)))
        path.write_bytes(data)
        changes += len(set(places))
    assert len(seen) == 1 + changes


def test_weights_count_by_content_not_by_name(tmp_path: Path) -> None:
    recipe = toy(tmp_path, f"weights={tmp_path / 'w.npz'}")
    (tmp_path / "w.npz").write_bytes(b"one")
    first = keys_of(recipe)
    (tmp_path / "w.npz").write_bytes(b"two")
    assert not set(first.values()) & set(keys_of(recipe).values())
    with pytest.raises(InputError, match="cannot read the weights"):
        keys_of(toy(tmp_path, f"weights={tmp_path / 'none.npz'}"))


def test_a_factory_counts_with_everything_it_imports_from_its_folder(tmp_path: Path) -> None:
    write(
        tmp_path, "def build():\n    from parts import layers\n    return layers.net()\n", "nets.py"
    )
    (tmp_path / "parts").mkdir()
    for name, text in (
        ("__init__", ""),
        ("layers", "from . import deep\n"),
        ("deep", "x = 1\n"),
        ("idle", ""),
    ):
        write(tmp_path / "parts", text, f"{name}.py")
    seen = [factory_sha256("nets:build", tmp_path)]
    for name in ("deep", "layers", "__init__"):
        path = tmp_path / "parts" / f"{name}.py"
        path.write_text(path.read_text() + "# changed\n")
        seen.append(factory_sha256("nets:build", tmp_path))
    assert len(set(seen)) == 4
    write(tmp_path / "parts", "y = 2\n", "idle.py")  # nobody imports it
    assert factory_sha256("nets:build", tmp_path) == seen[-1]
    assert factory_sha256("nets:other", tmp_path) != seen[-1]


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": (2,)}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


# ------------------------------------------------------------------- small parts


def test_the_plan_in_words(tmp_path: Path) -> None:
    described = describe_plan(toy(tmp_path))
    assert [s["folder"] for s in described["steps"]][:3] == ["01-train", "02-hub", "03-quantize"]
    assert "artifacts/toy.int8.tflite" in described["artifacts"]
    json.dumps(described)


def test_spread_takes_the_first_and_equal_distances() -> None:
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread(range(3), 9) == [0, 1, 2]
    with pytest.raises(InputError):
        spread([], 1)


def test_data_paths_stay_below_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = Inputs(toy(tmp_path), tmp_path)
    assert inputs.path("data:a/b.npz") == tmp_path / "a" / "b.npz"
    for text in ("data:../b", "data:/b"):
        with pytest.raises(UsageError, match="leaves"):
            inputs.path(text)
    monkeypatch.delenv("EDGEPRESS_DATA", raising=False)
    with pytest.raises(UsageError, match="EDGEPRESS_DATA"):
        Inputs(toy(tmp_path)).path("data:b")


def test_usable_engines_are_those_that_run_the_formats() -> None:
    assert set(usable_engines((), ("onnx",))) == {"onnxruntime"}
    assert {"onnxruntime", "litert"} <= set(usable_engines((), ("tflite", "onnx")))
    assert set(usable_engines(("litert",), ("tflite", "onnx"))) == {"litert"}


def test_a_proof_leaves_no_format_out() -> None:
    assert set(usable_engines(("litert",), ("tflite", "onnx"), True)) == {"litert", "onnxruntime"}
