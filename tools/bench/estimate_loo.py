"""Judge the latency estimates: leave one network out, and leave one board out, against MACs alone in the same run.

    python -m edgepress.tools.bench.estimate_loo [--write | --check] [--alternatives] [--json FILE]

Prints one row per table and exercise. `--write` puts the verdicts where estimates read them and the tables into
docs/estimates.md; `--check` says whether both are what this run finds (exit 1 if not). `--alternatives` also judges
what was tried and not taken. Nothing is measured: the numbers are the published ones of devices/calibration.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...devices.calibration_data import (
    CalibrationSet,
    calibration_sets,
    packaged_text,
    target_log,
)
from ...devices.latency_fit import fit_committee
from ...devices.latency_model import MEMBERS, STRUCTURES
from ...devices.leave_one_out import KINDS, REQUIRED, WIDEST_BAND, Judgement, band, folds, judge
from ...runtime.files import write_text

ROOT = Path(__file__).parents[2]
VERDICTS = ROOT / "devices" / "calibration" / "verdicts.yaml"
PAGE = ROOT / "docs" / "estimates.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
_HEAD = "# Written by `python -m edgepress.tools.bench.estimate_loo --write`: what each table may be used for.\n"


def judge_all(kinds: Sequence[str] = KINDS) -> list[Judgement]:
    """Every table in every exercise."""
    return [judge(table, kind) for table in calibration_sets().values() for kind in kinds]


def verdicts_text(found: Iterable[Judgement]) -> str:
    """`verdicts.yaml`: figures and complaints of the required exercises."""
    lines = [_HEAD.rstrip()]
    groups: dict[str, list[Judgement]] = {}
    for one in found:
        if one.kind in REQUIRED:
            groups.setdefault(one.set_name, []).append(one)
    for name, group in groups.items():
        lines.append(f"{name}:")
        lines += [
            f"  {one.kind}: {{rows: {len(one.left)}, median: {one.median:.3f}, "
            f"macs_alone: {one.baseline_median:.3f}, coverage: {one.coverage:.3f}, band: {one.band:.3f}}}"
            for one in group
        ]
        complaints = [complaint for one in group for complaint in one.complaints]
        lines.append(f"  complaints: {json.dumps(complaints)}")
    return "\n".join(lines) + "\n"


def summary_table(found: Sequence[Judgement]) -> str:
    """Markdown: one row per table and exercise."""
    lines = [
        "| table | left out | rows | median error | MACs alone | worst | MACs alone | band (all rows) | "
        "widest of a fold | rows in band | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        required = one.kind in REQUIRED
        word = "passes" if not one.complaints else "fails"
        lines.append(
            f"| {one.set_name} | {one.kind} | {len(one.left)} | {one.median:.1%} | {one.baseline_median:.1%} | "
            f"{one.worst:.0%} | {one.baseline_worst:.0%} | x or / {one.band:.2f} | {one.widest:.2f} | "
            f"{one.coverage:.1%} | {word if required else f'({word}; told only)'} |"
        )
    return "\n".join(lines)


def error_table(one: Judgement) -> str:
    """Markdown: signed error of every left-out row in %, rows outside their band in bold."""
    networks = list(dict.fromkeys(row.network for row in one.left))
    arms = dict.fromkeys((row.board, row.software) for row in one.left)
    cells = {(row.board, row.software, row.network): row for row in one.left}
    lines = [
        f"| board, software | {' | '.join(networks)} |",
        "|---|" + "---|" * len(networks),
    ]
    for board, software in arms:
        texts = []
        for network in networks:
            row = cells.get((board, software, network))
            text = "" if row is None else f"{100 * math.expm1(row.error):+.0f}"
            texts.append(f"**{text}**" if row is not None and not row.covered else text)
        lines.append(f"| {board}, {software} | {' | '.join(texts)} |")
    return "\n".join(lines)


def alternatives_table() -> str:
    """Markdown: median error of each structure alone beside the committee of all."""
    lines = ["| table | left out | model | median error | rows in band |", "|---|---|---|---|---|"]
    choices = [(one.name, tuple(m for m in MEMBERS if m.structure is one)) for one in STRUCTURES]
    for table in calibration_sets().values():
        for kind in REQUIRED:
            for name, members in [("all (taken)", MEMBERS), *choices]:
                one = judge(table, kind, members)
                lines.append(
                    f"| {table.name} | {kind} | {name} | {one.median:.1%} | {one.coverage:.1%} |"
                )
    return "\n".join(lines)


@dataclass(frozen=True)
class OwnBoard:
    """A new board calibrated by one network measured on it: errors of its other networks (ln), all left out."""

    set_name: str
    errors: tuple[float, ...]
    macs_errors: tuple[float, ...]
    covered: int

    @property
    def row(self) -> str:
        """One row of a markdown table."""
        ours, macs = (
            float(np.median(np.abs(np.expm1(found)))) for found in (self.errors, self.macs_errors)
        )
        return (
            f"| {self.set_name} | {len(self.errors)} | {ours:.1%} | {macs:.1%} | "
            f"{self.covered / len(self.errors):.1%} |"
        )


def judge_own_boards(table: CalibrationSet) -> OwnBoard:
    """Predict every network of every board from each other one of the same board and software alone.

    The classes' costs and the band come from rows without that board and that network, as if a user had measured one
    network on a board of which nothing was published.
    """
    ours, macs, covered = [], [], 0
    for train, out in folds(table.rows, "both"):
        rows = [table.rows[i] for i in train]
        work = fit_committee(rows).log_work
        width = math.log(band(rows, "model")) * math.sqrt(2)
        for row in (table.rows[i] for i in out):
            known = [one for one in table.rows if one.arm == row.arm and one is not row]
            for one in known:
                measured = target_log(row) - target_log(one)
                ours.append(work(row.features) - work(one.features) - measured)
                ratio = row.features.total_macs / one.features.total_macs
                macs.append(math.log(ratio) - measured)
                covered += abs(ours[-1]) <= min(width, math.log(WIDEST_BAND))
    return OwnBoard(table.name, tuple(ours), tuple(macs), covered)


def own_table() -> str:
    """Markdown: the exercise of `judge_own_boards` on every table."""
    lines = [
        "| table | pairs | median error | MACs alone | pairs in band |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(judge_own_boards(one).row for one in calibration_sets().values())])


def page_block(found: Sequence[Judgement]) -> str:
    """The generated part of docs/estimates.md."""
    parts = [summary_table(found)]
    for one in found:
        if one.kind in REQUIRED:
            title = f"Error of each row in %, {one.set_name}, one {one.kind} left out (bold: outside its band)"
            parts += [title + ":", error_table(one)]
    parts += [
        "One measured network calibrates a new board (band of x or / 2 at most):",
        own_table(),
    ]
    parts += ["What the structures do alone:", alternatives_table()]
    return f"{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}"


def page_with(block: str, page: str) -> str:
    """The page with its generated part replaced."""
    start, stop = page.index(BEGIN), page.index(END) + len(END)
    return page[:start] + block + page[stop:]


def document(found: Sequence[Judgement]) -> dict[str, Any]:
    """Everything, for --json."""
    names = ("median", "baseline_median", "worst", "baseline_worst", "coverage", "band", "widest")
    return {
        "schema": "edgepress-estimate-loo/1",
        "exercises": [
            {
                "table": one.set_name,
                "left_out": one.kind,
                **{name: getattr(one, name) for name in names},
                "complaints": list(one.complaints) if one.kind in REQUIRED else [],
                "rows": [vars(row) for row in one.left],
            }
            for one in found
        ],
    }


def main(arguments: list[str] | None = None) -> int:
    """Judge; 1 if --check finds that verdicts or page are not those of this run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write verdicts and page")
    parser.add_argument("--check", action="store_true", help="compare verdicts and page")
    parser.add_argument("--alternatives", action="store_true", help="judge each structure alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything")
    options = parser.parse_args(arguments)
    found = judge_all()
    print(summary_table(found))
    if options.alternatives:
        print(alternatives_table())
    if options.json:
        write_text(options.json, json.dumps(document(found), indent=1) + "\n")
    if not (options.write or options.check):
        return 0
    verdicts, page = verdicts_text(found), PAGE.read_text(encoding="utf-8")
    wanted = page_with(page_block(found), page)
    if options.write:
        write_text(VERDICTS, verdicts)
        write_text(PAGE, wanted)
        return 0
    same = packaged_text("verdicts") == verdicts and page == wanted
    print("verdicts and page are those of this run" if same else "verdicts or page are out of date")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
