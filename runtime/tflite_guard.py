"""TFLite's engines asked for something: their errors and what they print become one `InputError`."""

from __future__ import annotations

from typing import Callable, Optional, TypeVar

from .engines import quiet_stderr
from .errors import InputError

ENGINE_ERRORS = (RuntimeError, ValueError, MemoryError, TypeError)
"""What an Interpreter raises."""

Result = TypeVar("Result")


def guarded(action: Callable[[], Result], what: str, where: str, hint: str) -> Result:
    """The result of `action`; an engine's error becomes an `InputError` with the engine's reason.

    Args:
        what: who does not do what ("the engine refuses the file").
        where, hint: of the error.
    """
    failure: Optional[Exception] = None
    with quiet_stderr() as printed:
        try:
            return action()
        except ENGINE_ERRORS as error:
            failure = error
    reason = " ".join(str(failure).split()) or " ".join("".join(printed).split())
    raise InputError(f"{what}: {reason[:400]}", where=where, hint=hint) from failure
