"""The on-board program as one file: a zipapp of `runtime/`, the same bytes for the same sources."""

from __future__ import annotations

import io
import zipfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ..runtime.files import sha256_bytes, write_bytes

_MAIN = b"import sys\n\nfrom edgepress.runtime.agent import main\n\nsys.exit(main())\n"
_PACKAGE = b'"""The part of edgepress that runs on the board."""\n'
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def agent_bytes() -> bytes:
    """The zipapp; `python3 AGENT run|count|time FILE ...` (see `runtime/agent.py`). Uncompressed: 200 kB."""
    members = {"__main__.py": _MAIN, "edgepress/__init__.py": _PACKAGE}
    root = resources.files("edgepress.runtime")
    members |= {f"edgepress/runtime/{name}": data for name, data in _sources(root, "")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, _TIMESTAMP)
            member.external_attr = 0o644 << 16
            member.create_system = 3
            archive.writestr(member, members[name])
    return buffer.getvalue()


def write_agent(folder: Path) -> Path:
    """The zipapp in `folder`, named by its content; written only if it is not there."""
    data = agent_bytes()
    path = folder / f"agent-{sha256_bytes(data)[:16]}.pyz"
    return path if path.is_file() else write_bytes(path, data)


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            found += _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
