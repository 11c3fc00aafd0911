"""Kill a measurement on a board in the middle, many times, at random moments: no result, no residue, code 4.

python -m edgepress.tools.bench.kill_board [--times 20] [--out FILE.json]

The real on-board program and transport code behind `board_stand_in.py`. Kinds: the connection's client, the on-board
program, the timing process it runs, the server's process. Exits with 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ...devices.board import measure_visit, visit_over
from ...runtime.codec import to_json
from ...runtime.errors import EdgepressError
from ...runtime.files import write_text
from .board_stand_in import KINDS, StandIn

LATEST_S = 0.5
PROCESSES = 100
"""So many that the measurement is still going on when the kill comes."""


@dataclass(frozen=True)
class Trial:
    """One kill. `exit_code` is that of the error, 0 where a result came (wrong: it cannot have been finished)."""

    kind: str
    delay_s: float
    killed: bool
    exit_code: int
    error: str
    residue: list[str]
    seconds: float

    @property
    def good(self) -> bool:
        """Killed, exit code 4, nothing left."""
        return self.killed and self.exit_code == 4 and not self.residue


def trial(board: StandIn, kind: str, delay_s: float, *, from_start: bool = False) -> Trial:
    """Measure, and kill a while after the first process is being timed, or after the visit began."""
    killed: list[int] = []
    start = time.monotonic()

    def kill() -> None:
        if not from_start:
            board.find("timing")
        time.sleep(delay_s)
        killed.append(board.kill(kind))

    thread = threading.Thread(target=kill)
    thread.start()
    code, said = 0, ""
    try:
        with visit_over(board.transport, board.options) as visited:
            measure_visit(visited, board.model, "onnxruntime", processes=PROCESSES)
    except EdgepressError as error:
        code, said = error.exit_code, f"{type(error).__name__}: {error.what}"
    thread.join()
    left = board.residue()
    seconds = time.monotonic() - start
    return Trial(kind, delay_s, bool(killed and killed[0]), code, said, left, seconds)


def study(folder: Path, times: int, seed: int = 0) -> list[Trial]:
    """`times` trials of every kind."""
    board, source = StandIn(folder), random.Random(seed)
    return [trial(board, k, source.uniform(0, LATEST_S)) for k in KINDS for _ in range(times)]


def main(arguments: list[str]) -> int:
    """Run the study, print a line per kind."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="edgepress-kill-") as name:
        trials = study(Path(name), options.times, options.seed)
    for kind in KINDS:
        mine = [one for one in trials if one.kind == kind]
        good = sum(one.good for one in mine)
        errors = sorted({one.error for one in mine})
        print(f"{kind}: {good} of {len(mine)} ended with exit code 4 and left nothing")
        print("".join(f"  {error}\n" for error in errors), end="")
        for one in mine:
            if not one.good:
                print(f"  WRONG {one}")
    if options.out:
        write_text(options.out, json.dumps([to_json(one) for one in trials], indent=2) + "\n")
    return 0 if all(one.good for one in trials) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
