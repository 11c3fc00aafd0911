"""The result table of README.md, from the `report.json` of finished runs: no figure in it is typed by hand.

python -m edgepress.tools.readme_table runs/watch-har runs/resnet20-cifar10           # writes README.md
python -m edgepress.tools.readme_table runs/watch-har --print
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..runtime.errors import InputError
from ..runtime.files import write_text
from .render import kib

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
HEAD = (
    "| recipe | judged on | float | int8 TFLite | int8 ONNX | TFLite bytes | ONNX bytes |\n"
    "|---|---|---:|---:|---:|---:|---:|\n"
)

Report = Mapping[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Replace the table between the two marks in README.md, or print it."""
    parser = argparse.ArgumentParser(prog="edgepress.tools.readme_table", description=__doc__)
    parser.add_argument("run", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("--print", action="store_true", dest="show")
    asked = parser.parse_args(arguments)
    text = table([_report(folder) for folder in asked.run])
    if asked.show:
        print(text, end="")
    else:
        write_text(asked.readme, replaced(asked.readme.read_text(), text, str(asked.readme)))
    return 0


def _report(folder: Path) -> Report:
    path = folder / "report.json"
    if not path.is_file():
        raise InputError("this run has no report", where=str(path), hint="finish it: edgepress run")
    loaded: Report = json.loads(path.read_text())
    return loaded


def replaced(readme: str, text: str, where: str = "") -> str:
    """`readme` with `text` between the marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"the marks {BEGIN} and {END} are missing", where=where)
    return f"{before}{BEGIN}\n{text}{END}{after}"


def table(reports: Sequence[Report]) -> str:
    """Markdown: one row per run and judged split."""
    return HEAD + "".join(row for report in reports for row in rows(report))


def rows(report: Report) -> list[str]:
    """Rows of one run: float reference, every int8 file in every engine, sizes against the float file."""
    splits = dict.fromkeys((s["split"], s["samples"]) for s in report["scores"])
    lines = []
    for split, samples in splits:
        scores = [s for s in report["scores"] if s["split"] == split]
        cells = (
            report["name"],
            f"{split}, {samples:,} samples, seed {report['seed']}",
            _scores(scores, "float32.onnx"),
            _scores(scores, "int8.tflite"),
            _scores(scores, "int8.onnx"),
            _sizes(report, "tflite"),
            _sizes(report, "onnx"),
        )
        lines.append(f"| {' | '.join(cells)} |\n")
    return lines


def _scores(scores: Sequence[Report], ending: str) -> str:
    found = [s for s in scores if s["artifact"].endswith(f".{ending}")]
    return "<br>".join(f"{_value(s)} ({s['engine']})" for s in found) or "-"


def _value(score: Report) -> str:
    unit = f" {score['unit']}" if score["unit"] else f" {score['metric'].replace('_', ' ')}"
    return f"{score['value']:.4g}{unit}"


def _sizes(report: Report, kind: str) -> str:
    held = {a["precision"]: a["file_bytes"] for a in report["artifacts"] if a["format"] == kind}
    if "int8" not in held or "float32" not in held:
        return "-"
    ratio = held["float32"] / held["int8"]
    return f"{kib(held['float32'])} → {kib(held['int8'])} ({ratio:.2f}x)"


if __name__ == "__main__":
    sys.exit(main())
