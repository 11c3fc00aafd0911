"""The cache: results of steps by the hash of everything that went into them.

    cache = Cache(default_folder())
    cache.put(key, folder, {"artifacts/net.int8.onnx": sha256})       # copies the files in
    outputs = cache.get(key, folder)                                  # copies them out, or None

One folder per key, made under a temporary name and renamed; every file is checked against its hash on the way
out, and a damaged entry is removed as if it had never been there. An sqlite index remembers sizes and when an
entry was last used; it can be lost (it is made again from the folders). Over the limit the least recently used
entries go. Several processes may use one cache at once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import InputError
from ..runtime.files import sha256_bytes, sha256_file, write_bytes
from .run_folder import inside

DEFAULT_LIMIT_BYTES = 2 << 30
SCHEMA = "edgepress-cache/1"
STALE_SECONDS = 3600.0
"""Temporary folders older than this belong to no living process."""

_TABLE = "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, bytes INTEGER, used REAL)"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/edgepress`, else `~/.cache/edgepress`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "edgepress"


@dataclass(frozen=True)
class CacheState:
    """What `prune` and `state` report."""

    folder: str
    entries: int
    bytes: int
    limit_bytes: int
    removed: int = 0
    freed_bytes: int = 0


class Cache:
    """A content-addressed folder with a size limit.

    Args:
        folder: made on first use.
        limit_bytes: least recently used entries go until the rest fits.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES):
        self.folder = Path(folder)
        self.limit_bytes = limit_bytes
        self._entries = self.folder / "entries"
        self._temporary = self.folder / "temporary"

    # --------------------------------------------------------------- in and out

    def get(self, key: str, target: Path) -> dict[str, str] | None:
        """Copy the files of `key` below `target`; gives {relative path: sha256}, None if it is not there or damaged."""
        entry = self._entry(key)
        outputs = self._listing(entry, key)
        if outputs is None:
            self._remove(key)
            return None
        for relative, sha256 in outputs.items():
            try:
                data = inside(entry / "files", relative).read_bytes()
            except OSError:
                self._remove(key)
                return None
            if sha256_bytes(data) != sha256:
                self._remove(key)
                return None
            write_bytes(inside(target, relative), data)
        self._touch(key)
        return outputs

    def put(self, key: str, source: Path, outputs: Mapping[str, str]) -> bool:
        """Copy files of the folder `source` in; False where it could not (disk full, read-only): never an error."""
        try:
            return self._put(key, source, outputs)
        except (OSError, InputError, sqlite3.Error):
            return False

    def _put(self, key: str, source: Path, outputs: Mapping[str, str]) -> bool:
        building = self._temporary / uuid.uuid4().hex
        try:
            for relative, sha256 in outputs.items():
                copy = inside(building / "files", relative)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(inside(source, relative), copy)
                if sha256_file(copy) != sha256:
                    return False
            building.mkdir(parents=True, exist_ok=True)
            listing = {"schema": SCHEMA, "key": key, "outputs": dict(outputs)}
            (building / "entry.json").write_text(json.dumps(listing, sort_keys=True), "utf-8")
            size = _size(building)
            if size > self.limit_bytes:
                return False
            entry = self._entry(key)
            entry.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                try:
                    building.rename(entry)
                except OSError as error:
                    if (
                        error.errno != errno.ENOTEMPTY
                    ):  # another process was first: the same content
                        raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
        self._touch(key, size)
        self._evict()
        return True

    # --------------------------------------------------------------- housekeeping

    def state(self) -> CacheState:
        """How many entries there are and what they take."""
        rows = self._rows()
        return CacheState(str(self.folder), len(rows), sum(r[1] for r in rows), self.limit_bytes)

    def prune(self, limit_bytes: int | None = None) -> CacheState:
        """Bring the cache under `limit_bytes` (its own limit if left out, 0 empties it) and sweep leftovers."""
        before = self.state()
        self._sweep()
        self._evict(limit_bytes)
        after = self.state()
        return CacheState(
            str(self.folder),
            after.entries,
            after.bytes,
            self.limit_bytes,
            removed=before.entries - after.entries,
            freed_bytes=before.bytes - after.bytes,
        )

    def _entry(self, key: str) -> Path:
        return self._entries / key[:2] / key

    def _listing(self, entry: Path, key: str) -> dict[str, str] | None:
        try:
            data = json.loads((entry / "entry.json").read_text("utf-8"))
            outputs = data["outputs"]
            if data["schema"] != SCHEMA or data["key"] != key:
                return None
            for relative in outputs:
                inside(entry, relative)
            return {str(path): str(sha256) for path, sha256 in outputs.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
            return None

    def _remove(self, key: str) -> None:
        """Take an entry away: renamed first, so that nobody reads half of it."""
        entry = self._entry(key)
        if entry.exists():
            self._temporary.mkdir(parents=True, exist_ok=True)
            grave = self._temporary / uuid.uuid4().hex
            with contextlib.suppress(OSError):
                entry.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)
        with contextlib.suppress(OSError, sqlite3.Error), self._index() as index:
            index.execute("DELETE FROM entries WHERE key = ?", (key,))

    def _evict(self, limit_bytes: int | None = None) -> None:
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        rows = self._rows()
        total = sum(size for _, size, _ in rows)
        for key, size, _ in sorted(rows, key=lambda row: row[2]):
            if total <= limit:
                return
            self._remove(key)
            total -= size

    def _sweep(self) -> None:
        """Remove temporary folders of processes that died."""
        now = time.time()
        for leftover in self._temporary.glob("*") if self._temporary.is_dir() else ():
            with contextlib.suppress(OSError):
                if now - leftover.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(leftover, ignore_errors=True)

    # --------------------------------------------------------------- the index

    @contextlib.contextmanager
    def _index(self) -> Iterator[sqlite3.Connection]:
        """The index, open; a damaged one is thrown away and made again from the folders."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "index.sqlite"
        try:
            connection = self._open_index(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            path.unlink(missing_ok=True)
            connection = self._open_index(path)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def _open_index(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=30.0)
        try:
            connection.execute(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _touch(self, key: str, size: int | None = None) -> None:
        """Note that `key` was used now."""
        entry = self._entry(key)
        with contextlib.suppress(OSError, sqlite3.Error), self._index() as index:
            size = _size(entry) if size is None else size
            index.execute("REPLACE INTO entries VALUES (?, ?, ?)", (key, size, time.time()))

    def _rows(self) -> list[tuple[str, int, float]]:
        """(key, bytes, last use) of every entry on disk; what the index does not know counts as old as its folder."""
        known: dict[str, tuple[int, float]] = {}
        with contextlib.suppress(OSError, sqlite3.Error), self._index() as index:
            known = {k: (b, u) for k, b, u in index.execute("SELECT key, bytes, used FROM entries")}
        rows = []
        for entry in self._entries.glob("*/*") if self._entries.is_dir() else ():
            with contextlib.suppress(OSError):
                size, used = known.get(entry.name) or (_size(entry), entry.stat().st_mtime)
                rows.append((entry.name, size, used))
        return rows


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
