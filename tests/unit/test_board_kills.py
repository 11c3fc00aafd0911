"""A measurement on a board killed in the middle, at random moments: no result, no residue, exit code 4."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from edgepress.runtime import board_boot
from edgepress.tools.bench import board_stand_in
from edgepress.tools.bench.board_stand_in import StandIn
from edgepress.tools.bench.kill_board import trial
from support.commands import command, environment

LATEST_S = 0.2
TIMES = 20


@pytest.mark.parametrize("kind", ["connection", "agent", "sshd"])
def test_twenty_kills_leave_no_result_and_no_residue(tmp_path: Path, kind: str) -> None:
    board, source = StandIn(tmp_path, seconds=0.03), random.Random(kind)
    for number in range(TIMES):
        # the agent is the on-board program and the process it runs, in turn
        victim = "timing" if kind == "agent" and number % 2 else kind
        # every fourth while the visit is still being opened
        found = trial(board, victim, source.uniform(0, LATEST_S), from_start=number % 4 == 0)
        assert found.good, found


@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_killed_while_the_folder_is_being_made(tmp_path: Path, call: str) -> None:
    """Right behind the call that makes the folder, or its lock: the janitor is there already."""
    fatal = f"""
real, me = os.{call}, os.getpid()
def fatal(path, *rest, **more):
    done = real(path, *rest, **more)
    if PREFIX in str(path) and os.getpid() == me:
        os.kill(me, signal.SIGKILL)
    return done
os.{call} = fatal
boot(1000)
"""
    words = [sys.executable, "-c", Path(board_boot.__file__).read_text() + fatal]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, check=False)
    end = time.monotonic() + 30
    while any(tmp_path.iterdir()) and time.monotonic() < end:
        time.sleep(0.01)
    assert done.returncode == -signal.SIGKILL and list(tmp_path.iterdir()) == []


def test_a_trial_notices_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the kill the trial is not good: the tests above can fail."""
    monkeypatch.setattr("edgepress.tools.bench.kill_board.PROCESSES", 1)
    monkeypatch.setattr(StandIn, "kill", lambda self, kind: 0)
    found = trial(StandIn(tmp_path), "agent", 0.0, from_start=True)
    assert found.exit_code == 0 and not found.good


def test_a_trial_notices_residue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = StandIn(tmp_path, seconds=0.03)
    (board.temporary / "left").write_text("x")
    monkeypatch.setattr(StandIn, "residue", lambda self: [p.name for p in self.temporary.iterdir()])
    assert not trial(board, "agent", 0.0).good


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_the_command_itself_is_ended(tmp_path: Path, number: int, code: int) -> None:
    """The whole command with the stand-in as its ssh client."""
    board = StandIn(tmp_path, seconds=5)
    stand_in = [sys.executable, "-S", "-E", board_stand_in.__file__, "ssh"]
    client = shlex.join(["env", f"TMPDIR={board.temporary}", *stand_in])
    words = ["profile", board.model, "--device", "ssh://pi", "--python", board.options.python]
    variables = environment(EDGEPRESS_SSH=client)
    with subprocess.Popen(
        command(*words, "--engine", "onnxruntime"), env=variables, stderr=subprocess.PIPE, text=True
    ) as process:
        assert board.find("timing", 60)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in said
    assert board.residue() == []
