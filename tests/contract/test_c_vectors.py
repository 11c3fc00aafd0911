"""Vectors of element-wise kernels compute what ep_requant.h says, bit for bit, on every lane."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from edgepress.export.c.kernels import library
from edgepress.export.c.pack import target_header

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


@pytest.mark.parametrize("needs", FLAGS)
def test_lanes_are_the_scalar(needs: str, tmp_path: Path) -> None:
    known = CPU.read_text().split() if CPU.exists() else []
    if needs not in known:
        pytest.skip(f"this processor has no {needs}")
    found = subprocess.run(
        [str(built(tmp_path, *FLAGS[needs]))], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
