"""An int8 matrix product in plain C, with SMLAD and with MVE: shows that the harness counts and proves as it should."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from .emulate_mcu import Tools, run_firmware
from .firmware_program import Program
from .firmware_result import FirmwareResult
from .firmware_vectors import Vectors
from .profile import Profile

ROWS, DEPTH, COLUMNS = 16, 128, 32
MACS = ROWS * DEPTH * COLUMNS
KERNELS = ("plain", "smlad", "mve")
NEEDS = {"plain": "", "smlad": "dsp", "mve": "mve"}
"""Kernel -> word of the core's `isa` that it needs."""

_ALSO_DSP = ("mve",)  # cores with MVE have the DSP extension


def kernels_for(profile: Profile) -> tuple[str, ...]:
    """Kernels that run on the device's core."""
    isa = profile.main_core.isa
    words = isa.value if isa is not None and isinstance(isa.value, tuple) else ()
    has = {"", *map(str, words)} | ({"dsp"} if set(_ALSO_DSP) & set(map(str, words)) else set())
    return tuple(kernel for kernel in KERNELS if NEEDS[kernel] in has)


def selftest_vectors(count: int = 2, seed: int = 0) -> Vectors:
    """Random int8 factors (the second one transposed) and their int32 product by numpy; the first all -128."""
    import numpy as np

    random = np.random.default_rng(seed)
    inputs, expected = [], []
    for index in range(count):
        shapes = ((ROWS, DEPTH), (COLUMNS, DEPTH))
        a, b = (random.integers(-128, 128, shape, dtype=np.int8) for shape in shapes)
        if index == 0:
            a[:], b[:] = -128, -128
        inputs.append((a, b))
        expected.append((a.astype(np.int32) @ b.astype(np.int32).T,))
    return Vectors(inputs, expected)


def run_selftest(
    profile: Profile, kernel: str, *, tools: Tools | None = None, vectors: Vectors | None = None
) -> FirmwareResult:
    """Build and run one kernel on the device's emulated core; raises as `run_firmware`."""
    with resources.as_file(resources.files("edgepress.devices.firmware_sources")) as folder:
        sources = selftest_sources(Path(folder), kernel)
        return run_firmware(profile, sources, vectors or selftest_vectors(), tools=tools)


def selftest_sources(folder: Path, kernel: str) -> Program:
    """The C files of one kernel in the folder of the harness."""
    here = folder / "selftest"
    return Program((here / "step.c", here / f"matmul_{kernel}.c"))
