"""Kernels on emulated cores, each with the instructions it is meant for: nowhere else are they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.devices.emulate_c import run_c
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.profile import load_profile
from edgepress.runtime.session import open_session
from support import c_fuzz, c_models, kernel_cases, kernel_program
from support.grouped import CASES, hub_of

pytestmark = pytest.mark.emulated

FIRMWARE = {"cortex-m4": "stm32l4r5", "cortex-m55": "apollo510"}
LINUX = {"cortex-a53": "pi3bplus", "cortex-a76": "pi5"}
CORES = {**FIRMWARE, **LINUX}


@pytest.mark.parametrize(
    ("option", "first", "count"), [("-O3", 0, 900), ("-Os", 900, 300), ("-O0", 1200, 100)]
)
@pytest.mark.parametrize("core", CORES)
def test_kernels_equal_their_definition(
    core: str, option: str, first: int, count: int, tmp_path: Path, request: Any
) -> None:
    """Odd channels, tails, strides, dilations, borders, batches, multiples, factors of 1/2 and more."""
    cases = [kernel_cases.random_case(seed, core) for seed in range(first, first + count)]
    if core in FIRMWARE:
        tools = request.getfixturevalue("tools")
        kernel_program.check_firmware(cases, tmp_path, core, FIRMWARE[core], option, tools)
    else:
        kernel_program.check_aarch64(cases, tmp_path, core, option)


def check_there(hub: Any, core: str, seed: int, folder: Path, request: Any) -> None:
    """A hub packed for no core and run here, packed for the core and run there: the same values."""
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    session = open_session(c_models.write(int8, folder / "here"), "native")
    rng = np.random.default_rng(seed)
    inputs = [
        [rng.integers(-128, 128, spec.shape).astype(np.int8) for spec in session.artifact.inputs]
        for _ in range(8)
    ]
    vectors = Vectors(inputs, [session.run(row) for row in inputs])
    packed = c_models.write(int8, folder / "there", device=core)
    tools = request.getfixturevalue("tools" if core in FIRMWARE else "linux_tools")
    run_c(packed, load_profile(CORES[core]), vectors, tools=tools)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("seed", [1, 5, 8, 18])
def test_random_networks_give_what_they_give_here(
    seed: int, core: str, tmp_path: Path, request: Any
) -> None:
    """Pools, sums, tables, joins and layers."""
    check_there(c_fuzz.random_hub(seed), core, seed, tmp_path, request)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", CASES)
def test_grouped_convolutions_give_what_they_give_here(
    name: str, core: str, tmp_path: Path, request: Any
) -> None:
    check_there(hub_of(CASES[name]), core, 3, tmp_path, request)
