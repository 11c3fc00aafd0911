"""Times of layers from onnxruntime's profile, and where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime.errors import UsageError
from edgepress.runtime.layer_times import layer_times
from onnx import helper
from support.commands import call
from support.lite_files import tiny_dense
from support.lowering import make_hub


@pytest.fixture
def two_layers(tmp_path: Path) -> Path:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="large"),
        helper.make_node("Sin", ["h"], ["y"], name="small"),
    ]
    weights = np.ones((2000, 2000), np.float32)
    path = tmp_path / "m.onnx"
    path.write_bytes(make_hub(nodes, {"x": (1, 2000)}, ["y"], {"w": weights}).SerializeToString())
    return path


def test_layers_in_order_with_shares(two_layers: Path) -> None:
    found = layer_times(two_layers)
    assert [layer.operator for layer in found.layers] == ["MatMul", "Sin"]
    assert sum(layer.share for layer in found.layers) == pytest.approx(1.0)
    assert (
        found.layers[0].median_ms > 10 * found.layers[1].median_ms
    )  # 4 million products against 2000 sines
    assert found.invokes >= 20


def test_the_engine_must_tell(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_dense())
    with pytest.raises(UsageError, match="benchmark_model"):
        layer_times(path, "litert")


def test_command(two_layers: Path, tmp_path: Path) -> None:
    lite = tmp_path / "m.tflite"
    lite.write_bytes(tiny_dense())
    words = ["--processes", 1, "--layers", "--json", "-q"]
    document = call("profile", two_layers, lite, *words).document
    layers = document["layers"]
    assert [one["evidence"] for one in layers] == ["host"]
    assert [row["operator"] for row in layers[0]["layers"]] == ["MatMul", "Sin"]
    assert any("does not tell the time of operators" in note for note in document["notes"])
