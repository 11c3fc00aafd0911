"""Kernels for NEON on emulated cores, with the dot product and without: nowhere else are their instructions run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.emulate_c import LinuxTools, find_linux_tools, run_c
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.profile import load_profile
from edgepress.export.c.kernels import library
from edgepress.export.c.pack import target_header
from edgepress.runtime.errors import MissingToolError
from edgepress.runtime.session import open_session
from support import c_fuzz, c_models, kernel_cases

pytestmark = pytest.mark.emulated

GCC, QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"
CORES = ("cortex-a53", "cortex-a76")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-static")
CHECK = Path(__file__).parents[1] / "support/vectors_check.c"


def emulated(core: str, folder: Path, sources: list[str], option: str, *arguments: str) -> bytes:
    """stdout of a program that is built for a core and run on it."""
    for program in (GCC, QEMU):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; `make test-emulated` installs it")
    words = [GCC, *STRICT, f"-mcpu={core}", option, "-I.", *sources, "-o", "program", "-lm"]
    built = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    assert built.returncode == 0, built.stderr.decode()
    words = [QEMU, "-cpu", core, "./program", *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[:2000]
    return done.stdout


@pytest.mark.parametrize(
    ("option", "first", "count"), [("-O3", 0, 900), ("-Os", 900, 300), ("-O0", 1200, 100)]
)
@pytest.mark.parametrize("core", CORES)
def test_kernels_equal_their_definition(
    core: str, option: str, first: int, count: int, tmp_path: Path
) -> None:
    """Odd channels, tails, strides, dilations, borders, batches, multiples, factors of 1/2 and more."""
    cases = [kernel_cases.random_case(seed, core) for seed in range(first, first + count)]
    kernel_cases.write_program(tmp_path, core, firmware=False)
    data = b"".join(array.tobytes() for case in cases for array in case.inputs)
    (tmp_path / "cases.bin").write_bytes(data)
    sources = sorted(path.name for path in tmp_path.glob("*.c"))
    said = emulated(core, tmp_path, sources, option, "cases.bin", str(count))
    outputs = np.frombuffer(said, np.int8).reshape(count, kernel_cases.Y_BYTES)
    for case, output in zip(cases, outputs, strict=True):
        np.testing.assert_array_equal(output, case.expected, err_msg=case.said)


def test_lanes_rescale_as_scalars_do(tmp_path: Path) -> None:
    """ep_vec.h: sums of all sizes, factors of all sizes, ties."""
    for name, text in library().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "ep_target.h").write_text(target_header("cortex-a53"))
    emulated("cortex-a53", tmp_path, [str(CHECK), "ep_pool_s8.c"], "-O2")


@pytest.fixture(scope="module")
def tools() -> LinuxTools:
    """Compiler and QEMU; skipped where they are not installed."""
    try:
        return find_linux_tools()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")


@pytest.mark.parametrize(("core", "board"), [("cortex-a53", "pi3bplus"), ("cortex-a76", "pi5")])
@pytest.mark.parametrize("seed", [1, 5, 8, 18])
def test_random_networks_give_what_they_give_here(
    tools: LinuxTools, core: str, board: str, seed: int, tmp_path: Path
) -> None:
    """Pools, sums, tables, joins and layers: packed for no core and run here, packed for this one and run there."""
    pytest.importorskip("torch")
    hub = c_fuzz.random_hub(seed)
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    session = open_session(c_models.write(int8, tmp_path / "here"), "native")
    rng = np.random.default_rng(seed)
    inputs = [
        [rng.integers(-128, 128, spec.shape).astype(np.int8) for spec in session.artifact.inputs]
        for _ in range(8)
    ]
    vectors = Vectors(inputs, [session.run(row) for row in inputs])
    folder = c_models.write(int8, tmp_path / "there", device=core)
    run_c(folder, load_profile(board), vectors, tools=tools)
