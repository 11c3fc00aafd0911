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
