"""Names of exported files, and which kinds of files a recipe and the command line ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.runtime.errors import InputError, UsageError
from edgepress.tools.artifact_names import SUFFIXES, artifact_name, kinds, read_name
from edgepress.tools.recipe import load_recipe
from edgepress.tools.recipe_records import ExportOptions
from support.commands import call
from support.recipes import write


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("name", ["net", "net.v1.2", "net.lce"])
def test_names_tell_precision_and_kind(name: str, kind: str) -> None:
    assert read_name(artifact_name(name, "weight-only", kind)) == ("weight-only", kind)


def test_foreign_names_tell_what_they_can() -> None:
    assert read_name("net.tflite")[1] == "tflite"
    assert read_name("notes.txt") == ("", "")


def test_tflite_is_written_once_for_every_form_of_one_bit_layers() -> None:
    options = ExportOptions(formats=("tflite", "c", "onnx"), binary=("lce", "int8"))
    assert kinds(options) == ("onnx", "tflite", "lce", "c")
    assert kinds(ExportOptions(formats=("qonnx",), binary=("lce",))) == ("qonnx",)


RECIPE = """\
name: bits
model: toy_cnn
task: toy
passes:
  - train: {epochs: 1}
export: {formats: [tflite], precisions: [float32], binary: [lce]}
"""


def test_a_recipe_without_one_bit_layers_asks_for_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pass makes one-bit layers"):
        load_recipe(write(tmp_path, RECIPE))


def test_export_of_a_float_model_says_what_is_missing(tmp_path: Path) -> None:
    arguments = ["export", "toy_cnn", "--random-weights", "--task", "toy", "--out", tmp_path]
    for more, words in (
        (("--format", "tflite", "--binary", "lce"), "no one-bit layers"),
        (("--format", "qonnx"), "neither one-bit nor quantized"),
    ):
        done = call(*arguments, *more)
        assert done.code == InputError.exit_code and words in done.err
