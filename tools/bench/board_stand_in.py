"""A board for trials on this machine: the real on-board program behind a stand-in for ssh and sshd, a slow fake agent.

Three processes stand where ssh, sshd and the on-board program stand, joined by a socket and pipes, so that each can be
killed for itself. Only the timing processes are fakes: they take a while and print what one real process printed.
Started as a program, this file is the stand-in for ssh and sshd.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

NO_CONNECTION = 255
KINDS = ("connection", "agent", "timing", "sshd")
"""What can be killed: the client, the on-board program, the process it runs, the server."""


class StandIn:
    """A board below `folder`; `temporary` is its TMPDIR."""

    def __init__(self, folder: Path, seconds: float = 0.05):
        from ...devices.board_options import BoardOptions
        from ...devices.transport_local import LocalTransport

        self.temporary = folder / "board-tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.model = folder / "model.onnx"
        self.model.write_bytes(_tiny_model())
        python = _fake_agent(folder, self.model, seconds)
        front = [sys.executable, "-S", "-E", str(Path(__file__)), "ssh"]
        environment = {"TMPDIR": str(self.temporary)}
        self.transport = LocalTransport(front, environment)
        self.options = BoardOptions(python=str(python))

    def processes(self) -> list[tuple[int, str]]:
        """(pid, command line) of all processes of the board and its connection."""
        mark, found = f"TMPDIR={self.temporary}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    variables = (entry / "environ").read_bytes().split(b"\0")
                    if any(one.startswith(mark) for one in variables):
                        words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                        found.append((int(entry.name), words.decode("utf-8", "replace")))
        return sorted(found)

    def find(self, kind: str, seconds: float = 5.0) -> int:
        """The process of a kind, waited for; 0 if there is none."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = {pid for pid, words in self.processes() if _is(kind, words)}
            # a forked server or janitor has the command line of what it was forked from
            forked = {pid for pid in found if _parent(pid) in found}
            wanted = forked if kind in ("sshd", "janitor") else found - forked
            if wanted:
                return wanted.pop()
            time.sleep(0.005)
        return 0

    def kill(self, kind: str) -> int:
        """Kill it with SIGKILL; gives its pid, 0 if there was none."""
        pid = self.find(kind)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def residue(self, seconds: float = 10.0) -> list[str]:
        """Files in the board's temporary folder and processes, once they had time to go."""
        end = time.monotonic() + seconds
        while True:
            files = [path.name for path in self.temporary.iterdir()]
            left = files + [words[:80] for _, words in self.processes()]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.01)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _is(kind: str, words: str) -> bool:
    if kind in ("connection", "sshd"):
        return "board_stand_in.py ssh" in words
    if kind == "timing":
        return "agent.pyz time" in words
    return "os.read(0,1)" in words and "board_stand_in" not in words and "sh -c" not in words


def _tiny_model() -> bytes:
    """y = x + 1 for four floats."""
    from onnx import TensorProto, helper

    value = helper.make_tensor("one", TensorProto.FLOAT, [4], [1.0] * 4)
    borders = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("x", "y")]
    node = helper.make_node("Add", ["x", "one"], ["y"])
    graph = helper.make_graph([node], "tiny", borders[:1], borders[1:], [value])
    opset = helper.make_opsetid("", 21)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return bytes(model.SerializeToString())


def _fake_agent(folder: Path, model: Path, seconds: float) -> Path:
    """A `python` that starts the on-board program for real and fakes its children."""
    import json

    import numpy as np

    from ...devices.board import PROOF_SAMPLES
    from ...runtime.codec import to_json
    from ...runtime.session import open_session
    from ...runtime.time_file import time_file
    from ...runtime.timing import TimingPlan, random_inputs

    quick = TimingPlan(warmup_seconds=0, seconds=0, steady_cap_invokes=0)
    (folder / "time.json").write_text(json.dumps(to_json(time_file(model, plan=quick))))
    session = open_session(model)
    runs = [session.run(random_inputs(session.artifact.inputs, n)) for n in range(PROOF_SAMPLES)]
    np.savez(folder / "outputs.npz", output_0=np.stack([run[0] for run in runs]))
    python, here = folder / "python3", shlex.quote(str(folder))
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -S -E "$@"\n'
        f'[ "$2" = run ] && cp {here}/outputs.npz "$TMPDIR/outputs.npz" && echo "{{}}" && exit 0\n'
        f"sleep {seconds}\ncat {here}/time.json\n"
    )
    python.chmod(0o755)
    return python


# ------------------------------------------------------------------ the stand-in for ssh and sshd


def connect(line: str) -> int:
    """Be the client: fork the server, relay between our stdin and stdout and the socket; gives the exit code."""
    ours, theirs = socket.socketpair()
    told, tell = os.pipe()
    if not os.fork():
        ours.close()
        os.close(told)
        serve(theirs, tell, line)
    theirs.close()
    os.close(tell)
    _relay([(0, ours.fileno()), (ours.fileno(), 1)], stop_on=ours.fileno())
    code = os.read(told, 16)
    return int(code) if code else NO_CONNECTION


def serve(peer: socket.socket, tell: int, line: str) -> None:
    """Be the server: run the line by a shell, relay between the socket and its pipes."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    child = subprocess.Popen(["sh", "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("a child without pipes")
    to_child, from_child = child.stdin.fileno(), child.stdout.fileno()
    _relay([(peer.fileno(), to_child), (from_child, peer.fileno())], stop_on=from_child)
    with contextlib.suppress(OSError):
        os.write(tell, str(child.wait() & 0xFF).encode())
    os._exit(0)


def _relay(pairs: list[tuple[int, int]], stop_on: int) -> None:
    """Copy from the first to the second of each pair; a source that ends closes its target, `stop_on` ends all."""
    sources = dict(pairs)
    while sources:
        ready, _, _ = select.select(list(sources), [], [])
        for source in ready:
            try:
                block = os.read(source, 1 << 16)
                view = memoryview(block)
                while view:
                    view = view[os.write(sources[source], view) :]
            except OSError:
                block = b""
            if block:
                continue
            target = sources.pop(source)
            if source == stop_on:
                return
            if stat.S_ISSOCK(os.fstat(target).st_mode):
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(target)) as end:
                    end.shutdown(socket.SHUT_WR)
            else:
                os.close(target)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(connect(sys.argv[-1]))  # as ssh: options, host, then the line
