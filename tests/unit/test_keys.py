"""Keys: they change with every input byte, field, version and line of code, and with nothing else."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.compress.passes import PASSES, QuantizeOptions
from edgepress.compress.quantization.plan import PtqConfig
from edgepress.runtime.errors import InputError, UsageError
from edgepress.tools import plan
from edgepress.tools.digest import OWN_SOURCE, digest, factory_sha256, source_files
from edgepress.tools.engines import usable_engines
from edgepress.tools.inputs import Inputs
from edgepress.tools.plan import make_plan, step_keys
from edgepress.tools.recipe import recipe_yaml
from edgepress.tools.recipe_records import ExportOptions, Recipe
from edgepress.tools.samples import spread
from support.recipes import onnx_recipe, tiny_onnx, toy, write


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


def test_our_own_code_is_all_that_the_steps_import() -> None:
    """What else they import reads recipes and keeps records; its results are in the keys already."""
    tools = Path(plan.__file__).parent
    known = {path for part in OWN_SOURCE for path in source_files(tools.parent / part)}
    waiting, needed = sorted((tools / "steps").glob("*.py")), set()
    while waiting:
        path = waiting.pop()
        if path not in needed:
            needed.add(path)
            waiting += [other for other in imported(path) if other.parent == tools]
    others = {path.stem for path in needed - known}
    records = {name for name in others if name.partition("_")[0] == "recipe"}
    assert others - records == {"digest", "manifest", "run_folder"}


def imported(path: Path) -> list[Path]:
    """Files of the modules that a file imports relatively, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            found += [base.with_suffix(".py"), *(base / f"{a.name}.py" for a in node.names)]
    return [file for file in found if file.is_file()]


def test_kernels_in_c_are_our_own_code() -> None:
    root = Path(plan.__file__).parent.parent
    suffixes = {path.suffix for part in OWN_SOURCE for path in source_files(root / part)}
    assert suffixes >= {".py", ".c", ".h"}


def test_the_keys_change_with_every_byte_of_an_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", input=np.zeros((4, 1, 8, 8), np.float32))
    model = tiny_onnx(tmp_path / "toy.onnx")
    recipe = onnx_recipe(tmp_path, "calibration: inputs.npz", "passes: [quantize]")
    seen = {json.dumps(keys_of(recipe))}
    rng, changes = np.random.default_rng(0), 0
    for path in (tmp_path / "inputs.npz", model):
        data = path.read_bytes()
        # an ONNX file must stay readable: a byte of its metadata at the end is changed
        places = rng.integers(0, len(data), 6) if path != model else [len(data) - 30]
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


def test_quantize_options_are_those_of_the_planner() -> None:
    ours = {f.name: f.default for f in dataclasses.fields(QuantizeOptions)}
    theirs = {f.name: f.default for f in dataclasses.fields(PtqConfig)}
    assert theirs.pop("io") == ExportOptions().io  # stands under export
    assert {name: ours[name] for name in theirs} == theirs
    assert set(ours) - set(theirs) == {"calibration_samples", "sensitivity"}


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
