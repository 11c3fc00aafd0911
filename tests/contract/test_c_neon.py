"""int8 C for NEON: the same integers on this machine as the integer reference, kernel by kernel and net by net."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from edgepress.compress.quantization.integer import IntegerModel
from edgepress.export.c.layout_neon import NEON, NEON_DOT
from edgepress.runtime.errors import UnsupportedOperatorError
from support import c_fuzz, c_models, kernel_cases, ptq

pytest.importorskip("torch")

CORES = ("cortex-a53", "cortex-a76")
COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["residual", "depthwise", "series", "shuffle"])
def test_small_nets_equal_the_integer_reference(name: str, core: str, tmp_path: Path) -> None:
    hub, samples = ptq.quantized_hub(name), ptq.samples(name, 8, 5)
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path, device=core)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


def test_the_last_outputs_are_a_block_of_eight() -> None:
    """Nineteen outputs, depth 6: sixteen with two steps of four, then three of eight."""
    weights = np.arange(114, dtype=np.int8).reshape(19, 6)
    packed = NEON_DOT.matrix(weights)
    assert packed.size == 16 * 8 + 8 * 8
    np.testing.assert_array_equal(packed[:128].reshape(2, 16, 4)[0, 5], weights[5, :4])
    np.testing.assert_array_equal(packed[128:].reshape(2, 8, 4)[1, 2], [*weights[18, 4:], 0, 0])


def test_the_last_eight_of_a_run_stand_alone() -> None:
    """Four outputs, depth 24: [4][16], then [4][8]."""
    weights = np.arange(96, dtype=np.int8).reshape(4, 24)
    packed = NEON.matrix(weights)
    np.testing.assert_array_equal(packed[:64].reshape(4, 16), weights[:, :16])
    np.testing.assert_array_equal(packed[64:96].reshape(4, 8), weights[:, 16:])


def test_products_that_would_not_fit_are_refused() -> None:
    """Two weights of -128 that are added in sixteen bits; with the dot product there is no such sum."""
    weights = np.zeros((4, 16), np.int8)
    weights[1, [3, 4]] = -128
    NEON.matrix(weights)
    weights[1, 11] = -128
    with pytest.raises(UnsupportedOperatorError) as caught:
        NEON.matrix(weights)
    assert caught.value.hint
    NEON_DOT.matrix(weights)


@pytest.mark.emulated
@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize("core", CORES)
def test_kernels_under_sanitizers(core: str, tmp_path: Path) -> None:
    """Convolutions, depthwise and dense layers of random shapes equal their definition, and stay in their memory."""
    cases = [kernel_cases.random_case(seed, core) for seed in range(600)]
    outputs = kernel_cases.run_sanitized(cases, tmp_path, core, COMPILER)
    for case, output in zip(cases, outputs, strict=True):
        np.testing.assert_array_equal(output, case.expected, err_msg=case.said)


@pytest.mark.emulated
@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("seed", range(100, 103))
def test_random_networks_under_sanitizers(seed: int, core: str, tmp_path: Path) -> None:
    hub = c_fuzz.random_hub(seed)
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    generic = c_fuzz.run_sanitized(int8, tmp_path / "generic", COMPILER)
    packed = c_fuzz.run_sanitized(int8, tmp_path / "neon", COMPILER, device=core)
    np.testing.assert_array_equal(packed, generic)
