"""int8 C: bit for bit the integer reference, and within a step or two of TFLite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.compress.quantization.integer import IntegerModel
from edgepress.export.tflite import to_tflite
from edgepress.runtime.artifact import FileMetadata
from edgepress.runtime.session import open_session, run_real
from support import c_models, ptq

pytest.importorskip("torch")

ZOO = ("resnet8", "ds_cnn", "har_cnn", "autoencoder", "har_gru")
LARGEST_STEPS = 2
"""From TFLite's integers on small nets: each layer that rounds once where we round twice may add one."""


@pytest.mark.parametrize("flags", ["-O3 -march=native", "-O1"])
@pytest.mark.parametrize("name", ["residual", "depthwise", "series", "shuffle"])
def test_weights_in_blocks_compute_the_same(
    name: str, flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With this machine's vectors, if it has those the kernels know, and in plain C."""
    monkeypatch.setenv("EDGEPRESS_CFLAGS", flags)
    hub, samples = ptq.quantized_hub(name), ptq.samples(name, 8, 5)
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path, device="x86-64")
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


@pytest.mark.parametrize("name", ptq.NETS)
def test_small_nets_equal_the_integer_reference(name: str, tmp_path: Path) -> None:
    """Residual, depthwise, grouped, concatenated, padded, pooled, 1-D and transposed layers, tables, softmax."""
    hub, samples = ptq.quantized_hub(name), ptq.samples(name, 12, 5)
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


@pytest.mark.parametrize("name", ZOO)
def test_zoo_equals_the_integer_reference(name: str, tmp_path: Path) -> None:
    hub, samples = c_models.zoo_int8(name), c_models.zoo_samples(name, 3, 7)
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_unrolled_cells_equal_the_integer_reference(kind: str, tmp_path: Path) -> None:
    from support.recurrent import SHAPES, classifier

    rng = np.random.default_rng(3)
    samples = [(rng.uniform(-1, 1, SHAPES["x"]).astype(np.float32),) for _ in range(12)]
    hub = c_models.planned(classifier(kind), samples[6:])
    samples = samples[:6]
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


@pytest.mark.parametrize("name", ["residual", "depthwise", "concat", "series"])
def test_distance_to_tflite(name: str, tmp_path: Path) -> None:
    hub = ptq.quantized_hub(name)
    session = c_models.opened(hub, tmp_path / "c")
    lite = tmp_path / "net.tflite"
    lite.write_bytes(to_tflite(hub, metadata=FileMetadata()))
    other = open_session(lite, "litert")
    step = float(session.artifact.outputs[0].scale or 0.0)
    for sample in ptq.samples(name, 12, 5):
        a, b = run_real(session, sample)[0], run_real(other, sample)[0]
        assert np.abs(a - b).max() <= (LARGEST_STEPS + 0.01) * step


def test_float_borders(tmp_path: Path) -> None:
    """io="float": the same numbers, quantized and dequantized inside."""
    hub, samples = ptq.quantized_hub("residual"), ptq.samples("residual", 4, 5)
    inside = c_models.opened(hub, tmp_path / "float", io="float")
    assert {spec.dtype for spec in (*inside.artifact.inputs, *inside.artifact.outputs)} == {
        "float32"
    }
    outside = c_models.opened(hub, tmp_path / "int8")
    expected = [run_real(outside, sample) for sample in samples]
    assert c_models.differing(inside, expected, samples) == 0
