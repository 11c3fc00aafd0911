"""int8 C for Helium: the same integers on this machine as the integer reference, kernel by kernel and net by net."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from edgepress.compress.quantization.integer import IntegerModel
from edgepress.export.c.layout_mve import MVE
from support import c_fuzz, c_models, kernel_cases, ptq

pytest.importorskip("torch")

CORE = "cortex-m55"
COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")


@pytest.mark.parametrize("name", ["residual", "depthwise", "series", "shuffle"])
def test_small_nets_equal_the_integer_reference(name: str, tmp_path: Path) -> None:
    hub, samples = ptq.quantized_hub(name), ptq.samples(name, 8, 5)
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path, device=CORE)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


def test_an_incomplete_step_lies_in_front() -> None:
    """Five outputs, depth 18: two elements and zeros, then sixteen."""
    weights = np.arange(90, dtype=np.int8).reshape(5, 18)
    packed = MVE.matrix(weights).reshape(2, 2, 4, 16)
    np.testing.assert_array_equal(packed[0, 0, 3, :2], weights[3, :2])
    assert not packed[0, 0, :, 2:].any()
    np.testing.assert_array_equal(packed[1, 1, 0], weights[4, 2:])
    assert not packed[1, :, 1:].any()


@pytest.mark.emulated
@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
def test_kernels_under_sanitizers(tmp_path: Path) -> None:
    """Convolutions, depthwise and dense layers of random shapes equal their definition, and stay in their memory."""
    cases = [kernel_cases.random_case(seed, CORE) for seed in range(600)]
    outputs = kernel_cases.run_sanitized(cases, tmp_path, CORE, COMPILER)
    for case, output in zip(cases, outputs, strict=True):
        np.testing.assert_array_equal(output, case.expected, err_msg=case.said)


@pytest.mark.emulated
@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize("seed", range(100, 106))
def test_random_networks_under_sanitizers(seed: int, tmp_path: Path) -> None:
    hub = c_fuzz.random_hub(seed)
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    generic = c_fuzz.run_sanitized(int8, tmp_path / "generic", COMPILER)
    packed = c_fuzz.run_sanitized(int8, tmp_path / "mve", COMPILER, device=CORE)
    np.testing.assert_array_equal(packed, generic)
