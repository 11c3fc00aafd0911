"""Outputs of a device against those of this machine: no number is given for a file that computes something else there.

problem = departs(found, expected)       # "" or what is wrong, in words
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.artifact import detect_format, read_model_bytes
from ..runtime.engines import engines_for
from ..runtime.errors import MissingToolError, ParityError
from ..runtime.session import Session, open_session

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

STEPS = 1
"""Integers may be off by so many steps: kernels of x86-64 and Arm round differently in rare cases; most are equal."""

CLOSE = 0.995
"""Share of the integers that must be within `STEPS`; at most twice as many steps beyond."""

RELATIVE = 1e-4
"""Floats may differ by this share of the largest value (another order of sums, fused multiply-add)."""


def departs(found: Sequence[Array], expected: Sequence[Array]) -> str:
    """What is wrong with outputs in words, "" if nothing is."""
    if len(found) != len(expected):
        return f"{len(found)} outputs, expected {len(expected)}"
    for index, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            return f"output {index} is {mine.dtype} {mine.shape}, expected {theirs.dtype} {theirs.shape}"
        said = _integers(mine, theirs) if mine.dtype.kind in "iub" else _floats(mine, theirs)
        if said:
            return f"output {index} {said}"
    return ""


def _integers(mine: Array, theirs: Array) -> str:
    off = np.abs(mine.astype(np.int64) - theirs.astype(np.int64))
    if not off.size or (np.mean(off <= STEPS) >= CLOSE and off.max() <= 2 * STEPS):
        return ""
    return f"departs in {np.mean(off > STEPS):.2%} of its values, by up to {off.max()} steps"


def _floats(mine: Array, theirs: Array) -> str:
    a, b = mine.astype(np.float64), theirs.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))  # equal infinities too
    if same.all():
        return ""
    if not (np.isfinite(a) == np.isfinite(b)).all():
        return "has NaN or infinity in other places"
    a, b = a[~same], b[~same]
    largest = float(np.max(np.abs(theirs[np.isfinite(theirs)]), initial=0.0))
    worst = float(np.max(np.abs(a - b)))
    if worst <= RELATIVE * max(largest, 1e-6):
        return ""
    return f"departs by up to {worst:.3g} (largest value {largest:.3g}, allowed {RELATIVE:g} of it)"


def reference_session(path: Path, engine: str | None) -> Session:
    """The file on this machine, in the engine the device uses, else in another one of its format.

    Raises:
        MissingToolError: no engine for it is installed here.
    """
    fmt = detect_format(read_model_bytes(path), str(path))
    able = engines_for(fmt)
    for name in [engine] * (engine in able) + [other for other in able if other != engine]:
        try:
            return open_session(path, name)
        except MissingToolError:
            continue
    raise MissingToolError(
        f"no engine for {fmt} files is installed here to prove the device's outputs by",
        where=str(path),
        hint="edgepress doctor lists what is missing",
    )


def prove(found: Sequence[Array], expected: Sequence[Array], where: str) -> None:
    """Raise `ParityError` if outputs depart."""
    problem = departs(found, expected)
    if problem:
        raise ParityError(
            f"it computes something else there than here: {problem}",
            where=where,
            hint="edgepress verify shows which layer; try another engine or version on the device",
        )
