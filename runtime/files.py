"""Files written whole or not at all, and their hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import Iterator

from .errors import LocalDiskFullError, UsageError

TEMPORARY_SUFFIX = ".edgepress-tmp"


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's content, read in 1 MiB blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed onto `path`.

    On any error the temporary file is removed and `path` keeps its old content. A full disk
    becomes `LocalDiskFullError`. A killed process may leave `*.edgepress-tmp`, see `sweep`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LocalDiskFullError(
                "no space left on this disk; nothing was written",
                where=str(path),
                hint="free some space or choose another output folder, then run again",
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> Path:
    """Write `data` to `path` atomically; gives `path` back."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8 to `path` atomically; gives `path` back."""
    return write_bytes(path, text.encode("utf-8"))


def refuse_overwrite(path: Path, force: bool) -> None:
    """Raise `UsageError` if `path` exists and `force` is off."""
    if not force and Path(path).exists():
        raise UsageError("the file exists", where=str(path), hint="pass --force to overwrite it")


def sweep(folder: Path) -> int:
    """Remove what a killed process left half-written below `folder`; gives the count."""
    count = 0
    for leftover in Path(folder).rglob(f".*{TEMPORARY_SUFFIX}"):
        leftover.unlink()
        count += 1
    return count
