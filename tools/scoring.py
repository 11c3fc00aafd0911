"""How well a file does on a split: raw samples in, real values out, the task's metric over all of them.

The engine quantizes and moves axes as the file says (runtime/real_values.py); no one knows here what is inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compress.evaluation import score_outputs
from ..compress.receipt import Footprint, Score
from ..compress.task import Array, Split, Task
from ..runtime.session import Session, open_session, run_real

if TYPE_CHECKING:
    from ..compress.progress import Progress

VALIDATION_SAMPLES = 2000
"""Receipts look at so many samples of the validation split at most, spread over it."""


def run_split(session: Session, split: Split, progress: Progress | None = None) -> list[Array]:
    """Real outputs over a whole split, one array per output, samples first."""
    rows: list[list[Array]] = []
    for index in range(len(split)):
        sample = [np.asarray(x[index : index + 1]) for x in split.inputs]
        rows.append(run_real(session, sample))
        if progress is not None:
            progress.advance()
    return [np.concatenate(values) for values in zip(*rows, strict=True)]


def score_file(
    path: Path, task: Task, split: Split, threads: int = 1, progress: Progress | None = None
) -> Score:
    """Score of an ONNX or TFLite file in its format's first engine."""
    session = open_session(path, threads=threads)
    if progress is not None:
        progress.stage(f"score {path.stem} on {split.name}", len(split))
    return score_outputs(task, split, run_split(session, split, progress))


def validation_scores(
    path: Path, task: Task | None, threads: int = 1, progress: Progress | None = None
) -> tuple[Score, ...]:
    """What a receipt shows: the score on validation data, nothing without a task or such a split."""
    if task is None or "validation" not in task.loaders:
        return ()
    split = task.load("validation").spread(VALIDATION_SAMPLES)
    return (score_file(path, task, split, threads, progress),)


def loss_of(before: Score, after: Score) -> float:
    """How much worse `after` is, in points of the metric; negative if it is better."""
    return (before.value - after.value) * (1.0 if before.higher_is_better else -1.0)


def footprint(model: Any) -> Footprint:
    """Computed size of an ONNX or TFLite file (path) or model, every weight at its real bit width."""
    from ..devices.layers import layer_table

    table = layer_table(model)
    return Footprint(
        parameters=table.parameters,
        macs=table.macs,
        bit_operations=table.bit_operations,
        packed_weight_bytes=table.weight_bytes,
    )
