"""`profile` and `verify` on an emulated board, from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.emulate_pi import setup
from edgepress.devices.qemu import find_emulator
from edgepress.runtime.errors import MissingToolError
from support.commands import call
from support.data import need_data

pytestmark = pytest.mark.emulated


@pytest.fixture(scope="module")
def kws() -> Path:
    """The keyword network; skipped where QEMU is not installed."""
    try:
        find_emulator()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")
    setup("pi5")
    return need_data("models/mlperf_tiny/kws_dscnn_int8.tflite")


def test_profile_counts_and_never_times(kws: Path, tmp_path: Path) -> None:
    words = ["profile", kws, "--device", "pi5", "--engine", "litert", "--compare", kws]
    done = call(*words, "--layers", "--json", "-q")
    assert done.code == 0, done.err
    row = done.document["measurements"][0]
    assert row["evidence"] == "emulated" and row["values"]["instructions"] > 500_000
    assert not any(name.endswith("_ms") for name in row["values"])
    ratio = done.document["comparisons"][0]
    assert (ratio["metric"], ratio["ratio"]) == ("instructions", 1.0)
    assert done.document["layers"] == [] and done.document["notes"]


def test_verify_there(kws: Path, tmp_path: Path) -> None:
    stored = np.load(need_data("kws_mlperf_tiny/kws01_700.npz"))["x"][:3].astype(np.float32)
    np.savez(tmp_path / "inputs.npz", x=(stored - 83) * np.float32(0.5847029))
    words = ["verify", kws, kws, "--inputs", tmp_path / "inputs.npz", "--no-layers", "-q"]
    done = call(*words, "--engine", "litert", "--device", "pi5", "--json")
    assert done.code == 0, done.err
    (row,) = done.document["device"]
    assert (row["outcome"], row["evidence"], row["samples"]) == ("pass", "emulated", 3)
