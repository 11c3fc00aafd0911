"""What the gate's rule says about recorded noise: false alarms and power, by replaying real processes.

    python -m edgepress.tools.bench.gate_noise [--noise FILE.npz] [--trials 600] [--tolerance 5] [--json OUT]

Every trial draws the processes of both arms without replacement from the recording, multiplies one arm by the true
slowdown and judges it by the rule that judges real runs, the check of the baseline against itself included. "swapped"
gives the drawn arms to the other side: a rule that favours one side would show it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ...devices.verdict import Outcome, Verdict
from ...runtime.errors import EdgepressError
from ...runtime.files import write_text
from ..gate.entries import process_row, with_processes
from ..gate.records import Entry, ProcessRow
from ..gate.statistics import Looks, change_of, looks
from ..gate.verdict import judge_ratio
from ..render import table
from .record_noise import Noise, read_noise, statistics_table

RECORDING = Path(__file__).parents[2] / "tests" / "data" / "noise_40x300.npz"
SLOWDOWNS = (0.0, 0.03, 0.05, 0.08, 0.10, 0.15, 0.20)
ONE_LOOK, SEQUENTIAL = looks(5, 5), looks(5, 15)


@dataclass(frozen=True)
class Shares:
    """Shares of trials in per cent."""

    slowdown: float
    plan: str
    swapped: bool
    trials: int
    fail: float
    passed: float
    inconclusive: float
    kinds: dict[str, float]


def rows_of(noise: Noise) -> list[ProcessRow]:
    """One row per recorded process, ms."""
    return [process_row(samples.astype(np.float64) / 1000) for samples in noise.samples_us]


def arm(rows: Sequence[ProcessRow], name: str) -> Entry:
    """An entry of processes; its name stands for the file's hash, which seeds the bootstrap."""
    empty = Entry(
        name, name, "board", "tflite", "0", 1, "measured", "latency_ms", "ms", "lower", 0.0
    )
    return with_processes(empty, rows)


def slower(row: ProcessRow, factor: float) -> ProcessRow:
    """A process whose every sample took `factor` as long."""
    scaled = {name: getattr(row, name) * factor for name in ("min", "median", "p90", "mad")}
    return replace(row, **scaled)


def trial(
    base: Sequence[ProcessRow],
    candidate: Sequence[ProcessRow],
    plan: Looks,
    tolerance: float,
    name: str = "",
) -> Verdict:
    """The verdict on two arms, looking as the plan says until one look decides."""
    verdict = Verdict(Outcome.INCONCLUSIVE)
    for count in plan.counts:
        first, second = arm(base[:count], f"base{name}"), arm(candidate[:count], f"new{name}")
        change = change_of(first, second, plan.level, paired=False)
        verdict = judge_ratio(change, count, tolerance)
        if verdict.outcome != Outcome.INCONCLUSIVE:
            break
    return verdict


def simulate(
    rows: Sequence[ProcessRow],
    slowdown: float,
    plan: Looks,
    *,
    trials: int,
    tolerance: float = 0.05,
    swapped: bool = False,
    seed: int = 0,
) -> Shares:
    """Verdicts on `trials` draws; the same seed draws the same processes for every slowdown and plan."""
    random, found = np.random.default_rng(seed), Counter[str]()
    most = 15
    for number in range(trials):
        order = random.permutation(len(rows))
        arms = [[rows[i] for i in part] for part in (order[:most], order[most : 2 * most])]
        base, candidate = reversed(arms) if swapped else arms
        candidate = [slower(row, 1 + slowdown) for row in candidate]
        verdict = trial(base, candidate, plan, tolerance, f"{number}")
        found[f"{verdict.outcome} {verdict.kind}".strip()] += 1
    kinds = {name: 100.0 * count / trials for name, count in sorted(found.items())}

    def total(outcome: str) -> float:
        return sum(value for name, value in kinds.items() if name.split()[0] == outcome)

    return Shares(
        slowdown=slowdown,
        plan="sequential 5, 10, 15" if len(plan.counts) > 1 else "5 only",
        swapped=swapped,
        trials=trials,
        fail=total("fail"),
        passed=total("pass"),
        inconclusive=total("inconclusive"),
        kinds=kinds,
    )


def study(noise: Noise, trials: int, tolerance: float) -> list[Shares]:
    """All slowdowns, both plans, both sides."""
    rows = rows_of(noise)
    return [
        simulate(rows, slowdown, plan, trials=trials, tolerance=tolerance, swapped=swapped)
        for swapped in (False, True)
        for slowdown in SLOWDOWNS
        for plan in (ONE_LOOK, SEQUENTIAL)
    ]


def shares_table(found: Sequence[Shares], tolerance: float) -> str:
    """fail / pass / inconclusive in per cent."""
    body = []
    for swapped in (False, True):
        for slowdown in SLOWDOWNS:
            cells = [s for s in found if (s.slowdown, s.swapped) == (slowdown, swapped)]
            texts = [f"{s.fail:.1f} / {s.passed:.1f} / {s.inconclusive:.1f}" for s in cells]
            body.append((f"{slowdown:.0%}", "swapped" if swapped else "drawn", *texts))
    head = f"fail / pass / inconclusive in % of {found[0].trials} trials, tolerance {tolerance:.0%}"
    names = ("true slowdown", "arms", "5 processes", "sequential 5, 10, 15")
    return head + "\n" + table(names, body, (0, 2, 3))


def shortfalls(found: Sequence[Shares]) -> list[str]:
    """What the sequential rule must do and did not."""
    said = []
    for shares in (s for s in found if s.plan != "5 only"):
        side = f"{shares.slowdown:.0%}{' swapped' if shares.swapped else ''}"
        if shares.slowdown == 0.0 and (shares.fail > 2 or shares.passed < 90):
            said.append(f"{side}: fails {shares.fail:.1f} %, passes {shares.passed:.1f} %")
        if shares.slowdown == 0.10 and (shares.fail < 98 or shares.passed > 0):
            said.append(f"{side}: fails {shares.fail:.1f} %, passes {shares.passed:.1f} %")
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit 1 where the rule falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--noise", type=Path, default=RECORDING)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--tolerance", type=float, default=5.0, help="per cent")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    try:
        noise = read_noise(options.noise)
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    tolerance = options.tolerance / 100
    found = study(noise, options.trials, tolerance)
    print(f"{noise.about['model']} in {noise.about['engine']}, {len(noise.samples_us)} processes")
    print(statistics_table(noise), "", shares_table(found, tolerance), sep="\n")
    for line in shortfalls(found):
        print(f"falls short: {line}")
    if options.json:
        document = {"about": noise.about, "shares": [asdict(s) for s in found]}
        write_text(options.json, json.dumps(document, indent=1))
    return 1 if shortfalls(found) else 0


if __name__ == "__main__":
    sys.exit(main())
