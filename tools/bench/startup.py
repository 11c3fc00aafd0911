"""What a user waits for before anything happens: `edgepress --help`, `import edgepress`, `edgepress inspect`.

    python -m edgepress.tools.bench.startup [--file resnet20.onnx]

Fresh processes, median of several, each as a ratio to a bare `python -c pass` of the same run (the baseline).
Prints JSON with the machine and versions; goals are stated, not asserted.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError

RUNS = 9
GOALS_S = {"import edgepress": 0.1, "edgepress --help": 0.3, "edgepress inspect (ResNet-20)": 1.0}
"""`import edgepress` counts from a started interpreter, the others are whole commands."""


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="edgepress.tools.bench.startup", description=__doc__)
    parser.add_argument("--file", type=Path, help="file to inspect; by default a fresh ResNet-20")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        file = asked.file or resnet20(Path(folder))
        print(json.dumps(measure(file), indent=1))
    return 0


def resnet20(folder: Path) -> Path:
    """An ONNX file of ResNet-20 with random weights (sizes and shapes are what counts here)."""
    import torch

    from ...compress import zoo
    from ...export.onnx import hub as hubs

    torch.manual_seed(0)
    model = zoo.build("resnet20").eval()
    return hubs.save(hubs.from_torch(model, [(1, 3, 32, 32)]), folder / "resnet20.onnx")


def measure(file: Path, runs: int = RUNS) -> dict[str, Any]:
    """Median seconds of each command and its ratio to the bare interpreter; interleaved runs."""
    cli = [str(Path(sys.executable).with_name("edgepress"))]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import edgepress": [sys.executable, "-c", "import edgepress"],
        "edgepress --help": [*cli, "--help"],
        "edgepress inspect (ResNet-20)": [*cli, "inspect", str(file)],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    bare = statistics.median(taken["python -c pass"])
    rows = {}
    for name, values in taken.items():
        median = statistics.median(values)
        counted = median - bare if name == "import edgepress" else median
        rows[name] = {
            "median_s": round(median, 4),
            "ratio_to_bare_python": round(median / bare, 2),
            "goal_s": GOALS_S.get(name),
            "within_goal": None if name not in GOALS_S else counted <= GOALS_S[name],
        }
    machine = f"{platform.machine()} {platform.system()} python {platform.python_version()}"
    return {"bench": "startup", "runs": runs, "machine": machine, "rows": rows}


def seconds(command: Sequence[str]) -> float:
    """Wall time of one fresh process; a command that fails or says nothing is an error, not a time."""
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True)
    taken = time.perf_counter() - start
    if "-c" not in command and not done.stdout:
        raise InputError("the command printed nothing", where=" ".join(command))
    return taken


if __name__ == "__main__":
    sys.exit(main())
