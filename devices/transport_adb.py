"""Android's `adb`: Wear OS watches. Debian's adb cannot pair over Wi-Fi; name the user's own with `--adb PATH`.

`adb shell` of old devices loses exit codes and mixes both streams, so the code is printed at the end, after a mark.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..runtime.errors import DeviceDiskFull, DeviceError, DeviceLost, DeviceUnreachable, InputError
from .tools_needed import find_tool
from .transport import Address, Done, capture

FOLDER = "/data/local/tmp"
"""Where programs may be run from."""

_MARK = "edgepress-exit:"

_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"no devices/emulators found|device '.*' not found|device .* not found",
        "no such device is connected",
        "`adb devices` lists them; for a watch on Wi-Fi `adb connect HOST:PORT` first",
    ),
    ("unauthorized", "it does not allow this computer", "allow debugging on its screen"),
    ("offline", "it is offline", "wake it up, or `adb reconnect`"),
    (
        r"cannot connect to daemon|failed to start daemon|protocol fault",
        "the adb server does not work",
        "`adb kill-server`, then again",
    ),
    (
        r"error: closed|connection reset|device still authorizing",
        "the connection ended",
        "try again",
    ),
)


class AdbTransport:
    """One device over adb."""

    def __init__(self, address: Address, adb: str = "adb"):
        self._adb, self._address = find_tool(adb), address

    @property
    def address(self) -> str:
        """ "adb://SERIAL"."""
        return self._address.text

    def command(self, argv: Sequence[str]) -> list[str]:
        """The words that run `argv` there."""
        line = f"{shlex.join(argv)}; echo {_MARK}$?"
        return [*self._words(), "shell", line]

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Done:
        """Run a program there.

        Raises:
            DeviceUnreachable: no such device, not allowed, offline.
            DeviceLost: it went away while the program ran, or did not answer in time.
        """
        done = capture(self.command(argv), stdin, timeout_s)
        if done.code == -1:
            raise DeviceLost(f"no answer within {timeout_s:g} s", where=self.address)
        text, found, code = done.stdout.rpartition(_MARK.encode())
        if found and code.strip().isdigit():
            return Done(int(code), text, done.stderr)
        refusal = self.refusal(done.code, done.stderr + done.stdout.decode("utf-8", "replace"))
        if refusal is not None:
            raise refusal
        raise DeviceLost(
            "the connection ended while a program ran there", where=self.address, hint="try again"
        )

    def open(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program there."""
        pipe = subprocess.PIPE
        words = [*self._words(), "shell", shlex.join(argv)]
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe)

    def refusal(self, code: int, stderr: str) -> Exception | None:
        """`DeviceUnreachable` with the reason where adb itself failed."""
        if code == 0:
            return None
        for pattern, what, hint in _REASONS:
            if re.search(pattern, stderr):
                return DeviceUnreachable(what, where=self.address, hint=hint)
        return None

    def put(self, data: bytes, path: str) -> None:
        """Write a file there; `DeviceDiskFull` where it does not fit."""
        with tempfile.NamedTemporaryFile(prefix="edgepress-push-") as file:
            file.write(data)
            file.flush()
            self._copy("push", file.name, path)

    def get(self, path: str) -> bytes:
        """Read a file there."""
        with tempfile.TemporaryDirectory(prefix="edgepress-pull-") as folder:
            target = Path(folder) / "file"
            self._copy("pull", path, str(target))
            return target.read_bytes()

    def remove(self, path: str) -> None:
        """Remove a file or folder there."""
        self.run(["rm", "-rf", path])

    def _words(self) -> list[str]:
        return [self._adb, "-s", self._address.host]

    def _copy(self, verb: str, source: str, target: str) -> None:
        done = capture([*self._words(), verb, source, target], b"", 300.0)
        if done.code == 0:
            return
        said = f"{done.stderr} {done.stdout.decode('utf-8', 'replace')}"
        if done.code == -1:
            raise DeviceLost("copying a file took more than 300 s", where=self.address)
        if "No space left" in said or "not enough space" in said:
            raise DeviceDiskFull(f"no space left for {target}", where=self.address)
        refusal = self.refusal(done.code, said)
        if refusal is not None:
            raise refusal
        if verb == "pull":
            raise InputError(f"cannot read {source}: {said.strip()[-200:]}", where=self.address)
        raise DeviceError(f"cannot write {target}: {said.strip()[-200:]}", where=self.address)
