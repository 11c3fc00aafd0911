"""Marks around invokes, for whoever counts the instructions of this process from outside (an emulator's plugin).

A mark is the closing of a descriptor number that cannot exist: it changes nothing, and the emulator sees it.
"""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

from .session import Session

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

MARK_FIRST = 0x7E000000
"""Descriptor number of mark 0; mark n is n more."""

MARKERS, INVOKES = 3, 4
"""Marks in a row, then invokes with a mark after each.

Seven in all: CPython rewrites a function (and a loop) to faster code at its eighth run, and a mark must cost the same
alone and after an invoke. The first invoke packs weights and is larger; from the second on all are alike.
"""


@dataclass(frozen=True)
class MarkedRun:
    """How many marks came in a row (their distance is what a mark costs), and after how many invokes."""

    markers: int
    invokes: int


def mark(number: int) -> None:
    """Make mark `number` visible."""
    # contextlib.suppress would cost half as much again, beside networks of 50,000 instructions
    try:  # noqa: SIM105
        os.close(MARK_FIRST + number)
    except OSError:
        pass


def count_session(session: Session, inputs: Sequence[Array]) -> MarkedRun:
    """Invoke with marks between and nothing else; the garbage collector is off. Once per process.

    Raises:
        InputError: the inputs do not fit or the engine cannot run them.
    """
    session.set_inputs(inputs)
    invoke = session.invoke
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(MARKERS):
            mark(number)
        for number in range(MARKERS, MARKERS + INVOKES):
            invoke()
            mark(number)
    finally:
        if collecting:
            gc.enable()
    return MarkedRun(MARKERS, INVOKES)
