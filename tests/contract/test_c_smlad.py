"""int8 C for cores with the DSP extension: the same integers on this machine as the integer reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from edgepress.compress.quantization.integer import IntegerModel
from edgepress.export.c.layout_smlad import SMLAD
from edgepress.runtime.errors import UnsupportedOperatorError
from support import c_fuzz, c_models, kernel_cases, ptq

pytest.importorskip("torch")

CORE = "cortex-m4"
COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")


@pytest.mark.parametrize("name", ["residual", "depthwise", "series", "shuffle"])
def test_small_nets_equal_the_integer_reference(name: str, tmp_path: Path) -> None:
    hub, samples = ptq.quantized_hub(name), ptq.samples(name, 8, 5)
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path, device=CORE)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


def test_a_lane_holds_two_outputs() -> None:
    """256 times the second and the first, elements in the order 0, 2, 1, 3; zeros fill up."""
    weights = np.array([[1, -2, 3, -4, 5], [10, 20, -30, 40, 50], [7, 0, 0, 0, -127]], np.int8)
    lanes = SMLAD.matrix(weights).view("<i2").reshape(2, 8)
    first = [2561, -7677, 5118, 10236, 12805, 0, 0, 0]
    np.testing.assert_array_equal(lanes[0], first)
    np.testing.assert_array_equal(lanes[1], [7, 0, 0, 0, -127, 0, 0, 0])


def test_weights_beyond_a_lane_are_refused() -> None:
    SMLAD.matrix(np.array([[5], [-128]], np.int8))
    with pytest.raises(UnsupportedOperatorError, match="-128"):
        SMLAD.matrix(np.array([[-5], [-128]], np.int8))


@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(60, 660), marks=pytest.mark.emulated)]
)
def test_kernels_under_sanitizers(seeds: range, tmp_path: Path) -> None:
    """Convolutions, depthwise and dense layers of random shapes equal their definition, and stay in their memory."""
    cases = [kernel_cases.random_case(seed, CORE) for seed in seeds]
    outputs = kernel_cases.run_sanitized(cases, tmp_path, CORE, COMPILER)
    for case, output in zip(cases, outputs, strict=True):
        np.testing.assert_array_equal(output, case.expected, err_msg=case.said)


@pytest.mark.emulated
@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize("seed", range(200, 204))
def test_random_networks_under_sanitizers(seed: int, tmp_path: Path) -> None:
    hub = c_fuzz.random_hub(seed)
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    generic = c_fuzz.run_sanitized(int8, tmp_path / "generic", COMPILER)
    packed = c_fuzz.run_sanitized(int8, tmp_path / "smlad", COMPILER, device=CORE)
    np.testing.assert_array_equal(packed, generic)
