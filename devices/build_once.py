"""Folders that are made once: under a temporary name, renamed when whole, named by what went into them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import LocalDiskFullError
from ..runtime.files import TEMPORARY_SUFFIX, sha256_bytes, write_text

RECEIPT = "receipt.json"


@dataclass(frozen=True)
class Part:
    """One made folder. `seconds` is what making it took, 0 where it was there already; `facts` tell what is in it."""

    name: str
    folder: Path
    bytes: int
    seconds: float
    facts: dict[str, str]


def key_of(*ingredients: object) -> str:
    """Short content hash of what a folder is made of (plain values)."""
    text = json.dumps(ingredients, sort_keys=True, default=str)
    return sha256_bytes(text.encode())[:16]


def build_once(name: str, folder: Path, build: Callable[[Path], dict[str, str]]) -> Part:
    """The folder, made by `build(temporary folder) -> facts` if it is not there.

    A killed or failed build leaves nothing under the final name; other processes wait for it.

    Raises:
        LocalDiskFullError: no space left; the half-made folder is removed.
        EdgepressError: whatever `build` raises.
    """
    if (folder / RECEIPT).is_file():
        return _part(name, folder, 0.0)
    with _lock(folder.parent):
        if (folder / RECEIPT).is_file():
            return _part(name, folder, 0.0)
        start = time.monotonic()
        temporary = folder.with_name(f".{folder.name}{TEMPORARY_SUFFIX}")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            facts = build(temporary)
            kept = {"bytes": str(_bytes(temporary)), **facts}
            write_text(temporary / RECEIPT, json.dumps(kept, indent=1, sort_keys=True))
            temporary.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise LocalDiskFullError(
                    f"no space left while making the {name}",
                    where=str(folder.parent),
                    hint="free a gigabyte, or set XDG_CACHE_HOME to a larger disk",
                ) from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return _part(name, folder, time.monotonic() - start)


def _part(name: str, folder: Path, seconds: float) -> Part:
    facts: dict[str, Any] = json.loads((folder / RECEIPT).read_text("utf-8"))
    size = int(facts.pop("bytes", 0))
    return Part(name, folder, size, seconds, {key: str(value) for key, value in facts.items()})


def _bytes(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        total += sum((Path(where) / name).lstat().st_size for name in names)
    return total


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Only one process builds below `folder`; the lock goes with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
