"""Models and samples from outside: ONNX files, calibration files, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.runtime.errors import InputError
from edgepress.tools.pipeline import RunResult, run_recipe
from edgepress.tools.samples import read_samples
from support.recipes import onnx_recipe, toy


def origins(result: RunResult) -> dict[str, str]:
    return {step.name: step.origin for step in result.steps}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of the toy recipe."""
    base = tmp_path_factory.mktemp("finished")
    run_recipe(toy(base), base / "run", until="evaluate")
    return base / "run"


@pytest.fixture
def user_onnx(finished: Path, tmp_path: Path) -> Path:
    path = tmp_path / "toy.onnx"
    path.write_bytes((finished / "artifacts" / "toy.float32.onnx").read_bytes())
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
    user_onnx: Path, tmp_path: Path, finished: Path
) -> None:
    recipe = onnx_recipe(
        tmp_path, "task: toy", "export: {precisions: [float32]}", "evaluate: {samples: 20}"
    )
    run_recipe(recipe, tmp_path / "run")
    mine = json.loads((tmp_path / "run/steps/04-evaluate/scores.json").read_text())
    theirs = json.loads((finished / "steps/06-evaluate/scores.json").read_text())
    assert mine[0]["score"]["value"] == theirs[0]["score"]["value"]


def test_an_onnx_file_of_another_shape_is_refused(user_onnx: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", input=np.zeros((4, 1, 9, 8), np.float32))
    recipe = onnx_recipe(tmp_path, "calibration: inputs.npz", "export: {precisions: [float32]}")
    with pytest.raises(InputError, match="takes 1x1x8x8, the calibration file gives 1x1x9x8"):
        run_recipe(recipe, tmp_path / "run")


def test_a_quantized_onnx_file_is_exported_as_it_is_and_not_quantized_again(
    finished: Path, tmp_path: Path
) -> None:
    data = (finished / "artifacts" / "toy.int8.onnx").read_bytes()
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
