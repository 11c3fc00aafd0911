"""The receipt of a step that makes one model of another: both scored, both counted, what was saved in front."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from ...compress.receipt import LayerRow, Receipt
from ..recipe import recipe_values
from ..scoring import footprint, validation_scores
from .base import Workplace


@dataclasses.dataclass(frozen=True)
class Side:
    """A model before or after: the file that is scored, and what is counted, that file or a hub."""

    file: Path
    counted: Any


def comparing_receipt(
    name: str,
    options: Any,
    place: Workplace,
    start: float,
    sides: tuple[Side, Side],
    *,
    layers: tuple[LayerRow, ...] = (),
    notes: tuple[str, ...] = (),
) -> Receipt:
    """What the step `name` changed.

    Args:
        start: `time.perf_counter()` when it began.
        sides: before and after.
    """
    task, threads = place.inputs.task, place.recipe.threads
    before, after = (validation_scores(s.file, task, threads, place.progress) for s in sides)
    receipt = Receipt(
        step=name,
        options=recipe_values(options),
        seed=place.recipe.seed,
        seconds=time.perf_counter() - start,
        score_before=before,
        score_after=after,
        before=footprint(sides[0].counted),
        after=footprint(sides[1].counted),
        layers=layers,
        notes=notes,
    )
    return dataclasses.replace(receipt, notes=(receipt.saving_note(), *receipt.notes))
