"""The corruption track: trained networks on damaged test inputs. Results are kept beside the trainings."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...compress.datasets.corruptions import SEVERITIES, corrupt, kinds_for
from ...compress.progress import Progress
from ...compress.task import Split, Task
from ...runtime.files import write_text
from . import formulas
from .records import FLOAT, OVERALL, Case, Figure

Scores = dict[str, float]
"""Kind of damage (or "clean") -> accuracy in per cent, mean over the severities."""


def damaged_scores(
    model: Any, task: Task, samples: int, keep: Path, progress: Progress | None = None
) -> Scores:
    """Accuracies of `model` on the first `samples` (0: all) test inputs, clean and damaged.

    Read from `keep` if that is there, else written to it.
    """
    from ...compress.evaluation import judge

    if keep.is_file():
        found: Scores = json.loads(keep.read_text("utf-8"))
        return found
    split = task.load("test")
    split = split.spread(samples) if samples else split
    scores = {"clean": judge(model, task, split).value}
    for kind in kinds_for(task.input_shapes[0]):
        values = [
            judge(model, task, _damaged(split, kind, severity)).value for severity in SEVERITIES
        ]
        scores[kind] = statistics.mean(values)
        if progress is not None:
            progress.advance(1, kind=kind, accuracy=round(scores[kind], 1))
    write_text(keep, json.dumps({**scores, "samples": len(split)}, indent=1) + "\n")
    return {**scores, "samples": len(split)}


def _damaged(split: Split, kind: str, severity: int) -> Split:
    worse = corrupt(split.inputs[0], kind, severity)
    return Split(split.name, (worse, *split.inputs[1:]), split.targets)


def corruption_track(
    operator: str, full: Mapping[Case, Scores], binary: Mapping[Case, Scores], seeds: int
) -> list[Figure]:
    """Accuracy under every kind of damage, G / G_b, and its quadratic mean over kinds and cases."""
    figures, ratios = [], []
    for case, scores in binary.items():
        samples = int(scores["samples"])
        for kind, value in scores.items():
            if kind == "samples":
                continue
            item = f"{case.name} {kind}"
            figures.append(
                Figure("corruption", operator, item, "accuracy", value, "%", "host", samples, seeds)
            )
            if kind == "clean" or operator == FLOAT:
                continue
            ratio = formulas.robustness(
                full[case]["clean"], full[case][kind], scores["clean"], value
            )
            ratios.append(ratio)
            figures.append(Figure("corruption", operator, item, "gap_ratio", ratio))
    if operator != FLOAT:
        overall = formulas.overall_robustness(ratios)
        figures.append(Figure("corruption", operator, OVERALL, "gap_ratio", overall))
    return figures


def mean_scores(many: list[Scores]) -> Scores:
    """Mean over seeds."""
    return {kind: statistics.mean(one[kind] for one in many) for kind in many[0]}
