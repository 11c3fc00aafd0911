"""The error tree: every error a user can cause says what, where and what to do next.

Each class carries the exit code of the command line (docs/exit_codes.md). This module imports
nothing of ours; it travels to the board (Python >= 3.9).
"""

from __future__ import annotations

from typing import Optional


class EdgepressError(Exception):
    """Base of all errors that edgepress raises on purpose.

    Args:
        what: what went wrong, with the value seen.
        where: file, layer, tensor or recipe line.
        hint: what to do next.
    """

    exit_code = 5

    def __init__(self, what: str, *, where: Optional[str] = None, hint: Optional[str] = None):
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  next: {self.hint}" if self.hint else text


class UsageError(EdgepressError):
    """The command or recipe asks for something that cannot be."""

    exit_code = 2


class InputError(EdgepressError):
    """A file, data set or model handed in is wrong, damaged or unsupported."""

    exit_code = 2


class UnsupportedOperatorError(InputError):
    """An operator that no writer knows: names the operator, the node and what to do."""


class MissingToolError(EdgepressError):
    """A package or program that this step needs is not installed."""

    exit_code = 2


class ToolFailedError(EdgepressError):
    """A program that this step runs (a compiler, a package manager) ended with an error."""

    exit_code = 2


class LocalDiskFullError(EdgepressError):
    """No space left while writing; nothing half-written stays behind."""

    exit_code = 2


class ParityError(EdgepressError):
    """An exported file does not compute what the model computed."""

    exit_code = 1


class EngineCrashedError(InputError):
    """An engine ended its process on a file: killed, crashed or never coming back."""


class DeviceError(EdgepressError):
    """A device did not do its part; nothing is wrong with what was asked of it."""

    exit_code = 4


class DeviceUnreachable(DeviceError):
    """A device cannot be reached: no such host, refused, an unknown or changed host key, no permission."""


class DeviceLost(DeviceError):
    """A device that was reached is gone, or its program was killed, before it answered."""


class DeviceDiskFull(DeviceError):
    """No space left on the device; what was written there is removed."""
