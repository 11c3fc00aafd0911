"""Accuracy of every file in every engine on the test split, and what it loses against the float model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...compress.evaluation import score_outputs
from ...compress.receipt import Receipt, Score
from ...compress.task import Array, Split, Task
from ...runtime.session import open_session
from ..artifact_names import kinds
from ..engines import usable_engines
from ..recipe import recipe_values
from ..recipe_records import EvaluateOptions
from ..run_folder import write_json
from ..scoring import loss_of, run_split
from .base import Step, Workplace
from .export import read_exported
from .verify import engines_of

if TYPE_CHECKING:
    from ..inputs import Inputs


@dataclass(frozen=True)
class ScoreRow:
    """One line of scores.json. The row with an empty `artifact` is the float model, engine onnxruntime.

    `loss` is how much worse than that the file is, in points of the metric; `agreement` the share of samples with
    the same top-1 as the float model, in per cent (classification only).
    """

    artifact: str
    precision: str
    engine: str
    engine_version: str
    score: Score
    loss: float | None = None
    agreement: float | None = None
    evidence: str = "host"


class EvaluateStep(Step):
    """Files + test split -> scores.json. The only step that reads test labels."""

    name: ClassVar[str] = "evaluate"
    takes: ClassVar[tuple[str, ...]] = ("float_hub", "artifacts")
    gives: ClassVar[Mapping[str, str]] = {"scores": "scores.json"}

    def __init__(self, options: EvaluateOptions):
        self.options = options

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """Options, data, engines with their versions."""
        return {
            "options": recipe_values(self.options),
            "task": inputs.hashes.get("task"),
            "engines": usable_engines(self.options.engines, kinds(inputs.recipe.export)),
        }

    def title(self) -> str:
        """One line for plans."""
        return "accuracy of every file on the test split"

    def work(self, place: Workplace) -> Receipt:
        """Score the float model and every file on every test split."""
        start = time.perf_counter()
        task = place.inputs.need_task("evaluation")
        rows: list[ScoreRow] = []
        for name in self._splits(task):
            split = task.load(name)
            count = self.options.samples
            rows += self._on(split if count is None else split.spread(count), task, place)
        write_json(place.own("scores.json"), rows)
        return Receipt(
            step=self.name,
            options=recipe_values(self.options),
            seed=place.recipe.seed,
            seconds=time.perf_counter() - start,
            score_before=tuple(row.score for row in rows if not row.artifact),
            notes=tuple(_sentence(row) for row in rows if row.artifact),
        )

    def _splits(self, task: Task) -> tuple[str, ...]:
        known = [name for name in task.loaders if name == "test" or name.startswith("test_")]
        return self.options.splits or tuple(known)

    def _on(self, split: Split, task: Task, place: Workplace) -> list[ScoreRow]:
        """Rows of one split; the float model first."""
        path, threads = place.taken["float_hub"], place.recipe.threads
        session = open_session(path, threads=threads)
        place.progress.stage(f"float model on {split.name}", len(split))
        right = run_split(session, split, place.progress)
        base = score_outputs(task, split, right)
        rows = [ScoreRow("", "float32", session.engine, session.engine_version, base)]
        engines = usable_engines(self.options.engines, kinds(place.recipe.export))
        for exported in read_exported(place.taken["artifacts"]):
            for engine in engines_of(exported, engines):
                file = place.run / "artifacts" / exported.file
                session = open_session(file, engine, threads=threads)
                place.progress.stage(f"{exported.file} in {engine} on {split.name}", len(split))
                found = run_split(session, split, place.progress)
                score = score_outputs(task, split, found)
                rows.append(
                    ScoreRow(
                        artifact=exported.file,
                        precision=exported.precision,
                        engine=engine,
                        engine_version=session.engine_version,
                        score=score,
                        loss=loss_of(base, score),
                        agreement=top1_agreement(task, right[0], found[0]),
                    )
                )
        return rows


def top1_agreement(task: Task, right: Array, found: Array) -> float | None:
    """Share of samples with the same largest output, in per cent; None where the task has no classes."""
    if task.kind != "classification":
        return None
    a, b = (x.reshape(len(x), -1).argmax(1) for x in (right, found))
    return float(np.mean(a == b) * 100.0)


def _sentence(row: ScoreRow) -> str:
    score = row.score
    text = f"{row.artifact} in {row.engine}: {score.metric} {score.value:.4g} {score.unit}".rstrip()
    text += f" on {score.split}, {score.samples} samples (host)"
    if row.loss is not None:
        text += f", {row.loss:+.3g} lost against the float model"
    return text
