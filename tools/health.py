"""What `edgepress doctor` looks at: Python, packages, engines, torch, cache, disk, data."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

OK, NOTE, BAD = "ok", "note", "error"
LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One fact. `state` is "ok", "note" (works, worth knowing) or "error" (something will not work)."""

    area: str
    name: str
    value: str
    state: str = OK
    hint: str = ""


def python_findings() -> list[Finding]:
    """The interpreter."""
    version = platform.python_version()
    known = (3, 11) <= sys.version_info[:2] <= (3, 13)
    hint = "" if known else "use Python 3.11, 3.12 or 3.13"
    return [Finding("python", sys.executable, version, OK if known else BAD, hint)]


def package_findings() -> list[Finding]:
    """Every package edgepress asks for: installed, within its range, and the version it is tested with."""
    tested = _tested_versions()
    found = []
    for line in importlib.metadata.requires("edgepress") or ():
        requirement, _, marker = line.partition(";")
        extra = _extra(marker)
        if extra == "dev" or not _applies(marker):
            continue
        name = re.split(r"[<>=!~ \[]", requirement.strip(), maxsplit=1)[0]
        found.append(_package(name, requirement.strip(), extra, tested.get(_key(name))))
    required = {f.name for f in found if f.area == "package"}
    return [f for f in found if f.area == "package" or f.name not in required]


def _package(name: str, requirement: str, extra: str, tested: str | None) -> Finding:
    area = f"package of extra {extra}" if extra else "package"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        what = f"edgepress[{extra}]" if extra else requirement
        return Finding(area, name, "not installed", NOTE if extra else BAD, f"pip install '{what}'")
    if not _within(version, requirement):
        return Finding(area, name, version, BAD, f"pip install '{requirement}'")
    if tested is not None and version.partition("+")[0] != tested:
        return Finding(area, name, version, NOTE, f"tested with {tested}")
    return Finding(area, name, version)


def _extra(marker: str) -> str:
    found = re.search(r'extra\s*==\s*"(\w+)"', marker)
    return found.group(1) if found else ""


def _applies(marker: str) -> bool:
    """True if an environment marker holds here, whatever the extra."""
    plain = re.sub(r'extra\s*==\s*"\w+"', 'python_version > "3"', marker).strip()
    if not plain:
        return True
    from packaging.markers import Marker

    return bool(Marker(plain).evaluate())


def _within(version: str, requirement: str) -> bool:
    from packaging.requirements import Requirement

    return bool(
        Requirement(requirement).specifier.contains(version.partition("+")[0], prereleases=True)
    )


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _tested_versions() -> dict[str, str]:
    """Versions of constraints.txt that apply here; empty for an installation without the file."""
    path = Path(__file__).parent.parent / "constraints.txt"
    if not path.is_file():
        return {}
    versions = {}
    for line in path.read_text("utf-8").splitlines():
        pinned, _, marker = line.partition("#")[0].partition(";")
        name, separator, version = pinned.strip().partition("==")
        if separator and _applies(marker):
            versions[_key(name)] = version.strip()
    return versions


def engine_findings() -> list[Finding]:
    """Every engine: usable, or why not. A format without any usable engine is an error."""
    from ..runtime.engines import engines_for, installed_engines

    states = installed_engines()
    found = []
    for form in ("onnx", "tflite"):
        usable = [name for name in engines_for(form) if not states[name].startswith("not usable")]
        for name in engines_for(form):
            lost = BAD if not usable else NOTE
            found.append(
                Finding("engine", f"{name} ({form})", states[name], OK if name in usable else lost)
            )
    return found


def torch_findings() -> list[Finding]:
    """torch and what it can train on; without it, ONNX files still work."""
    try:
        import torch
    except ImportError:
        hint = "pip install 'edgepress[torch]' for training, torch models and the zoo"
        return [Finding("torch", "torch", "not installed", NOTE, hint)]
    cuda = "not available, training runs on the CPU"
    if torch.cuda.is_available():
        cuda = f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    return [
        Finding("torch", "threads", f"{torch.get_num_threads()}"),
        Finding("torch", "cuda", cuda),
    ]


def cache_findings() -> list[Finding]:
    """Size and limit of the cache of finished steps."""
    from .cache import Cache, default_folder
    from .render import number

    state = Cache(default_folder()).state()
    sizes = [f"{number(size / 2**20)} MiB" for size in (state.bytes, state.limit_bytes)]
    text = f"{state.entries} entries, {sizes[0]} of {sizes[1]}"
    full = state.bytes > state.limit_bytes
    return [
        Finding(
            "cache",
            state.folder,
            text,
            NOTE if full else OK,
            "edgepress doctor --prune" if full else "",
        )
    ]


def disk_findings() -> list[Finding]:
    """Free space here and where the cache is."""
    from .cache import default_folder
    from .render import number

    found = []
    for folder in dict.fromkeys([Path.cwd(), _existing(default_folder())]):
        free = shutil.disk_usage(folder).free
        low = free < LOW_DISK_BYTES
        text = f"{number(free / 2**30)} GiB free"
        hint = "runs need some hundred MiB" if low else ""
        found.append(Finding("disk", str(folder), text, NOTE if low else OK, hint))
    return found


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def data_findings(data: Path | None) -> list[Finding]:
    """Which data sets are at hand."""
    from ..compress import datasets
    from ..runtime.errors import EdgepressError

    found = []
    for name in datasets.names():
        try:
            task = datasets.task(name, data)
        except EdgepressError as error:
            found.append(Finding("data", name, error.what, NOTE, error.hint or ""))
            continue
        found.append(Finding("data", name, ", ".join(task.loaders)))
    return found
