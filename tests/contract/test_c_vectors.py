"""Vectors of element-wise kernels compute what ep_requant.h says, bit for bit, on every lane."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from edgepress.export.c.kernels import library
from edgepress.export.c.pack import target_header
from support import sums_check
from support.kernel_program import SANITIZERS, STRICT, built_and_run

SOURCE = Path(__file__).parents[1] / "support/vectors_check.c"
COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")
CPU = Path("/proc/cpuinfo")
FLAGS = {"avx2": ("-mavx2",), "avx512_vnni": ("-march=native",)}
"""What the processor must have (as the kernel names it) -> options."""

if not COMPILER:
    pytest.skip("no C compiler here", allow_module_level=True)


def built(folder: Path, *flags: str) -> Path:
    """The check, compiled with the undefined-behaviour sanitizer."""
    for name, text in library().items():
        (folder / name).write_text(text)
    (folder / "ep_target.h").write_text(target_header("x86-64"))
    program = folder / "check"
    sources = [str(SOURCE), str(folder / "ep_pool_s8.c")]
    subprocess.run(
        [
            *(COMPILER, "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic"),
            *("-fsanitize=undefined", "-fno-sanitize-recover=all", *flags),
            *("-I", str(folder), *sources, "-o", str(program)),
        ],
        check=True,
    )
    return program


def need(flag: str) -> None:
    known = CPU.read_text().split() if CPU.exists() else []
    if flag not in known:
        pytest.skip(f"this processor has no {flag}")


@pytest.mark.parametrize("needs", FLAGS)
def test_sums_in_vectors_are_those_of_single_elements(needs: str, tmp_path: Path) -> None:
    need(needs)
    sources = sums_check.write(tmp_path, "x86-64", firmware=False)
    build = [COMPILER, *STRICT, "-O2", *SANITIZERS, *FLAGS[needs]]
    built_and_run(tmp_path, build, [], sources)


@pytest.mark.parametrize("needs", FLAGS)
def test_lanes_are_the_scalar(needs: str, tmp_path: Path) -> None:
    need(needs)
    found = subprocess.run(
        [str(built(tmp_path, *FLAGS[needs]))], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
