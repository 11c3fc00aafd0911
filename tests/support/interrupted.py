"""Runs of the pipeline that are killed at a moment of the test's choice.

One process imports everything once; every run is a fork of it, so that a run starts in milliseconds. Training
writes a checkpoint as often as it can, so that a kill finds it in every state.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

Moment = Callable[[Path], bool]
"""Run folder -> whether to kill now."""

DEADLINE_SECONDS = 120.0
CHECKPOINT_SECONDS = 0.02


class Runner:
    """The process that runs are forked from. `run(recipe, folder, moment)`."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()  # it is ready

    def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def start(self, recipe: Path, folder: Path) -> int:
        """Process id of a new run."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{recipe}\t{folder}\n")
        self.process.stdin.flush()
        return self._answer()

    def kill(self, recipe: Path, folder: Path, moment: Moment) -> bool:
        """Start a run and SIGKILL it at `moment`; gives whether it was killed (False: it had ended before)."""
        child, deadline = self.start(recipe, folder), time.monotonic() + DEADLINE_SECONDS
        while True:
            if moment(folder) or time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)  # a zombie at worst: its parent waits for our word
                break
            if _ended(child):
                break
            time.sleep(0.0005)
        code = self._wait()
        assert code in (0, -signal.SIGKILL), f"the run failed by itself: {code}"
        return code != 0

    def finish(self, recipe: Path, folder: Path) -> None:
        """Run to the end and demand success."""
        assert not self.kill(recipe, folder, lambda _: False)

    def _wait(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write("wait\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.communicate("")


def _ended(child: int) -> bool:
    try:
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state == "Z"


def artifacts(folder: Path) -> dict[str, bytes]:
    """Name -> content of every exported file."""
    return {path.name: path.read_bytes() for path in sorted((folder / "artifacts").iterdir())}


def _serve() -> None:
    """Fork a run per line read, tell its process id; on "wait" tell how it ended."""
    import brevitas.nn  # noqa: F401
    import onnxruntime  # noqa: F401
    from edgepress.compress import training
    from edgepress.compress.quantization import plan  # noqa: F401
    from edgepress.export.parity import verify  # noqa: F401
    from edgepress.runtime.engines import installed_engines

    installed_engines()
    training.train.__kwdefaults__["checkpoint_seconds"] = CHECKPOINT_SECONDS
    print(0, flush=True)
    child = 0
    for line in sys.stdin:
        if line == "wait\n":
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        child = os.fork()
        if child == 0:
            recipe, folder = line.rstrip("\n").split("\t")
            _run(Path(recipe), Path(folder))
        print(child, flush=True)


def _run(recipe: Path, folder: Path) -> None:
    from edgepress.tools.pipeline import run_recipe
    from edgepress.tools.recipe import load_recipe

    code = 70
    try:
        code = run_recipe(load_recipe(recipe), folder).exit_code
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
