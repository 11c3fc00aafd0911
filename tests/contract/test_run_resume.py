"""A run killed at any moment and started again ends in the same files, byte for byte, as one that nobody disturbed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.interrupted import Moment, Runner, artifacts
from support.recipes import write

RECIPE = """\
name: toy
model: toy_cnn
task: toy
seed: 3
threads: 1
passes:
  - train: {epochs: 8, batch_size: 8, learning_rate: 0.01}
  - qat: {epochs: 2, batch_size: 16, calibration_samples: 16, teacher: {}}
verify: {samples: 4}
evaluate: {samples: 20}
profile: null
"""


def exists(pattern: str) -> Moment:
    """Kill as soon as a file of this name is there, half-written ones included."""
    return lambda folder: any(folder.glob(pattern))


def begun_epochs(folder: str, size: int) -> Moment:
    """Kill once a step's checkpoint has been written and is being written again."""
    seen: set[int] = set()

    def moment(run: Path) -> bool:
        for path in run.glob(f"steps/{folder}/checkpoint.pt"):
            with contextlib.suppress(FileNotFoundError):
                seen.add(path.stat().st_mtime_ns)
        return len(seen) >= size

    return moment


MOMENTS: dict[str, Moment] = {
    "the recipe is written": exists("recipe.yaml"),
    "mid-epoch": begun_epochs("01-train", 3),
    "mid-write of a checkpoint": exists("steps/01-train/.checkpoint*.edgepress-tmp"),
    "mid-write of weights": exists("steps/01-train/.weights.npz*.edgepress-tmp"),
    "between outputs and record": exists("steps/01-train/receipt.json"),
    "mid-training with quantizers": begun_epochs("03-qat", 2),
    "mid-export": exists("artifacts/*"),
    "mid-proof": exists("steps/05-verify/begun"),
    "mid-report": exists("report.json"),
}
"""Every state a run can be in; one undisturbed run and one interrupted nine times are compared."""


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("undisturbed")
    recipe = write(base, RECIPE)
    runner.finish(recipe, base / "run")
    return recipe, base / "run"


def test_a_run_killed_in_every_state_ends_in_the_same_bytes(
    runner: Runner, undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe, right = undisturbed
    out = tmp_path / "run"
    killed = [name for name, moment in MOMENTS.items() if runner.kill(recipe, out, moment)]
    assert len(killed) >= 6, killed  # what is over in microseconds may be missed
    runner.finish(recipe, out)
    assert artifacts(out) == artifacts(right)
    assert json.loads((out / "manifest.json").read_text())["finished"]
    leftovers = [
        p.name for p in out.rglob("*") if "edgepress-tmp" in p.name or "checkpoint" in p.name
    ]
    assert leftovers == []
    for name in ("01-train", "03-qat"):
        mine, theirs = (
            json.loads((f / "steps" / name / "history.json").read_text()) for f in (out, right)
        )
        assert mine == theirs


def test_the_killed_training_went_on_and_did_not_begin_again(
    runner: Runner, undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe, right = undisturbed
    out = tmp_path / "run"
    assert runner.kill(recipe, out, begun_epochs("01-train", 4))
    runner.finish(recipe, out)
    receipt = json.loads((out / "steps/01-train/receipt.json").read_text())
    assert any("taken up again at step" in note for note in receipt["notes"])
    assert artifacts(out) == artifacts(right)
