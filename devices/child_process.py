"""One program run to its end, whatever happens: its exit code and both streams, or that it took too long."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import ToolFailedError


@dataclass(frozen=True)
class Ended:
    """`code` is None after a time-out, and minus the signal's number after a signal."""

    code: int | None
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last lines of what it said, for messages."""
        return " / ".join((self.err.strip() or self.out.strip()).splitlines()[-3:])[:600]


def run_child(
    command: Sequence[str],
    folder: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program in a folder; it and what it started are ended when this call ends, also by an interrupt.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        timeout_s: seconds of wall clock after which it is ended.
        environment: all of its variables; ours if None.

    Raises:
        ToolFailedError: it cannot be started.
    """
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailedError(f"cannot be run: {error.strerror}", where=command[0]) from error
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return Ended(None, "", "")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return Ended(process.returncode, out, err)
