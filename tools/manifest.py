"""manifest.json: everything a run depended on, for whoever wants to repeat or question it."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..runtime.codec import from_json
from ..runtime.errors import InputError
from .digest import own_source_sha256, package_versions


@dataclass(frozen=True)
class Manifest:
    """What went into a run. `inputs` maps each input to its sha256; `steps` each step's folder to its key."""

    name: str
    edgepress_version: str
    created: str
    command: tuple[str, ...]
    seed: int
    threads: int
    device: str
    recipe_sha256: str
    code_sha256: str
    inputs: dict[str, str]
    packages: dict[str, str]
    host: dict[str, str]
    steps: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    finished: bool = False
    schema: str = "edgepress-run/1"


def host_facts() -> dict[str, str]:
    """This machine in words: system, processor, cores, memory."""
    facts = {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cores": str(len(os.sched_getaffinity(0))),
    }
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        facts["memory_bytes"] = str(pages * size)
    except (ValueError, OSError):
        pass
    return facts


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor() or "unknown"
    names = [
        line.partition(":")[2].strip()
        for line in text.splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def new_manifest(
    *,
    name: str,
    seed: int,
    threads: int,
    device: str,
    recipe_sha256: str,
    inputs: Mapping[str, str],
    steps: Mapping[str, str],
    sources: Sequence[str],
    command: Sequence[str],
) -> Manifest:
    """A manifest of now."""
    versions = package_versions()
    return Manifest(
        name=name,
        edgepress_version=versions["edgepress"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command) or tuple(sys.argv),
        seed=seed,
        threads=threads,
        device=device,
        recipe_sha256=recipe_sha256,
        code_sha256=own_source_sha256(),
        inputs=dict(inputs),
        packages=dict(versions),
        host=host_facts(),
        steps=dict(steps),
        sources=tuple(sources),
    )


def read_manifest(path: Path) -> Manifest | None:
    """The manifest in a file; None if there is none or it is damaged."""
    try:
        return from_json(Manifest, json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, InputError):
        return None
