"""Marks around invokes, for whoever counts the instructions of this process from outside (an emulator's plugin).

A mark is the closing of a descriptor number that cannot exist: it changes nothing, and the emulator sees it.
"""

from __future__ import annotations

import contextlib
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


@dataclass(frozen=True)
class MarkedRun:
    """`markers` marks in a row (their distance is what a mark itself costs), then one after each of `invokes`."""

    markers: int
    invokes: int


def mark(number: int) -> None:
    """Make mark `number` visible."""
    with contextlib.suppress(OSError):
        os.close(MARK_FIRST + number)


def count_session(
    session: Session, inputs: Sequence[Array], invokes: int = 4, markers: int = 6
) -> MarkedRun:
    """Invoke with marks between, nothing else in between; the garbage collector is off.

    The first intervals hold caches being filled, so whoever counts takes the last of each kind.

    Raises:
        InputError: the inputs do not fit or the engine cannot run them.
    """
    session.set_inputs(inputs)
    invoke = session.invoke
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(markers):
            mark(number)
        for number in range(markers, markers + invokes):
            invoke()
            mark(number)
    finally:
        if collecting:
            gc.enable()
    return MarkedRun(markers, invokes)
