"""Digests for keys and manifests: plain values, our own source, a user's factory, the packages in use."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..runtime.codec import to_json
from ..runtime.errors import InputError
from ..runtime.files import sha256_file

PACKAGES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "tflite-runtime",
    "ai-edge-litert",
    "flatbuffers",
    "torch",
    "onnxscript",
    "onnxoptimizer",
    "brevitas",
    "Pillow",
)
"""Distributions whose version can change what a step computes."""

OWN_SOURCE = (
    *("runtime", "devices", "compress", "export", "tools/steps"),
    *("tools/inputs.py", "tools/input_form.py", "tools/samples.py", "tools/plan.py"),
    *("tools/scoring.py", "tools/engines.py", "tools/artifact_names.py"),
)
"""Folders and files of ours whose code decides what a step computes."""

SOURCE_SUFFIXES = (".py", ".c", ".h", ".yaml")
"""C sources become part of exported folders; YAML holds what is known of devices."""

LARGEST_SOURCE_COUNT = 2000


def digest(values: Any) -> str:
    """sha256 of plain values, the same whatever the order of keys."""
    text = json.dumps(to_json(values), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def package_versions() -> dict[str, str]:
    """Installed versions of `PACKAGES`, Python's, and ours; nothing is imported."""
    from .. import __version__

    found = {"edgepress": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def own_source_sha256() -> str:
    """Hash over `OWN_SOURCE`, so that an edited checkout never reuses results of the code before."""
    root = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for part in OWN_SOURCE:
        for path in source_files(root / part):
            total.update(f"{path.relative_to(root)}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def source_files(part: Path) -> list[Path]:
    """The source files of a folder, sorted, or the file itself."""
    if part.is_file():
        return [part]
    return sorted(path for path in part.rglob("*") if path.suffix in SOURCE_SUFFIXES)


def file_sha256(path: Path, what: str) -> str:
    """Hash of an input file; one that cannot be read is an `InputError` naming what it is for."""
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(
            f"cannot read the {what}: {error.strerror}", where=str(path), hint="check the path"
        ) from error


# ------------------------------------------------------------------- a user's factory


def factory_sha256(spec: str, folder: Path | None) -> str:
    """Hash over the source a factory is made of: its module and what that imports from beside it.

    Imports are read, not run: a module's own package and the modules next to it are followed; of other packages
    the installed version counts.
    """
    module = spec.partition(":")[0]
    total = hashlib.sha256(spec.encode())
    others: set[str] = set()
    for name, path in _sources(module, folder, others):
        total.update(f"{name}\0{sha256_file(path)}\0".encode())
    for line in sorted(_versions(others)):
        total.update(line.encode())
    return total.hexdigest()


def _sources(module: str, folder: Path | None, others: set[str]) -> Iterator[tuple[str, Path]]:
    """(name, file) of `module` and of all it imports from its own package or folder; the rest goes to `others`."""
    waiting, seen = [module], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        path = _find(name, folder, module.split(".")[0])
        if path is None:
            others.add(name.split(".")[0])
            continue
        if len(seen) > LARGEST_SOURCE_COUNT:
            raise InputError(f"more than {LARGEST_SOURCE_COUNT} modules", where=module)
        yield name, path
        waiting += sorted(_imports(path, name))


def _find(name: str, folder: Path | None, top: str) -> Path | None:
    """The file of a module below `folder` or in the package `top`; None for anything else."""
    if folder is not None:
        stem = folder.joinpath(*name.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    if name.split(".")[0] != top or top in sys.stdlib_module_names:
        return None
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        return None
    origin = found.origin if found else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _imports(path: Path, name: str) -> set[str]:
    """Names that a source file imports, anywhere in it; relative ones made absolute."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # importing it will say what is wrong
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            found |= {stem, *(f"{stem}.{alias.name}" for alias in node.names)}
    return {
        ".".join(name.split(".")[:n]) for name in found for n in range(1, name.count(".") + 2)
    } - {""}


def _versions(tops: set[str]) -> Iterator[str]:
    foreign = tops - set(sys.stdlib_module_names) - {"edgepress"}
    if not foreign:
        return
    owners = metadata.packages_distributions()
    for top in foreign:
        for owner in owners.get(top, ()):
            yield f"{owner}=={metadata.version(owner)}\0"
