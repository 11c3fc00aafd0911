"""History: one results document a line, only ever added to; an sqlite index that can be made again at any time.

append(results, Path("history.jsonl"))
for trend in trends(Path("history.jsonl"), tolerance=0.05): ...
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...runtime.errors import InputError, UsageError
from ...runtime.files import sha256_file
from .records import Entry, Results, name_of, results_json, results_of
from .steps import Segment, last_step_up, segments

INDEX_SUFFIX = ".sqlite"
_TABLES = """
CREATE TABLE source (sha256 TEXT);
CREATE TABLE points (
    model TEXT, device TEXT, engine TEXT, threads INTEGER, metric TEXT, evidence TEXT, line INTEGER,
    created TEXT, revision TEXT, value REAL, low REAL, high REAL, better TEXT, unit TEXT);
"""
_SERIES = "model, device, engine, threads, metric, evidence"


@dataclass(frozen=True)
class Point:
    """One value of a series, and where in the history it stands."""

    line: int
    created: str
    commit: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Trend:
    """One number over time.

    `since` is the first point of the last step for the worse beyond the tolerance, `change` that step as a share.
    `above_best`: how much worse the last segment is than the best one; small steps add up there.
    """

    name: str
    unit: str
    points: tuple[Point, ...]
    segments: tuple[Segment, ...]
    since: Point | None = None
    change: float = 0.0
    above_best: float = 0.0


def append(results: Results, path: Path) -> None:
    """Add results as one line; raw samples and verdicts stay behind.

    Raises:
        InputError: the file's last line is torn: what follows would be lost with it.
    """
    entries = tuple(
        replace(e, processes=tuple(replace(p, samples_us=None) for p in e.processes))
        for e in results.entries
    )
    kept = results_json(replace(results, entries=entries, judgements=()))
    line = json.dumps(kept, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # two jobs of one runner may add at once
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                raise InputError(
                    "the last line is not whole", where=str(path), hint="remove that line"
                )
        stream.write(line.encode("utf-8"))


def read_history(path: Path) -> list[Results]:
    """All results of a history.

    Raises:
        InputError: a line is damaged; names it.
    """
    found = []
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the history: {error}", where=str(path)) from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            raise InputError(f"not JSON: {error}", where=f"{path}:{number}") from error
        found.append(results_of(data, f"{path}:{number}"))
    return found


def best_of(path: Path, last: int) -> Results:
    """The best value of every number among the last `last` results: against it, drift cannot ratchet.

    Raises:
        UsageError: the history is empty.
    """
    recent = read_history(path)[-last:]
    if not recent:
        raise UsageError("the history is empty", where=str(path))
    best: dict[object, Entry] = {}
    for entry in (entry for results in recent for entry in results.entries):
        old = best.get(entry.key)
        sign = -1.0 if entry.better == "higher" else 1.0
        if old is None or sign * entry.location < sign * old.location:
            best[entry.key] = entry
    return replace(recent[-1], entries=tuple(best.values()))


@contextlib.contextmanager
def open_index(path: Path, index: Path | None = None) -> Iterator[sqlite3.Connection]:
    """The index of a history, made (again) where it is missing, damaged or of another content."""
    where = index or path.with_suffix(INDEX_SUFFIX)
    digest = sha256_file(path) if path.is_file() else ""
    with contextlib.closing(_fresh(where, digest) or _build(path, where, digest)) as connection:
        yield connection


def _fresh(where: Path, digest: str) -> sqlite3.Connection | None:
    """The index if it is the one of this content."""
    if not where.is_file():
        return None
    connection = sqlite3.connect(where)
    try:
        row = connection.execute("SELECT sha256 FROM source").fetchone()
        connection.execute(f"SELECT {_SERIES}, low, revision FROM points LIMIT 1")
    except sqlite3.Error:
        row = None
    if row == (digest,):
        return connection
    connection.close()
    return None


def _build(path: Path, where: Path, digest: str) -> sqlite3.Connection:
    """Make the index under a temporary name and move it into place."""
    history = read_history(path)
    where.parent.mkdir(parents=True, exist_ok=True)
    temporary = where.with_name(f".{where.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(temporary)) as connection:
            connection.executescript(_TABLES)
            connection.execute("INSERT INTO source VALUES (?)", (digest,))
            for line, results in enumerate(history, 1):
                connection.executemany(
                    f"INSERT INTO points VALUES ({', '.join('?' * 14)})",
                    [_row(entry, line, results) for entry in results.entries],
                )
            connection.commit()
        temporary.replace(where)
    finally:
        temporary.unlink(missing_ok=True)
    return sqlite3.connect(where)


def _row(entry: Entry, line: int, results: Results) -> tuple[object, ...]:
    low, high = entry.ci95 or (None, None)
    series = (*entry.key, entry.evidence)
    when = (line, results.created, results.commit)
    return (*series, *when, entry.location, low, high, entry.better, entry.unit)


def trends(path: Path, tolerance: float, index: Path | None = None) -> list[Trend]:
    """Every number of a history with its steps.

    Raises:
        InputError: there is no such history, or it is damaged.
    """
    found = []
    with open_index(path, index) as connection:
        listed = (
            f"SELECT {_SERIES}, better, unit FROM points GROUP BY {_SERIES} ORDER BY min(rowid)"
        )
        for *series, better, unit in connection.execute(listed).fetchall():
            where = " AND ".join(f"{name.strip()} = ?" for name in _SERIES.split(","))
            rows = connection.execute(
                "SELECT line, created, revision, value, low, high FROM points "
                f"WHERE {where} AND value IS NOT NULL ORDER BY line",
                series,
            )
            points = tuple(Point(*row) for row in rows)
            *key, evidence = series
            name = f"{name_of((key[0], key[1], key[2], key[3], key[4]))} ({evidence})"
            found.append(_trend(name, unit, points, tolerance, better == "higher"))
    return found


def _trend(
    name: str, unit: str, points: tuple[Point, ...], tolerance: float, higher: bool
) -> Trend:
    fit = segments([p.value for p in points], _weights(points))
    step = last_step_up(fit, tolerance, higher_is_better=higher)
    best = (max if higher else min)((s.level for s in fit), default=0.0)
    above = abs(fit[-1].level / best - 1) if best else 0.0
    if step is None:
        return Trend(name, unit, points, fit, above_best=above)
    before, after = step
    change = after.level / before.level - 1 if before.level else 0.0
    return Trend(name, unit, points, fit, points[after.start], change, above)


def _weights(points: tuple[Point, ...]) -> list[float]:
    """One over the interval's width; the narrowest do not outweigh the typical one by more than ten."""
    widths = [p.high - p.low if p.low is not None and p.high is not None else 0.0 for p in points]
    typical = sorted(widths)[len(widths) // 2] if widths else 0.0
    if typical <= 0:
        return [1.0] * len(points)
    return [1.0 / max(width, typical / 10) for width in widths]
