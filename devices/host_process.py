"""Run `runtime.time_file` in a fresh process and read what it says, however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from ..runtime.codec import from_json, to_json
from ..runtime.errors import EdgepressError, EngineCrashedError, InputError
from ..runtime.time_file import ProcessTiming
from ..runtime.timing import TimingPlan
from .answers import error_of, last_document

MODULE = "edgepress.runtime.time_file"
TIMEOUT_S = 600.0


def command(
    path: Path,
    engine: str | None,
    threads: int,
    plan: TimingPlan | None = None,
    inputs: Path | None = None,
) -> list[str]:
    """Arguments of `python` that time a file."""
    words = ["-m", MODULE, str(path), "--threads", str(threads)]
    if engine:
        words += ["--engine", engine]
    if plan is not None:
        words += ["--plan", json.dumps(to_json(plan))]
    if inputs is not None:
        words += ["--inputs", str(inputs)]
    return words


def run_process(
    path: Path,
    engine: str | None,
    threads: int,
    plan: TimingPlan | None = None,
    inputs: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> ProcessTiming:
    """What one fresh process measured.

    Raises:
        EngineCrashedError: it was killed, crashed or did not end within `timeout_s`.
        EdgepressError: the error the process itself told, with its class.
    """
    words = [sys.executable, *command(path, engine, threads, plan, inputs)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise EngineCrashedError(
            f"timing did not end within {timeout_s:g} s",
            where=str(path),
            hint="try another engine, or a smaller model",
        ) from error
    if done.returncode < 0:
        raise _killed(-done.returncode, path)
    return _read(done.stdout.decode(errors="replace"), done, path)


def _killed(number: int, path: Path) -> EngineCrashedError:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = "the engine crashes on this file: try another engine, or export the model again"
    if number == signal.SIGKILL:
        hint = "the machine may be out of memory: close other programs, or use a smaller model"
    return EngineCrashedError(f"the timing process was ended by {name}", where=str(path), hint=hint)


def _read(text: str, done: subprocess.CompletedProcess[bytes], path: Path) -> ProcessTiming:
    document = last_document(text)
    if document is not None and "error" in document:
        raise error_of(document["error"], InputError)
    if done.returncode or document is None:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise EdgepressError(
            f"timing failed with exit code {done.returncode}: {' '.join(last) or 'no output'}",
            where=str(path),
        )
    return from_json(ProcessTiming, document)
