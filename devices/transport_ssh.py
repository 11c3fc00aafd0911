"""The system's `ssh`: the user's configuration, keys, agents and jump hosts; the host key must be known already.

The client never asks anything (BatchMode) and never accepts a new host key. It ends with 255 where it could not
connect; any other code is the program's own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence

from ..runtime.errors import DeviceDiskFull, DeviceError, DeviceLost, DeviceUnreachable, InputError
from .tools_needed import find_tool
from .transport import Address, Done, capture

CONNECT_S = 10
_ALIVE_S, _ALIVE_COUNT = 5, 4
"""A silent connection is given up after 20 s."""

NO_CONNECTION = 255

_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is not the one that is known",
        "if the board was set up anew, remove the old key with `ssh-keygen -R {host}` and connect once by hand",
    ),
    (
        "Host key verification failed",
        "its host key is not known",
        "connect once with `ssh {host}` and compare the key's fingerprint with the board's",
    ),
    (
        "Permission denied",
        "it refuses the login",
        "set up a key: `ssh-copy-id {host}`; passwords are never asked for",
    ),
    ("Could not resolve", "its name is not known", "check the name, or use the IP address"),
    ("Connection refused", "it refuses the connection", "is its ssh server running on that port?"),
    ("timed out", "it does not answer", "is it switched on and in the same network?"),
    ("No route to host", "there is no way to it", "is it switched on and in the same network?"),
)


class SshTransport:
    """One board over ssh. `EDGEPRESS_SSH` may name the client and options: "ssh -F my_config"."""

    def __init__(self, address: Address):
        words = shlex.split(os.environ.get("EDGEPRESS_SSH", "")) or ["ssh"]
        self._client = [find_tool(words[0]), *words[1:]]
        self._address = address

    @property
    def address(self) -> str:
        """ "ssh://pi@pi4"."""
        return self._address.text

    def command(self, argv: Sequence[str]) -> list[str]:
        """The words that run `argv` over there; each is quoted for the shell there."""
        target, options = self._address, [
            "-T",
            "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=yes",
            "-o", f"ConnectTimeout={CONNECT_S}",
            "-o", f"ServerAliveInterval={_ALIVE_S}",
            "-o", f"ServerAliveCountMax={_ALIVE_COUNT}",
            "-o", "ForwardAgent=no",
            "-o", "ForwardX11=no",
            "-o", "ClearAllForwardings=yes",
            "-o", "RemoteCommand=none",
            "-o", "LogLevel=ERROR",
        ]  # fmt: skip
        port = ["-p", str(target.port)] if target.port else []
        user = ["-l", target.user] if target.user else []
        words = shlex.join([str(word) for word in argv])
        return [*self._client, *options, *port, *user, "--", target.host, words]

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Done:
        """Run a program there.

        Raises:
            DeviceUnreachable: no connection; says why.
            DeviceLost: no end within `timeout_s`.
        """
        done = capture(self.command(argv), stdin, timeout_s)
        if done.code == -1:
            raise DeviceLost(f"no answer within {timeout_s:g} s", where=self.address)
        error = self.refusal(done.code, done.stderr)
        if error is not None:
            raise error
        return done

    def open(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program there."""
        return subprocess.Popen(
            self.command(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def refusal(self, code: int, stderr: str) -> Exception | None:
        """`DeviceUnreachable` with the reason, if the client ended with 255."""
        if code != NO_CONNECTION:
            return None
        host = self._address.host
        for words, what, hint in _REASONS:
            if words.lower() in stderr.lower():
                return DeviceUnreachable(what, where=self.address, hint=hint.format(host=host))
        last = " / ".join(stderr.strip().splitlines()[-2:])
        what = f"no connection: {last or 'ssh gives no reason'}"
        return DeviceUnreachable(what, where=self.address, hint=f"try `ssh {host}` by hand")

    def put(self, data: bytes, path: str) -> None:
        """Write a file there; `DeviceDiskFull` where it does not fit."""
        script = 'cat > "$1" || { rm -f "$1"; exit 1; }'
        done = self.run(["sh", "-c", script, "sh", path], stdin=data)
        if done.code:
            kind = DeviceDiskFull if "space" in done.stderr else DeviceError
            raise kind(f"cannot write {path}: {done.stderr.strip()[-200:]}", where=self.address)

    def get(self, path: str) -> bytes:
        """Read a file there."""
        done = self.run(["cat", "--", path])
        if done.code:
            raise InputError(
                f"cannot read {path}: {done.stderr.strip()[-200:]}", where=self.address
            )
        return done.stdout

    def remove(self, path: str) -> None:
        """Remove a file or folder there."""
        self.run(["rm", "-rf", "--", path])
