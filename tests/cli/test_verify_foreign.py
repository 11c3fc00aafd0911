"""`edgepress verify` on files of other converters, which state no axes: MLPerf Tiny's reference models."""

from __future__ import annotations

import pytest
from support.commands import call
from support.data import need_data

MODELS = "models/mlperf_tiny"


@pytest.mark.parametrize(
    ("name", "task", "folder"),
    [("ic_resnet8", "cifar10", "cifar10"), ("kws_dscnn", "keyword-features", "kws_mlperf_tiny")],
)
def test_an_int8_file_against_the_float_file_it_came_from(
    name: str, task: str, folder: str
) -> None:
    float_file, int8_file = (need_data(f"{MODELS}/{name}_{p}.tflite") for p in ("float", "int8"))
    data = need_data(folder).parent
    given = ("--task", task, "--data", data, "--samples", 32, "--json", "-q")
    done = call("verify", float_file, int8_file, *given)
    assert done.code == 3, done.err  # told, not judged: what quantization costs is accuracy
    rows = done.document["outputs"]
    assert rows and all(row["against"] == float_file.name for row in rows)
    assert all(row["agreement"] >= 0.9 for row in rows)


def test_a_float_file_is_itself_in_every_engine() -> None:
    path, data = need_data(f"{MODELS}/ic_resnet8_float.tflite"), need_data("cifar10").parent
    done = call("verify", path, path, "--task", "cifar10", "--data", data, "--samples", 8, "-q")
    assert done.code == 0, done.err


def test_samples_of_another_shape_say_what_to_do() -> None:
    path = need_data(f"{MODELS}/vww_mobilenetv1_025_float.tflite")
    data = need_data("cifar10").parent
    done = call("verify", path, path, "--task", "cifar10", "--data", data, "-q")
    assert done.code == 2
    assert "takes [?, 96, 96, 3], the samples are [1, 3, 32, 32]" in done.err
    assert "next: compare on samples of the shape the model was made for" in done.err
