"""Kills `edgepress run` at random moments, starts it again, and compares all files with those of an undisturbed run.

    python -m edgepress.tools.bench.kill_study --kills 20 --json kills.json

SIGKILL leaves no time to clean up. Half of the moments are spread over the time that the undisturbed run took, half
over its steps, however short, so that every state of a run is hit, mid-epoch and mid-write included. Each life of
the run is killed at the next moment, the last one is left in peace. Exit code 1 if a single byte differs. Uses the
bundled watch recordings; nothing is cached.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from ...runtime.codec import to_json
from ...runtime.files import TEMPORARY_SUFFIX, sha256_file, write_text

RECIPE = "watch-har"
SETTINGS = ("task=watch-har-subset", "threads=1", "profile=null")
PROGRAM = "from edgepress.tools.cli import main; main()"


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds of work after a step has begun."""

    step: str
    seconds: float


@dataclass(frozen=True)
class Kill:
    """One life of the run: how long it lasted, what it was doing, and what it left half-written."""

    seconds: float
    step: str
    half_written: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """The outcome. `differing` names every file whose bytes differ; it must be empty."""

    recipe: str
    settings: tuple[str, ...]
    seed: int
    undisturbed_seconds: float
    kills: tuple[Kill, ...]
    compared: dict[str, str] = field(default_factory=dict)
    differing: tuple[str, ...] = ()


def study(kills: int, seed: int, settings: tuple[str, ...], folder: Path) -> Study:
    """Run undisturbed, run killed, compare."""
    _finish(folder / "undisturbed", settings)
    steps = timeline(folder / "undisturbed")
    found, before = [], Moment("", 0.0)
    for moment in moments(steps, kills, random.Random(seed)):
        same = moment.step == before.step
        wait = moment.seconds - before.seconds if same else moment.seconds
        found.append(_life(folder / "killed", settings, Moment(moment.step, wait)))
        before = moment
    _finish(folder / "killed", settings)
    right, mine = (_hashes(folder / name) for name in ("undisturbed", "killed"))
    names = sorted(set(right) | set(mine))
    return Study(
        recipe=RECIPE,
        settings=settings,
        seed=seed,
        undisturbed_seconds=sum(seconds for _, seconds in steps),
        kills=tuple(found),
        compared=right,
        differing=tuple(name for name in names if right.get(name) != mine.get(name)),
    )


def _start(out: Path, settings: tuple[str, ...]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, "run", RECIPE, "--out", str(out), "--no-cache", "-q"]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def _finish(out: Path, settings: tuple[str, ...]) -> None:
    process = _start(out, settings)
    if process.wait() != 0:
        raise SystemExit(f"the run ended with {process.returncode}, not by a kill")


def timeline(out: Path) -> list[tuple[str, float]]:
    """(step, seconds) of a finished run, by the times of its records; the report is the last."""
    times = [(p.parent.name, p.stat().st_mtime) for p in sorted(out.glob("steps/*/step.json"))]
    times.append(("report", (out / "report.html").stat().st_mtime))
    starts = [(out / "recipe.yaml").stat().st_mtime, *(end for _, end in times)]
    return [
        (name, max(end - start, 0.0)) for (name, end), start in zip(times, starts, strict=False)
    ]


def moments(steps: list[tuple[str, float]], count: int, chance: random.Random) -> list[Moment]:
    """Random moments in the order of the run."""
    found: list[tuple[int, float]] = []
    for number in range(count):
        weights = [seconds for _, seconds in steps] if number % 2 else [1.0] * len(steps)
        index = chance.choices(range(len(steps)), weights)[0]
        found.append((index, chance.uniform(0.0, steps[index][1])))
    return [Moment(steps[index][0], seconds) for index, seconds in sorted(found)]


def _life(out: Path, settings: tuple[str, ...], moment: Moment) -> Kill:
    """One start and its end, at the moment given; at once if the step is over already."""
    before = _times(out)
    process, began = _start(out, settings), time.monotonic()
    while process.poll() is None and not _reached(out, moment.step, before):
        time.sleep(0.002)
    working = time.monotonic()
    while process.poll() is None and time.monotonic() - working < moment.seconds:
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return Kill(
        seconds=time.monotonic() - began,
        step=_working_on(out),
        half_written=tuple(sorted(p.name for p in out.rglob(f"*{TEMPORARY_SUFFIX}"))),
    )


def _times(out: Path) -> dict[Path, int]:
    """When each of the files that tell how far a run is was written."""
    paths = [out / "verdicts.json", *out.glob("steps/*/begun"), *out.glob("steps/*/step.json")]
    return {path: path.stat().st_mtime_ns for path in paths if path.exists()}


def _reached(out: Path, step: str, before: dict[Path, int]) -> bool:
    """The step has begun in this life, or is over."""
    with contextlib.suppress(FileNotFoundError):  # a file went between listing and looking
        now = _times(out)
        if step == "report":
            verdicts = out / "verdicts.json"
            open_steps = [path for path in now if path.name == "begun"]
            return verdicts in now and now[verdicts] != before.get(verdicts) and not open_steps
        begun, done = (out / "steps" / step / name for name in ("begun", "step.json"))
        return done in now or (begun in now and now[begun] != before.get(begun))
    return False


def _working_on(out: Path) -> str:
    """The step that was begun and not finished; "" between steps or at the end."""
    open_steps = [p.parent.name for p in out.glob("steps/*/begun")]
    return open_steps[0] if open_steps else ""


def _hashes(out: Path) -> dict[str, str]:
    """sha256 of every exported file, hub and set of weights."""
    patterns = (
        "artifacts/*",
        "steps/*/*.onnx",
        "steps/*/*.npz",
        "steps/*/plan.json",
        "steps/*/history.json",
    )
    return {
        str(path.relative_to(out)): sha256_file(path)
        for pattern in patterns
        for path in sorted(out.glob(pattern))
    }


def main() -> int:
    """Print one line per kill and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="further recipe overrides")
    parser.add_argument("--json", type=Path, help="write the study here")
    given = parser.parse_args()
    settings = (*SETTINGS, *given.set)
    with tempfile.TemporaryDirectory() as folder:
        done = study(given.kills, given.seed, settings, Path(folder))
    for number, kill in enumerate(done.kills, 1):
        half = f", half-written: {', '.join(kill.half_written)}" if kill.half_written else ""
        print(f"kill {number:2d} after {kill.seconds:6.2f} s in {kill.step or 'no step'}{half}")
    verdict = (
        "differ: " + ", ".join(done.differing) if done.differing else "all equal, byte for byte"
    )
    print(f"{len(done.compared)} files of {done.recipe} after {len(done.kills)} kills: {verdict}")
    if given.json:
        write_text(given.json, json.dumps(to_json(done), indent=1) + "\n")
    return 1 if done.differing else 0


if __name__ == "__main__":
    sys.exit(main())
