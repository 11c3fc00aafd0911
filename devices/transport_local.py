"""A transport to this very machine, through any command in front: what tests and the kill study use as a board.

It behaves as ssh does: programs are run by a shell from one quoted line, and a lost connection ends with 255.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..runtime.errors import DeviceLost, DeviceUnreachable
from .transport import Done, capture


class LocalTransport:
    """Run programs here.

    Args:
        front: words before the quoted line: `["sh", "-c"]`, or a program that stands in for a connection.
        environment: added to ours, such as TMPDIR of the pretended board.
    """

    def __init__(
        self, front: Sequence[str] = ("sh", "-c"), environment: Mapping[str, str] | None = None
    ):
        self._front = list(front)
        self._environment = dict(environment or {})

    @property
    def address(self) -> str:
        """ "local://"."""
        return "local://"

    def command(self, argv: Sequence[str]) -> list[str]:
        """The words that run `argv`."""
        settings = [f"{key}={value}" for key, value in self._environment.items()]
        return ["env", *settings, *self._front, shlex.join(argv)]

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Done:
        """Run a program and wait for it."""
        done = capture(self.command(argv), stdin, timeout_s)
        if done.code == -1:
            raise DeviceLost(f"no answer within {timeout_s:g} s", where=self.address)
        return done

    def open(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(argv), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )

    def refusal(self, code: int, stderr: str) -> Exception | None:
        """As ssh's."""
        return (
            DeviceUnreachable(stderr.strip() or "no connection", where=self.address)
            if code == 255
            else None
        )

    def put(self, data: bytes, path: str) -> None:
        """Write a file."""
        Path(path).write_bytes(data)

    def get(self, path: str) -> bytes:
        """Read a file."""
        return Path(path).read_bytes()

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.run(["rm", "-rf", "--", path])
