"""The exit codes of the command line, and the one place that turns an exception into one of them.

    code, error = judge(exception)

Every outcome a user meets ends here: errors raised on purpose carry their code in their class (runtime/errors.py);
what the operating system says about files, a missing optional package and click's own complaints are put into the
same words (what, where, what to do next). Anything else is our fault: code 5.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable
from enum import IntEnum

from ..runtime.errors import (
    EdgepressError,
    InputError,
    LocalDiskFullError,
    MissingToolError,
    UsageError,
)


class ExitCode(IntEnum):
    """What a command's end says to a script."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_VERDICT = 3
    DEVICE = 4
    INTERNAL = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done; every check passed",
    ExitCode.FAILED: "a check failed: a gate, a parity proof, a budget, an error found by lint",
    ExitCode.USAGE: "wrong usage, bad input, a missing package or program, no space left on this disk",
    ExitCode.NO_VERDICT: "no verdict: the numbers do not allow one",
    ExitCode.DEVICE: "a device cannot be reached, was lost, or its disk is full",
    ExitCode.INTERNAL: "internal error of edgepress; the message names the file with the traceback",
    ExitCode.INTERRUPTED: "interrupted (SIGINT, Ctrl-C)",
    ExitCode.BROKEN_PIPE: "whoever read the output stopped reading, as `head` does",
    ExitCode.TERMINATED: "terminated (SIGTERM)",
}

PRECEDENCE = (
    ExitCode.INTERNAL,
    ExitCode.DEVICE,
    ExitCode.USAGE,
    ExitCode.FAILED,
    ExitCode.NO_VERDICT,
    ExitCode.OK,
)
"""Several outcomes in one command: the first of these that occurred is the command's."""

EXTRAS = {
    "torch": "torch",
    "brevitas": "torch",
    "onnxscript": "torch",
    "onnxoptimizer": "torch",
    "PIL": "torch",
    "ai_edge_litert": "litert",
    "snntorch": "spiking",
}
"""Optional package -> the extra of edgepress that brings it."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FILE_TROUBLE = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)


class Terminated(BaseException):
    """Raised by the handler of SIGTERM, so that files being written are cleaned up on the way out."""


def worst(codes: Iterable[int]) -> ExitCode:
    """The code of a command with several outcomes (`PRECEDENCE`); OK for none."""
    seen = {ExitCode(code) for code in codes}
    return next((code for code in PRECEDENCE if code in seen), ExitCode.OK)


def judge(error: BaseException) -> tuple[ExitCode, EdgepressError | None]:
    """Exit code of an exception, and the error to show; None where there is nothing to say or nobody foresaw it.

    Click's own exceptions are recognised without importing click, so that this module stays usable anywhere.
    """
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return ExitCode.INTERRUPTED, None
    if isinstance(error, Terminated):
        return ExitCode.TERMINATED, None
    if isinstance(error, BrokenPipeError):
        return ExitCode.BROKEN_PIPE, None
    if isinstance(error, EdgepressError):
        return ExitCode(error.exit_code), error
    known = _click(error) or _missing_package(error) or _of_the_system(error)
    return (ExitCode.USAGE, known) if known else (ExitCode.INTERNAL, None)


def _click(error: BaseException) -> EdgepressError | None:
    """click's UsageError and its kin, with the command whose --help answers."""
    if not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "edgepress"
    text = str(error.format_message()).rstrip(".")
    return UsageError(text, where=command, hint=f"see `{command} --help`")


def _missing_package(error: BaseException) -> EdgepressError | None:
    """An optional package that is not installed. One of our own modules missing is our fault."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    name = (error.name or "").split(".")[0]
    if name not in EXTRAS:
        return None
    extra = EXTRAS[name]
    return MissingToolError(
        f"the package {name!r} is not installed",
        hint=f"install it with `{sys.executable} -m pip install 'edgepress[{extra}]'`",
    )


def _of_the_system(error: BaseException) -> EdgepressError | None:
    """What the operating system refused about a file the user named."""
    if not isinstance(error, OSError):
        return None
    where = None if error.filename is None else str(error.filename)
    if error.errno in _FULL:
        return LocalDiskFullError(
            f"no space left to write ({error.strerror})",
            where=where,
            hint="free some space or choose another output folder, then run again",
        )
    if error.errno in _FILE_TROUBLE and where is not None:
        hint = "check the path and its permissions"
        return InputError(f"cannot open or write it: {error.strerror}", where=where, hint=hint)
    return None
