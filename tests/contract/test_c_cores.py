"""int8 C for every layout: the same integers on this machine as the integer reference, kernel by kernel, net by net."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from edgepress.compress.quantization.integer import IntegerModel
from support import c_fuzz, c_models, kernel_cases, kernel_program, ptq

pytest.importorskip("torch")

CORES = ("cortex-m4", "cortex-m55", "cortex-a53", "cortex-a76")
COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")
VECTORS = {"": (), "avx2": ("-mavx2",), "avx512_vnni": ("-march=native",)}
"""What the processor must have (as the kernel names it) -> options."""

FEW, MANY = range(60), range(60, 660)
PLAIN = [(core, "", FEW) for core in (*CORES, "generic", "x86-64")]
ALL = [(core, "", MANY) for core in (*CORES, "generic")]
ALL += [("x86-64", needs, MANY) for needs in VECTORS]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["residual", "depthwise", "series", "shuffle"])
def test_small_nets_equal_the_integer_reference(name: str, core: str, tmp_path: Path) -> None:
    hub, samples = ptq.quantized_hub(name), ptq.samples(name, 8, 5)
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path, device=core)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize(
    ("core", "needs", "seeds"),
    [*PLAIN, *(pytest.param(*row, marks=pytest.mark.emulated) for row in ALL)],
    ids=str,
)
def test_kernels_under_sanitizers(core: str, needs: str, seeds: range, tmp_path: Path) -> None:
    """Convolutions, depthwise and dense layers of random shapes equal their definition, and stay in their memory."""
    info = Path("/proc/cpuinfo")
    if needs and needs not in (info.read_text().split() if info.exists() else []):
        pytest.skip(f"this processor has no {needs}")
    cases = [kernel_cases.random_case(seed, core) for seed in seeds]
    kernel_program.check_here(cases, tmp_path, core, COMPILER, VECTORS[needs])


@pytest.mark.emulated
@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("seed", range(100, 104))
def test_random_networks_under_sanitizers(seed: int, core: str, tmp_path: Path) -> None:
    hub = c_fuzz.random_hub(seed)
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    generic = c_fuzz.run_sanitized(int8, tmp_path / "generic", COMPILER)
    packed = c_fuzz.run_sanitized(int8, tmp_path / "packed", COMPILER, device=core)
    np.testing.assert_array_equal(packed, generic)
