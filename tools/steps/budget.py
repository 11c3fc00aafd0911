"""The recipe's limits against what was found: verdicts.json. A broken limit ends the run with exit code 1."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.receipt import Receipt
from ..recipe import recipe_values
from ..recipe_records import BudgetOptions
from ..run_folder import write_json
from .base import Failure, Step, Workplace
from .export import Exported, read_exported

if TYPE_CHECKING:
    from ..inputs import Inputs


@dataclass(frozen=True)
class VerdictRow:
    """One limit on one file. `outcome` is "pass", "warn" (a kind of pass), "fail" or "invalid" (nothing to judge)."""

    name: str
    limit: float
    value: float | None
    unit: str
    outcome: str
    reason: str
    artifact: str
    engine: str = ""
    evidence: str = ""


class BudgetStep(Step):
    """Files, scores and measurements -> verdicts.json. Judged on every call: it costs nothing."""

    name: ClassVar[str] = "budget"
    cacheable: ClassVar[bool] = False
    keepable: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("artifacts", "scores", "measurements")

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """The limits."""
        return {"options": recipe_values(inputs.recipe.budget)}

    def title(self) -> str:
        """One line for plans."""
        return "hold the files to the budget"

    def work(self, place: Workplace) -> Receipt:
        """Judge every limit on every compressed file."""
        start = time.perf_counter()
        rows = list(verdicts(place))
        write_json(place.shared("verdicts.json"), rows)
        notes = tuple(f"{r.artifact} {r.name}: {r.outcome}, {r.reason}" for r in rows)
        return Receipt(
            step=self.name,
            options=recipe_values(place.recipe.budget),
            seed=place.recipe.seed,
            seconds=time.perf_counter() - start,
            notes=notes or ("the recipe sets no limits",),
        )

    def failure(self, place: Workplace) -> Failure | None:
        """The first broken limit; else the first that could not be judged (exit code 3)."""
        rows = json.loads((place.run / "verdicts.json").read_text("utf-8"))
        for outcome, code in (("fail", 1), ("invalid", 3)):
            for row in rows:
                if row["outcome"] == outcome:
                    what = f"{row['artifact']} breaks the budget: {row['reason']}"
                    if code == 3:
                        what = f"no verdict on {row['name']} of {row['artifact']}: {row['reason']}"
                    return Failure(self.name, what, code, hint="see budget in the recipe")
        return None


def judged_files(rows: tuple[Exported, ...]) -> tuple[Exported, ...]:
    """The compressed files; all of them if every one is float32."""
    return tuple(row for row in rows if row.precision != "float32") or rows


def verdicts(place: Workplace) -> Iterator[VerdictRow]:
    """Every limit of the recipe on every file it applies to."""
    budget = place.recipe.budget
    scores = _read(place, "scores")
    for row in judged_files(read_exported(place.taken["artifacts"])):
        # Neither the bytes of C sources nor those of a file for exchange are what a device stores.
        if row.format == "qonnx":
            continue
        if budget.file_bytes is not None and row.format != "c":
            yield _at_most("file_bytes", budget.file_bytes, row.file_bytes, "B", row.file)
        yield from _score_verdicts(budget, row, [s for s in scores if s["artifact"] == row.file])
        if budget.latency_ms is not None:
            yield from _latency_verdicts(budget.latency_ms, row, place)


def _read(place: Workplace, role: str) -> list[dict[str, Any]]:
    """Rows of an earlier step's file; none if the step was left out."""
    path = place.taken.get(role)
    if path is None or not path.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return rows


def _score_verdicts(
    budget: BudgetOptions, row: Exported, scores: list[dict[str, Any]]
) -> Iterator[VerdictRow]:
    for name, limit in (("accuracy_drop", budget.accuracy_drop), ("accuracy", budget.accuracy)):
        if limit is None:
            continue
        if not scores:
            yield VerdictRow(name, limit, None, "", "invalid", "it was not evaluated", row.file)
        for found in scores:
            score, engine = found["score"], found["engine"]
            where = f" on {score['split']}, {score['samples']} samples"
            if name == "accuracy_drop":
                verdict = _at_most(name, limit, found["loss"], "points", row.file, where)
            elif score["higher_is_better"]:
                verdict = _at_least(name, limit, score["value"], score["unit"], row.file, where)
            else:
                verdict = _at_most(name, limit, score["value"], score["unit"], row.file, where)
            yield _with(verdict, engine, "host")


def _latency_verdicts(limit: float, row: Exported, place: Workplace) -> Iterator[VerdictRow]:
    """Host latencies warn at most: this machine is not the target."""
    listed = [m for m in _read(place, "measurements") if m["file"] == row.file]
    if not listed:
        yield VerdictRow(
            "latency_ms", limit, None, "ms", "invalid", "it was not measured", row.file
        )
    for entry in listed:
        found = json.loads((place.run / entry["measurement"]).read_text("utf-8"))
        value = found["values"].get("latency_ms")
        verdict = _at_most("latency_ms", limit, value, "ms", row.file, " on this host")
        if verdict.outcome == "fail":
            reason = f"{verdict.reason}; a host latency never fails"
            verdict = VerdictRow("latency_ms", limit, value, "ms", "warn", reason, row.file)
        yield _with(verdict, found["engine"], found["evidence"])


def _at_most(
    name: str, limit: float, value: float | None, unit: str, file: str, where: str = ""
) -> VerdictRow:
    if value is None:
        return VerdictRow(name, limit, None, unit, "invalid", "no value was found", file)
    good = value <= limit
    reason = f"{name} {value:.6g} {unit}{where} ({'at most' if good else 'more than'} {limit:g})"
    return VerdictRow(name, limit, value, unit, "pass" if good else "fail", reason, file)


def _at_least(
    name: str, limit: float, value: float, unit: str, file: str, where: str
) -> VerdictRow:
    good = value >= limit
    reason = f"{name} {value:.6g} {unit}{where} ({'at least' if good else 'less than'} {limit:g})"
    return VerdictRow(name, limit, value, unit, "pass" if good else "fail", reason, file)


def _with(row: VerdictRow, engine: str, evidence: str) -> VerdictRow:
    from dataclasses import replace

    return replace(row, engine=engine, evidence=evidence)
