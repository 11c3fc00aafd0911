"""Kernels for the DSP extension on an emulated Cortex-M4: the only place where their assembly is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.devices.emulate_mcu import Tools, find_tools, run_firmware
from edgepress.devices.firmware_program import Program
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.profile import load_profile
from edgepress.runtime.errors import MissingToolError, ParityError
from support import kernel_cases

pytestmark = pytest.mark.emulated

CORE, DEVICE = "cortex-m4", "stm32l4r5"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


@pytest.fixture(scope="module")
def tools() -> Tools:
    """Compiler and QEMU; skipped where they are not installed."""
    try:
        return find_tools()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")


@pytest.mark.parametrize(
    ("option", "first", "count"), [("-O3", 0, 600), ("-Os", 600, 200), ("-O0", 800, 60)]
)
def test_kernels_equal_their_definition(
    tools: Tools, option: str, first: int, count: int, tmp_path: Path
) -> None:
    """0 differences over odd channels, tails, strides, borders, multiples and factors; nothing written beyond."""
    cases = [kernel_cases.random_case(seed, CORE) for seed in range(first, first + count)]
    vectors = Vectors([case.inputs for case in cases], [(case.expected,) for case in cases])
    folder = kernel_cases.write_program(tmp_path, CORE, firmware=True)
    program = Program((folder,), options=(option, *STRICT))
    try:
        run_firmware(load_profile(DEVICE), program, vectors, tools=tools)
    except ParityError as error:
        number = int(str(error).split("vector ")[1].split(",")[0])
        pytest.fail(f"{error}: {cases[number].said}")
