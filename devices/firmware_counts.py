"""Executed instructions between marks of a firmware, from the lines of the counting plugin.

An instruction in an IT block counts also where its condition does not hold: the core fetches it all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..runtime.errors import InputError, ToolFailedError


@dataclass(frozen=True)
class Interval:
    """Instructions from passing one mark to passing the next; `vector` is the test vector they belong to."""

    vector: int
    begin: str
    end: str
    instructions: int


@dataclass(frozen=True)
class Counts:
    """`steps`: instructions of the program for each vector, from its first to the return; `intervals`: between
    all marks within a vector, in the order of execution, summing up to its step."""

    steps: tuple[int, ...]
    intervals: tuple[Interval, ...]


def read_counts(text: str, marks: Sequence[str], vectors: int) -> Counts:
    """Counts of a run.

    Args:
        text: the plugin's file: one JSON line a mark that was passed.
        marks: names of the marks; the first is the program's beginning, the second where it has returned to.
        vectors: how often the program was called.

    Raises:
        InputError: a mark was passed too often.
        ToolFailedError: lines are missing or not the plugin's.
    """
    passed = _passed(text, marks)
    steps: list[int] = []
    intervals: list[Interval] = []
    begin, returned = marks[0], marks[1]
    started, last = None, None
    for name, total in passed:
        if started is None:
            if name != begin:
                continue  # before the first step, as constructors
            started = last = (name, total)
            continue
        if last is not None:
            intervals.append(Interval(len(steps), last[0], name, total - last[1]))
        last = (name, total)
        if name == returned:
            steps.append(total - started[1])
            started = last = None
    if len(steps) != vectors:
        raise ToolFailedError(
            f"the counting plugin saw {len(steps)} of {vectors} steps", where="count_plugin.c"
        )
    return Counts(tuple(steps), tuple(intervals))


def _passed(text: str, marks: Sequence[str]) -> list[tuple[str, int]]:
    try:
        rows = [json.loads(line) for line in text.splitlines()]
        numbers = [(int(row["mark"]), int(row["total"])) for row in rows]
        if any(mark == -2 for mark, _ in numbers):
            raise InputError(
                "the marks were passed more than a million times",
                hint="mark functions that are called less often",
            )
        return [(marks[mark], total) for mark, total in numbers if mark >= 0]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ToolFailedError("the counting plugin's file is damaged", where="counts") from error
