"""Shapes of model inputs where no data tells them, and splits that weights have seen: read, checked, told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgepress.compress.evaluation import score_outputs
from edgepress.runtime.errors import UsageError
from edgepress.tools.inputs import Inputs
from edgepress.tools.recipe import load_recipe, recipe_yaml
from edgepress.tools.recipe_records import Recipe
from edgepress.tools.report.views import where_scored
from edgepress.tools.steps.hub import _free_inputs
from support.commands import call

NET = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.l = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(9, 3)

    def forward(self, image, facts):
        return self.l(torch.cat([self.c(image).mean((2, 3)), facts], 1))
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    rest = "verify: null\nevaluate: null\nexport: {precisions: [float32]}"
    path.write_text(f"name: t\nmodel: nets:Two\n{text}\n{rest}\n", "utf-8")
    return path


def test_a_recipe_says_shapes(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, "input_shapes: [[1, 3, 8, 8], [1, 5]]"))
    assert recipe.input_shapes == ((1, 3, 8, 8), (1, 5))
    assert Inputs(recipe).input_shapes == recipe.input_shapes
    again = tmp_path / "again.yaml"
    again.write_text(recipe_yaml(recipe), "utf-8")
    assert load_recipe(again) == recipe


@pytest.mark.parametrize("shape", ["[2, 3]", "[1, 0]", "[]"])
def test_what_is_no_shape_of_a_sample_is_refused_with_its_line(shape: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no shape of one sample") as caught:
        load_recipe(written(tmp_path, f"input_shapes: [{shape}]"))
    assert "recipe.yaml:3" in str(caught.value)


def test_shapes_that_contradict_the_data_are_refused() -> None:
    same = Recipe(name="t", model="toy_cnn", task="toy", input_shapes=((1, 1, 8, 8),))
    given = Inputs(dataclasses.replace(same, input_shapes=())).input_shapes
    assert Inputs(dataclasses.replace(same, input_shapes=given)).input_shapes == given
    other = tuple((1, *(n + 1 for n in shape[1:])) for shape in given)
    with pytest.raises(UsageError, match="are asked for, the data has"):
        _ = Inputs(dataclasses.replace(same, input_shapes=other)).input_shapes


def test_two_inputs_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_two_inputs.py").write_text(NET, "utf-8")
    monkeypatch.chdir(tmp_path)
    model = "nets_of_two_inputs:Two"
    done = call("export", model, "--out", tmp_path / "o")
    assert done.code == 2 and "give --input-shape" in done.err
    shapes = ("--input-shape", "1,3,8,8", "--input-shape", "1x5")
    done = call("export", model, *shapes, "--out", tmp_path / "o", "--format", "onnx")
    assert done.code == 0, done.err
    found = onnx.load(tmp_path / "o" / "Two.float32.onnx").graph.input
    assert [[d.dim_value for d in i.type.tensor_type.shape.dim] for i in found] == [
        [1, 3, 8, 8],
        [1, 5],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("1,a", "is no shape"), ("1,,3", "is no shape"), ("4,3", "has a batch of 4")],
)
def test_wrong_shapes_by_command(text: str, message: str, tmp_path: Path) -> None:
    done = call("export", "a:b", "--input-shape", text, "--out", tmp_path / "o")
    assert done.code == 2 and message in done.err


def test_free_dimensions_of_a_file_are_filled_from_the_data(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    def stored(*shape: object) -> Path:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
        path = tmp_path / "m.onnx"
        onnx.save(helper.make_model(graph), path)
        return path

    assert _free_inputs(stored("n", 3, "h", "w"), ((1, 3, 8, 8),)) == {"x": (1, 3, 8, 8)}
    assert _free_inputs(stored("n", 3, 8, 8), ((1, 3, 9, 9),)) == {}  # a mismatch is told later
    assert _free_inputs(stored("n", "c"), ((1, 3, 8, 8),)) == {}
    assert _free_inputs(stored("n", "c"), ()) == {}


# ---------------------------------------------------------------- weights that have seen a split


def test_scores_on_splits_that_the_weights_were_trained_on_say_so() -> None:
    recipe = Recipe(name="t", model="toy_cnn", task="toy", weights_saw=("validation",))
    task = Inputs(recipe).need_task("a test")
    told = {}
    for name in ("validation", "test"):
        split = task.load(name)
        score = score_outputs(task, split, [np.eye(len(task.labels))[split.targets]])
        told[name] = where_scored(dataclasses.asdict(score))
    assert told["validation"].endswith("samples (the weights were trained on them)")
    assert "trained" not in told["test"]


def test_splits_that_are_not_there_and_no_task(tmp_path: Path) -> None:
    recipe = Recipe(name="t", model="toy_cnn", task="toy", weights_saw=("trian",))
    with pytest.raises(UsageError, match="weights_saw names 'trian'"):
        _ = Inputs(recipe).task
    with pytest.raises(UsageError, match="weights_saw needs a task"):
        load_recipe(written(tmp_path, "input_shapes: [[1, 4]]\nweights_saw: [train]"))


def test_what_the_weights_saw_is_part_of_the_key() -> None:
    plain = Recipe(name="t", model="toy_cnn", task="toy")
    seen = dataclasses.replace(plain, weights_saw=("train",))
    assert Inputs(plain).task_sha256 != Inputs(seen).task_sha256


def test_by_command(tmp_path: Path) -> None:
    given = ("--random-weights", "--task", "toy", "--observer", "minmax", "-q")
    done = call(
        "compress", "toy_cnn", *given, "--weights-saw", "validation", "--out", tmp_path / "o"
    )
    assert done.code == 0, done.err
    assert "toy/validation" in done.out and "the weights were trained on them" in done.out
