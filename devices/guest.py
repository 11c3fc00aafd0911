"""One guest process under qemu-aarch64: the on-board program with one request, its answer, or why there is none."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import EdgepressError, EngineCrashedError, ToolFailedError
from .answers import error_of, last_document
from .child_process import run_child
from .qemu import Emulator

DEFAULT_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class EmulatedBoard:
    """A board ready to run: `cpu` of QEMU, `prefix` with its /proc and /sys, Python and engines for arm64."""

    name: str
    cpu: str
    prefix: Path
    python: Path
    site: Path
    agent: Path
    emulator: Emulator


def run_guest(
    board: EmulatedBoard,
    arguments: list[str],
    folder: Path,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    plugin: str = "",
    keep_bytecode: bool = False,
) -> dict[str, Any]:
    """Answer of the on-board program to `arguments` (`runtime/agent.py`).

    Args:
        board: where it runs.
        arguments: verb, file, options; absolute paths.
        folder: working folder of the guest, for whatever it leaves behind.
        timeout_s: seconds of wall clock after which the guest is ended.
        plugin: value of QEMU's option -plugin, or "" for none.
        keep_bytecode: write compiled modules beside their sources.

    Raises:
        EdgepressError: what the on-board program raised, as the same class.
        EngineCrashedError: the guest was ended by a signal or took too long.
        ToolFailedError: QEMU or the guest's Python failed otherwise.
    """
    command = [str(board.emulator.path), "-cpu", board.cpu, "-L", str(board.prefix)]
    command += ["-plugin", plugin] if plugin else []
    command += [str(board.python), "-s", str(board.agent), *arguments]
    environment = _environment(board, folder, keep_bytecode)
    ended = run_child(command, folder, timeout_s, environment)
    code = ended.code
    where = f"{board.name} (emulated {board.cpu})"
    if code is None:
        raise EngineCrashedError(
            f"no answer within {timeout_s:g} s",
            where=where,
            hint="allow more seconds; emulation is slow",
        )
    if code < 0:
        raise _crash(-code, arguments, where)
    told = last_document(ended.out)
    if told is not None and "error" in told:
        raise error_of(told["error"], EdgepressError)
    if code != 0 or told is None:
        raise ToolFailedError(f"the guest ended with code {code}: {ended.last_words}", where=where)
    return told


def _environment(board: EmulatedBoard, folder: Path, keep_bytecode: bool) -> dict[str, str]:
    """Nothing of ours reaches the guest: the same environment, the same instructions."""
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(board.site),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
    }
    return variables if keep_bytecode else {**variables, "PYTHONDONTWRITEBYTECODE": "1"}


_SIGNALS = {
    signal.SIGILL: (
        "ran into an instruction that this core does not have",
        "the engine took the core for another one: its /proc/cpuinfo and the emulated core must agree",
    ),
    signal.SIGSEGV: (
        "accessed memory that is not its own",
        "check the file with `edgepress inspect`, or try the other engine",
    ),
    signal.SIGKILL: (
        "was killed, most likely for want of memory",
        "free some memory and run again",
    ),
    signal.SIGABRT: ("gave up", "try the other engine"),
}


def _crash(number: int, arguments: list[str], where: str) -> EngineCrashedError:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    meaning = next(
        (text for sig, text in _SIGNALS.items() if sig == number), ("was ended", "run again")
    )
    engine = next(
        (b for a, b in zip(arguments, arguments[1:], strict=False) if a == "--engine"), "the guest"
    )
    return EngineCrashedError(f"{engine} {meaning[0]} ({name})", where=where, hint=meaning[1])
