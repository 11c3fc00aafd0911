"""Float C: what onnxruntime computes, to the rounding of sums in another order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime.session import run_real
from support import c_models, ptq

pytest.importorskip("torch")

TOLERANCE = 1e-5
"""Of each value, and of the largest value of the output for values near 0."""


def check(hub: object, samples: list[tuple[np.ndarray, ...]], folder: Path, **options: str) -> None:
    session = c_models.opened(hub, folder, **options)
    for sample in samples:
        for want, found in zip(
            c_models.onnx_outputs(hub, sample), run_real(session, sample), strict=True
        ):
            scale = float(np.abs(want).max())
            np.testing.assert_allclose(found, want, rtol=TOLERANCE, atol=TOLERANCE * scale)


@pytest.mark.parametrize("name", ptq.NETS)
def test_small_nets(name: str, tmp_path: Path) -> None:
    check(ptq.float_hub(name), ptq.samples(name, 3, 5), tmp_path)


@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "har_cnn", "autoencoder", "har_gru"])
def test_zoo(name: str, tmp_path: Path) -> None:
    check(c_models.zoo_hub(name), c_models.zoo_samples(name, 2, 7), tmp_path)


def test_channels_first_borders(tmp_path: Path) -> None:
    check(ptq.float_hub("residual"), ptq.samples("residual", 2, 5), tmp_path, io_layout="nchw")
