"""The budget: which files are judged, by which numbers, and what a limit that cannot be judged means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from edgepress.compress.receipt import Score
from edgepress.tools.inputs import Inputs
from edgepress.tools.recipe_records import BudgetOptions, Recipe
from edgepress.tools.run_folder import write_json
from edgepress.tools.scoring import loss_of
from edgepress.tools.steps.base import Workplace
from edgepress.tools.steps.budget import BudgetStep, judged_files, verdicts
from edgepress.tools.steps.evaluate import ScoreRow
from edgepress.tools.steps.export import Exported

FLOAT = Exported("m.float32.onnx", "float32", "onnx", "0" * 64, 9000)
INT8 = Exported("m.int8.onnx", "int8", "onnx", "1" * 64, 3000)


def score(value: float, higher: bool = True) -> Score:
    return Score("accuracy", value, "%", "t/test", 50, higher)


def place(
    tmp_path: Path, budget: BudgetOptions, value: float | None = 88.0, **more: Any
) -> Workplace:
    """A run folder with one int8 and one float file, scored `value` and 90."""
    recipe = Recipe(name="m", model="toy_cnn", budget=budget)
    taken = {"artifacts": write_json(tmp_path / "a.json", {"files": [FLOAT, INT8]})}
    if value is not None:
        row = ScoreRow(INT8.file, "int8", "onnxruntime", "1", score(value), 90.0 - value, 99.0)
        taken["scores"] = write_json(tmp_path / "s.json", [row])
    if "latency_ms" in more:
        found = {
            "values": {"latency_ms": more["latency_ms"]},
            "engine": "onnxruntime",
            "evidence": "host",
        }
        write_json(tmp_path / "measured.json", found)
        listing = [{"file": INT8.file, "precision": "int8", "measurement": "measured.json"}]
        taken["measurements"] = write_json(tmp_path / "m.json", listing)
    return Workplace(tmp_path, "01-budget", Inputs(recipe), taken)


def outcome(work: Workplace) -> tuple[str, int]:
    """(outcome of the only limit, exit code of the step)."""
    (row,) = verdicts(work)
    assert row.artifact == INT8.file
    BudgetStep().work(work)
    failure = BudgetStep().failure(work)
    assert json.loads((work.run / "verdicts.json").read_text())[0]["outcome"] == row.outcome
    return row.outcome, failure.exit_code if failure else 0


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (BudgetOptions(file_bytes=3000), ("pass", 0)),
        (BudgetOptions(file_bytes=2999), ("fail", 1)),
        (BudgetOptions(accuracy_drop=2.0), ("pass", 0)),
        (BudgetOptions(accuracy_drop=1.9), ("fail", 1)),
        (BudgetOptions(accuracy=88.0), ("pass", 0)),
        (BudgetOptions(accuracy=88.1), ("fail", 1)),
    ],
)
def test_limits_hold_up_to_the_limit(
    tmp_path: Path, budget: BudgetOptions, expected: tuple[str, int]
) -> None:
    assert outcome(place(tmp_path, budget)) == expected


@pytest.mark.parametrize(("limit", "expected"), [(1.0, "pass"), (0.4, "warn")])
def test_a_host_latency_warns_and_never_fails(tmp_path: Path, limit: float, expected: str) -> None:
    work = place(tmp_path, BudgetOptions(latency_ms=limit), latency_ms=0.5)
    assert outcome(work) == (expected, 0)


@pytest.mark.parametrize("budget", [BudgetOptions(accuracy=1.0), BudgetOptions(latency_ms=1.0)])
def test_what_was_not_found_out_is_no_verdict(tmp_path: Path, budget: BudgetOptions) -> None:
    assert outcome(place(tmp_path, budget, None)) == ("invalid", 3)


def test_without_limits_nothing_is_judged(tmp_path: Path) -> None:
    work = place(tmp_path, BudgetOptions())
    assert list(verdicts(work)) == []
    assert "no limits" in BudgetStep().work(work).notes[0]


def test_float_files_are_judged_only_where_there_are_no_others() -> None:
    assert judged_files((FLOAT, INT8)) == (INT8,)
    assert judged_files((FLOAT,)) == (FLOAT,)


def test_a_loss_is_positive_where_the_file_is_worse() -> None:
    assert loss_of(score(90), score(88)) == 2
    assert loss_of(score(0.1, False), score(0.3, False)) == pytest.approx(0.2)


def test_for_errors_the_limit_is_an_upper_one(tmp_path: Path) -> None:
    work = place(tmp_path, BudgetOptions(accuracy=0.2), None)
    row = ScoreRow(INT8.file, "int8", "onnxruntime", "1", score(0.3, False), 0.1)
    work = Workplace(
        work.run,
        work.folder,
        work.inputs,
        {**work.taken, "scores": write_json(tmp_path / "s.json", [row])},
    )
    assert outcome(work) == ("fail", 1)
