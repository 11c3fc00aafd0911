"""Errors that a board tells, and the last words of a client."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from ..runtime.errors import DeviceDiskFull, DeviceError, EdgepressError, LocalDiskFullError
from .answers import error_class


class Tail:
    """The last words on stderr, read by a thread of its own so that nobody waits for it."""

    def __init__(self) -> None:
        self._data, self._done = b"", threading.Event()

    def drain(self, stream: Any) -> None:
        """Read until it ends."""
        with contextlib.suppress(OSError, ValueError):
            for block in iter(lambda: os.read(stream.fileno(), 4096), b""):
                self._data = (self._data + block)[-8192:]
        with contextlib.suppress(OSError):
            stream.close()
        self._done.set()

    def text(self) -> str:
        """What was said, once the stream ended (or after a second)."""
        self._done.wait(1.0)
        return self._data.decode("utf-8", "replace")


def told_error(told: dict[str, Any], address: str) -> EdgepressError:
    """An error of the on-board program, as its class; the board's full disk is the device's, not ours."""
    kind = error_class(told, DeviceError)
    if kind is LocalDiskFullError:
        kind = DeviceDiskFull
    place = f"{address}: {told['where']}" if told.get("where") else address
    return kind(str(told.get("what")), where=place, hint=told.get("hint"))
