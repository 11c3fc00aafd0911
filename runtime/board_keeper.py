"""The on-board program of a visit: answers requests on stdin until it ends, `keep(folder, janitor)`.

A request is one line of JSON with "op", a payload of "size" bytes may follow; the answer likewise on stdout. Only one
request is worked on at a time; "ping" has no answer and says that the host is still there. When stdin ends, or nothing
comes for the time of the lease, a child that runs is killed and the folder removed.

| op | gives |
|---|---|
| put | stores the payload as "name" in the folder |
| get | payload: the file "name" |
| facts, health | see `board_facts` |
| governor | sets the governor of all cores to "value" until the visit ends |
| run | "argv" with "{folder}" replaced: code, stdout, stderr, timed_out, power_mw |
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from .board_boot import RESTORE, write_setting
from .board_facts import Board
from .board_wire import LEASE_S, Gone, Payload, Wire
from .errors import DeviceDiskFull, DeviceError, EdgepressError, InputError, MissingToolError

PROTOCOL = "edgepress-board/1"
_POWER_EVERY_S = 0.2


class Keeper:
    """State of one visit."""

    def __init__(self, folder: Path, janitor: int, wire: Wire):
        self.folder, self.janitor, self.wire = folder, janitor, wire
        self.board = Board()

    def serve(self) -> None:
        """Answer until the host is gone or says goodbye."""
        hello = {"protocol": PROTOCOL, "machine": platform.machine(), "pid": os.getpid()}
        self.wire.give(hello)
        while True:
            request = json.loads(self.wire.line())
            if request["op"] == "ping":
                continue
            if request["op"] == "bye":
                return
            try:
                payload, answer = self._answer(request)
            except EdgepressError as error:
                told = {"what": error.what, "where": error.where, "hint": error.hint}
                payload, answer = b"", {"error": {"class": type(error).__name__, **told}}
            self.wire.give(answer, payload)

    def _answer(self, request: Dict[str, Any]) -> Tuple[bytes, Dict[str, Any]]:
        operation = request["op"]
        if operation == "settings":
            self.wire.lease_s = float(request.get("lease_s", LEASE_S))
            self.board = Board(request.get("root", "/"))
            return b"", {}
        if operation == "put":
            self._put(request["name"], int(request["size"]))
            return b"", {}
        if operation == "get":
            return self._path(request["name"]).read_bytes(), {}
        if operation == "facts":
            return b"", {"facts": self.board.facts(request.get("cpu", 0))}
        if operation == "health":
            return b"", {"health": self.board.health(request.get("cpu", 0))}
        if operation == "governor":
            self._set_governor(request["value"])
            return b"", {}
        if operation == "run":
            return b"", self._run(request)
        raise InputError(f"the on-board program does not know the request {operation!r}")

    def _path(self, name: str) -> Path:
        if not name or "/" in name or name.startswith("."):
            raise InputError(f"{name!r} is no file name of the on-board program")
        return self.folder / name

    def _put(self, name: str, size: int) -> None:
        path = self._path(name)
        taken = Payload(size, self.wire.lease_s)
        try:
            with path.open("wb") as stream:
                taken.copy(stream)
        except OSError as error:
            taken.drain()
            with contextlib.suppress(OSError):
                path.unlink()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(self.folder) from error
            raise DeviceError(f"cannot store {name}: {error}") from error

    def _set_governor(self, value: str) -> None:
        """Note the governors that are there, then change them; the note outlives a crash."""
        paths = self.board.governors()
        if not paths:
            raise InputError("this board has no governors to set", hint="leave --set-governor out")
        old = {path: Path(path).read_text().strip() for path in paths}
        note = self.folder / RESTORE
        if not note.exists():
            note.write_text(json.dumps(old))
        for path in paths:
            try:
                write_setting(path, value)
            except OSError as error:
                raise InputError(
                    f"the governor cannot be set to {value}: {error.strerror}",
                    where=path,
                    hint="log in as root, allow sudo without a password, or leave --set-governor out",
                ) from error

    def _run(self, request: Dict[str, Any]) -> Dict[str, Any]:
        argv = [self._placed(word) for word in request["argv"]]
        variables = {k: self._placed(v) for k, v in request.get("environment", {}).items()}
        child = self._start(argv, variables)
        self._tell_janitor(f"+{child.pid}")
        try:
            return self._attend(child, float(request["limit_s"]))
        finally:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            self._tell_janitor(f"-{child.pid}")

    def _placed(self, word: Any) -> str:
        """A word with the folder of the visit in it."""
        return str(word).replace("{folder}", str(self.folder))

    def _start(self, argv: List[str], more: Dict[str, str]) -> "subprocess.Popen[bytes]":
        mine = {"TMPDIR": str(self.folder), "EDGEPRESS_PARENT": str(os.getpid())}
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **mine, **more}
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=str(self.folder),
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            hint = "name its Python with --python"
            raise MissingToolError(f"cannot run {argv[0]}: {error.strerror}", hint=hint) from error

    def _attend(self, child: "subprocess.Popen[bytes]", timeout_s: float) -> Dict[str, Any]:
        """Wait for a child, the host and the clock at once."""
        if child.stdout is None or child.stderr is None:
            raise DeviceError("a child without pipes")
        texts = {child.stdout.fileno(): b"", child.stderr.fileno(): b""}
        out, err = list(texts)
        open_ends, power = {out, err}, _Power(self.board)
        deadline, heard = time.monotonic() + timeout_s, time.monotonic()
        while open_ends and time.monotonic() < deadline:
            wait = min(deadline - time.monotonic(), _POWER_EVERY_S if power.works else 1.0)
            ready, _, _ = select.select([0, *open_ends], [], [], max(wait, 0))
            power.sample()
            if 0 in ready:
                self.wire.read()  # only pings come now; `Gone` if the host went
                heard = time.monotonic()
            if time.monotonic() - heard > self.wire.lease_s:
                raise Gone
            for end in open_ends & set(ready):
                block = os.read(end, 1 << 16)
                texts[end] += block
                if not block:
                    open_ends = open_ends - {end}
        timed_out = bool(open_ends)
        code = None if timed_out else child.wait()
        return {
            "code": code,
            "stdout": texts[out].decode("utf-8", "replace"),
            "stderr": texts[err].decode("utf-8", "replace")[-4000:],
            "timed_out": timed_out,
            "power_mw": power.mean(),
        }

    def _tell_janitor(self, word: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self.janitor, f"{word} ".encode("ascii"))


class _Power:
    """Mean of a power meter while something runs."""

    def __init__(self, board: Board):
        self._board = board
        self._samples: List[float] = []
        self._next = 0.0
        self.works = board.power_mw() > 0

    def sample(self) -> None:
        if self.works and time.monotonic() >= self._next:
            self._samples.append(self._board.power_mw())
            self._next = time.monotonic() + _POWER_EVERY_S

    def mean(self) -> Optional[float]:
        return sum(self._samples) / len(self._samples) if self._samples else None


def disk_full(folder: Path) -> DeviceDiskFull:
    """The error for a full disk, with what is free."""
    free = shutil.disk_usage(str(folder)).free
    return DeviceDiskFull(
        f"no space left in its temporary folder ({free >> 10} KiB free); what was written is removed",
        hint="free some space there, or set TMPDIR on the board to a folder with space",
    )


def _leave(*_: Any) -> NoReturn:
    raise Gone


def keep(folder: Path, janitor: int) -> int:
    """Serve one visit; gives the exit code. Whoever calls removes the folder."""
    answers = os.dup(1)
    os.dup2(2, 1)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        Keeper(folder, janitor, Wire(answers)).serve()
    except Gone:
        return 0
    finally:
        sys.stdout.flush()
        os.close(answers)
    return 0
