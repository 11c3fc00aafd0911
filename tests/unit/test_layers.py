"""The house has one column of floors: nothing imports upwards, every folder with code is a package."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("runtime", "devices", "compress", "export", "tools")
ALLOWED_AT_RUNTIME = {"numpy", "onnxruntime", "tflite_runtime", "ai_edge_litert"}


def _sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _imported(path: Path) -> list[str]:
    """Full dotted names imported by a file, relative ones resolved against `edgepress`."""
    here = ["edgepress", *path.relative_to(ROOT).parts[:-1]]
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            names += [".".join([*module, alias.name]) for alias in node.names]
    return names


@pytest.mark.parametrize("floor", range(len(FLOORS)), ids=FLOORS)
def test_nothing_imports_upwards(floor: int) -> None:
    upper = FLOORS[floor + 1 :]
    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _sources(FLOORS[floor])
        for name in _imported(path)
        if name.startswith("edgepress.") and name.split(".")[1] in upper
    ]
    assert offences == []


def test_the_scan_sees_relative_imports() -> None:
    names = _imported(ROOT / "devices" / "measurement.py")
    assert "edgepress.runtime.errors.UsageError" in names


def test_runtime_needs_numpy_and_one_engine_only() -> None:
    standard = set(sys.stdlib_module_names) | {"edgepress"} | ALLOWED_AT_RUNTIME
    offences = [
        f"{path.name} imports {name}"
        for path in _sources("runtime")
        for name in _imported(path)
        if name.split(".")[0] not in standard
    ]
    assert offences == []


def test_runtime_parses_as_python_3_9() -> None:
    for path in _sources("runtime"):
        ast.parse(path.read_text(), filename=str(path), feature_version=(3, 9))


def test_devices_never_import_torch() -> None:
    offences = [p.name for p in _sources("devices") for n in _imported(p) if n.startswith("torch")]
    assert offences == []


@pytest.mark.parametrize("room", FLOORS)
def test_every_folder_with_files_is_a_package(room: str) -> None:
    folders = {p.parent for p in (ROOT / room).rglob("*") if p.suffix in {".py", ".yaml", ".npz"}}
    missing = [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()]
    assert missing == []


def test_no_folder_shadows_the_package() -> None:
    assert not (ROOT / "edgepress").exists()
    assert not (ROOT / "conftest.py").exists()


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (
            ["-c", "import edgepress, sys; print(*sys.modules)"],
            {"torch", "onnx", "pydantic", "numpy"},
        ),
    ],
)
def test_import_is_light(arguments: list[str], absent: set[str]) -> None:
    out = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd="/"
    ).stdout
    assert absent & set(out.split()) == set()
