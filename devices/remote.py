"""A visit to a board: one connection, one private folder there, requests and answers (`runtime/board_keeper.py`).

    with Remote(open_transport("ssh://pi@pi4")) as remote:
        remote.put("m.tflite", data)
        answer, _ = remote.call("health")

The folder is gone when the visit ends, however it ends. Every wait has a limit; a lost connection is `DeviceLost`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from importlib import resources
from types import TracebackType
from typing import Any

from ..runtime.errors import (
    DeviceDiskFull,
    DeviceError,
    DeviceLost,
    EdgepressError,
    MissingToolError,
)
from .agent import agent_bytes
from .remote_errors import Tail, told_error
from .transport import Transport

PROTOCOL = "edgepress-board/1"
OPEN_S = 60.0
ANSWER_S = 60.0
PING_S = 5.0
SLOWEST_BYTES_PER_S = 20_000.0

_MOST_NOISE = 1 << 16
"""What a login may print before the on-board program speaks."""


class Remote:
    """One visit; a context manager. Not for several threads."""

    def __init__(
        self,
        transport: Transport,
        *,
        python: str = "python3",
        root: str = "/",
        lease_s: float | None = None,
        open_s: float = OPEN_S,
    ):
        self._transport, self._python, self._open_s = transport, python, open_s
        self._settings: dict[str, Any] = {"root": root}
        if lease_s is not None:
            self._settings["lease_s"] = lease_s
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer, self._greeted = b"", False
        self._errors = Tail()

    @property
    def address(self) -> str:
        """The board's address."""
        return self._transport.address

    @property
    def python(self) -> str:
        """The word that starts Python there."""
        return self._python

    def __enter__(self) -> Remote:
        try:
            self._open()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(EdgepressError, OSError):
            if kind is None:
                self._send(b'{"op": "bye"}\n', 5.0)
        self._end()

    def call(
        self, op: str, payload: bytes = b"", *, timeout_s: float = ANSWER_S, **fields: Any
    ) -> tuple[dict[str, Any], bytes]:
        """(answer, its payload) of a request.

        Raises:
            DeviceLost: the connection ended, or no answer came in time.
            EdgepressError: what the on-board program raised, as the same class.
        """
        limit = timeout_s + len(payload) / SLOWEST_BYTES_PER_S
        request = {"op": op, **fields}
        if payload or op == "put":
            request["size"] = len(payload)
        self._send(json.dumps(request).encode() + b"\n" + payload, limit)
        return self._answer(limit)

    def put(self, name: str, data: bytes) -> None:
        """Store a file in the folder of the visit; `DeviceDiskFull` where it does not fit."""
        self.call("put", data, name=name)

    def get(self, name: str) -> bytes:
        """A file of the folder of the visit."""
        return self.call("get", name=name)[1]

    # --------------------------------------------------------------- opening and ending

    def _open(self) -> None:
        archive = agent_bytes()
        source = resources.files("edgepress.runtime").joinpath("board_boot.py").read_bytes()
        source += f"\nsys.exit(boot({len(archive)}))\n".encode()
        # reads no byte more than its own: what follows is read by what it starts
        start = (
            f'import os,sys;s=b"".join(os.read(0,1) for _ in range({len(source)}));'
            """exec(s if sys.version_info>=(3,9) else "print('old',sys.version.split()[0])")"""
        )
        self._process = self._transport.open([self._python, "-c", start])
        os.set_blocking(self._in.fileno(), False)
        threading.Thread(target=self._errors.drain, args=(self._err,), daemon=True).start()
        deadline = time.monotonic() + self._open_s
        self._send(source + archive, self._open_s)
        self._greet(deadline)
        self.call("settings", **self._settings)

    def _greet(self, deadline: float) -> None:
        """Skip what the login prints until the on-board program says its name."""
        noise = 0
        while noise < _MOST_NOISE:
            line = self._line(deadline)
            noise += len(line)
            if line.startswith(b"old "):
                version = line[4:].decode("ascii", "replace").strip()
                raise MissingToolError(
                    f"its {self._python} is {version}, 3.9 is the oldest that works",
                    where=self.address,
                    hint="install a newer one there and name it with --python",
                )
            document = _object(line)
            if document is not None and "error" in document:
                raise told_error(document["error"], self.address)
            if document is not None and document.get("protocol") == PROTOCOL:
                self._greeted = True
                return
        raise DeviceError("it answers with something else", where=self.address)

    def _end(self) -> None:
        """Close the pipes, wait a little, then kill the client: the board cleans itself in either case."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def _in(self) -> Any:
        return self._running().stdin

    @property
    def _out(self) -> Any:
        return self._running().stdout

    @property
    def _err(self) -> Any:
        return self._running().stderr

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise DeviceLost("the visit is over", where=self.address)
        return self._process

    # --------------------------------------------------------------- bytes

    def _send(self, data: bytes, timeout_s: float) -> None:
        """Write all of it; what comes meanwhile is kept, so that neither side waits for the other."""
        end, out = self._in.fileno(), self._out.fileno()
        deadline, view = time.monotonic() + timeout_s, memoryview(data)
        while view:
            full = len(self._buffer) >= _MOST_NOISE
            if full and not self._greeted:
                return  # it talks and does not listen: the greeting says what it is
            listen = [] if full else [out]
            left = max(deadline - time.monotonic(), 0)
            heard, ready, _ = select.select(listen, [end], [], left)
            if not (heard or ready):
                raise DeviceLost("no answer in time", where=self.address, hint="allow more seconds")
            if heard:
                block = os.read(out, 1 << 16)
                self._buffer += block
                if not block:
                    return  # it ended: whoever reads the answer says why
            try:
                view = view[os.write(end, view[: 1 << 16]) :] if ready else view
            except BlockingIOError:
                continue
            except OSError:
                return

    def _answer(self, timeout_s: float) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + timeout_s
        document = _object(self._line(deadline))
        if document is None:
            raise DeviceLost("its answer is damaged", where=self.address)
        payload = self._exactly(int(document.get("size", 0)), deadline)
        if "error" in document:
            raise told_error(document["error"], self.address)
        return document, payload

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._buffer:
            self._more(deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _exactly(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            self._more(deadline)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self, deadline: float) -> None:
        """Wait for bytes; tell the board now and then that we are here."""
        end = self._out.fileno()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeviceLost("no answer in time", where=self.address, hint="allow more seconds")
            ready, _, _ = select.select([end], [], [], min(left, PING_S))
            if ready:
                block = os.read(end, 1 << 16)
                if not block:
                    raise self._lost()
                self._buffer += block
                return
            if self._greeted:
                self._send(b'{"op": "ping"}\n', PING_S)

    def _lost(self) -> EdgepressError:
        """Why the connection ended."""
        process = self._running()
        try:
            code = process.wait(3.0)
        except subprocess.TimeoutExpired:
            code = 255
        said = self._errors.text()
        refusal = self._transport.refusal(code, said)
        if self._greeted:
            last = (said.strip().splitlines() or [""])[-1][-200:]
            reason = (
                f": {refusal.what}"
                if isinstance(refusal, EdgepressError)
                else f" ({last})" * bool(last)
            )
            return DeviceLost(
                f"the connection or the on-board program ended in the middle{reason}",
                where=self.address,
                hint="nothing was measured and the board cleans itself; try again",
            )
        if isinstance(refusal, EdgepressError):
            return refusal
        if code in (126, 127) or "not found" in said:
            return MissingToolError(
                f"there is no {self._python} on the board (exit code {code})",
                where=self.address,
                hint="install Python 3.9 or newer there, or name it with --python",
            )
        last = " / ".join(said.strip().splitlines()[-3:])[-400:]
        if "No space left" in said:
            return DeviceDiskFull(f"its disk is full: {last}", where=self.address)
        if not last or code < 0:
            what = "the connection ended before the on-board program started"
            return DeviceLost(what, where=self.address, hint="try again")
        return DeviceError(f"the on-board program did not start: {last}", where=self.address)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line) if line.lstrip().startswith(b"{") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
