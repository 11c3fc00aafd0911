"""How a program is run and a file copied on another machine; `open_transport("ssh://pi@host")`.

| address | what |
|---|---|
| `ssh://[user@]host[:port]` | the system's `ssh`, with the user's configuration (`transport_ssh.py`) |
| `adb://serial` | Android's `adb` (`transport_adb.py`) |

A transport raises `DeviceUnreachable` where it could not get there; what a program over there does is in `Done`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..runtime.errors import UsageError

SCHEMES = ("ssh", "adb")


@dataclass(frozen=True)
class Done:
    """How a program over there ended."""

    code: int
    stdout: bytes
    stderr: str


class Transport(Protocol):
    """A way to one device."""

    @property
    def address(self) -> str:
        """The device's name in messages and measurements: "ssh://pi@pi4"."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Done:
        """Run a program and wait for it."""

    def open(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program with pipes to its stdin and stdout."""

    def refusal(self, code: int, stderr: str) -> Exception | None:
        """The error if a program started by `open` ended so for want of a connection, else None."""

    def put(self, data: bytes, path: str) -> None:
        """Write a file there."""

    def get(self, path: str) -> bytes:
        """Read a file there."""

    def remove(self, path: str) -> None:
        """Remove a file or folder there; it need not exist."""


@dataclass(frozen=True)
class Address:
    """A parsed `scheme://[user@]host[:port]`; adb has the serial as host."""

    scheme: str
    host: str
    user: str = ""
    port: int | None = None

    @property
    def text(self) -> str:
        """As it was written."""
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host and self.scheme == "ssh" else self.host
        return f"{self.scheme}://{user}{host}{port}"


def is_address(text: str) -> bool:
    """True for what looks like an address rather than a device's name."""
    return "://" in text


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        UsageError: no scheme we know, no host, or a host that would be read as an option.
    """
    from urllib.parse import urlsplit

    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES:
        hint = "use ssh://user@host[:port], or adb://serial"
        raise UsageError(f"{text!r} is no address of a board", hint=hint)
    if scheme == "adb":
        return Address("adb", _safe(rest.strip("/"), text))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is no address of a board: {error}") from error
    if parts.path.strip("/") or parts.query or parts.password:
        raise UsageError(
            f"{text!r} says more than user, host and port", hint="ssh://user@host:port"
        )
    # urlsplit lowers the host: aliases of the user's ssh configuration may have capitals
    written = parts.netloc.rpartition("@")[2]
    if not written.startswith("[") and host:
        host = written.partition(":")[0]
    return Address("ssh", _safe(host, text), _safe(parts.username or "", text, empty=True), port)


def _safe(word: str, text: str, empty: bool = False) -> str:
    if (not word and not empty) or word.startswith("-") or any(c.isspace() for c in word):
        raise UsageError(f"{text!r} names no host", hint="ssh://user@host[:port] or adb://serial")
    return word


def open_transport(text: str, *, adb: str = "adb") -> Transport:
    """The transport of an address; nothing is contacted yet.

    Raises:
        UsageError: not an address.
        MissingToolError: ssh or adb is not installed.
    """
    address = parse_address(text)
    if address.scheme == "ssh":
        from .transport_ssh import SshTransport

        return SshTransport(address)
    from .transport_adb import AdbTransport

    return AdbTransport(address, adb)


def capture(words: Sequence[str], stdin: bytes, timeout_s: float) -> Done:
    """Run a program of this machine; `code` is -1 where it took longer than `timeout_s`."""
    argv = [str(word) for word in words]
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        return Done(-1, error.stdout or b"", "")
    return Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
