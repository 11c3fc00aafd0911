"""Small recipes for tests, written as a user writes them."""

from __future__ import annotations

from pathlib import Path

from edgepress.tools.recipe import load_recipe
from edgepress.tools.recipe_records import Recipe

TOY = """\
name: toy
model: toy_cnn
task: toy
seed: 0
threads: 1
passes:
  - train: {epochs: 2, batch_size: 32}
  - quantize: {observer: minmax, calibration_samples: 16}
export: {formats: [onnx, tflite], precisions: [float32, int8]}
verify: {samples: 4}
evaluate: {samples: 20}
profile: null
"""


def write(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def toy(folder: Path, *overrides: str) -> Recipe:
    """The toy recipe with overrides."""
    return load_recipe(write(folder, TOY), overrides)


def onnx_recipe(folder: Path, *lines: str) -> Recipe:
    """A recipe of the user's file toy.onnx, with further lines."""
    text = "name: mine\nmodel: toy.onnx\nprofile: null\nverify: {samples: 4}\n" + "\n".join(lines)
    return load_recipe(write(folder, text, "onnx.yaml"))


def tiny_onnx(path: Path) -> Path:
    """A file that holds one Relu on [1,1,8,8] and a line of documentation at its end."""
    import onnx
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 8, 8]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model.metadata_props.add(key="note", value="nothing" * 10)
    onnx.save(model, path)
    return path
