"""Both ends of the on-board program's protocol: requests from stdin, answers to what was stdout, each with a limit."""

from __future__ import annotations

import json
import os
import select
from dataclasses import dataclass
from typing import Any, BinaryIO, Dict

LEASE_S = 120.0
"""So long the board waits for a word of the host before it cleans itself."""


class Gone(Exception):
    """The host is not there any more."""


@dataclass
class Wire:
    """Lines from stdin and answers to what was stdout; prints of engines go to stderr."""

    answers: int
    buffer: bytes = b""
    lease_s: float = LEASE_S

    def line(self) -> bytes:
        """The next line; raises `Gone` when stdin ended or the lease ran out."""
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([0], [], [], self.lease_s)
            if not ready:
                raise Gone
            self.read()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def read(self) -> None:
        """Take what stdin has."""
        # one byte more than the line would be a payload's, which `receive` reads from the descriptor
        block = os.read(0, 1)
        if not block:
            raise Gone
        self.buffer += block

    def give(self, answer: Dict[str, Any], payload: bytes = b"") -> None:
        """Send an answer."""
        data = json.dumps({**answer, "size": len(payload)}).encode() + b"\n" + payload
        view = memoryview(data)
        try:
            while view:
                _, ready, _ = select.select([], [self.answers], [], self.lease_s)
                if not ready:
                    raise Gone
                # not more than a pipe takes at once: a longer write would wait without a limit
                view = view[os.write(self.answers, view[: select.PIPE_BUF]) :]
        except OSError as error:
            raise Gone from error


class Payload:
    """The bytes after a request: copied, or thrown away so that the next request can be read."""

    def __init__(self, size: int, lease_s: float):
        self.left, self._lease_s = size, lease_s

    def copy(self, stream: BinaryIO) -> None:
        """Write what is left of it to a file."""
        while self.left:
            block = self._next()
            stream.write(block)

    def drain(self) -> None:
        """Throw away what is left of it."""
        while self.left:
            self._next()

    def _next(self) -> bytes:
        ready, _, _ = select.select([0], [], [], self._lease_s)
        block = os.read(0, min(self.left, 1 << 16)) if ready else b""
        if not block:
            raise Gone
        self.left -= len(block)
        return block
