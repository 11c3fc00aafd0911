"""The wheel holds every file of the package and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "devices", "compress", "export", "tools")
SHIPPED = {".py", ".yaml", ".npz", ".j2", ".md", ".c", ".h", ".ld"}


def _tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout: the list of files comes from git")
    return [Path(line) for line in done.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel built from a clean copy, so that no stale build folder helps."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for path in _tracked():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes((ROOT / path).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(out), "."], cwd=copy, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_wheel_is_complete_and_has_nothing_extra(wheel_names: set[str]) -> None:
    expected = {"edgepress/__init__.py", "edgepress/py.typed"} | {
        f"edgepress/{path.as_posix()}"
        for path in _tracked()
        if path.parts[0] in ROOMS and path.suffix in SHIPPED
    }
    packaged = {name for name in wheel_names if ".dist-info/" not in name}
    assert packaged == expected


def test_wheel_carries_the_licence(wheel_names: set[str]) -> None:
    assert any(name.endswith("LICENSE") for name in wheel_names)
