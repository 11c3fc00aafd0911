"""A board for tests: a real sshd on loopback whose commands run in the emulated aarch64 userland.

Its ForceCommand puts shims of `python3` and `uname` first on the search path; they start the arm64 Python under
qemu-aarch64, so that from the client's side everything that is run is a program of an aarch64 machine.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from edgepress.devices.guest import EmulatedBoard

OPTIONS = (
    "-o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes -i {key}"
)


@dataclass
class SshBoard:
    """The running server. `temporary` is the board's TMPDIR."""

    folder: Path
    temporary: Path
    port: int
    process: subprocess.Popen[bytes]
    address: str
    known: Path = field(init=False)
    key: Path = field(init=False)

    def __post_init__(self) -> None:
        self.known, self.key = self.folder / "known_hosts", self.folder / "id"

    def client(self, known: Path | None = None, key: Path | None = None) -> str:
        """What EDGEPRESS_SSH is set to: no configuration but the test's own."""
        return f"ssh -F /dev/null {OPTIONS.format(known=known or self.known, key=key or self.key)}"

    def residue(self, seconds: float = 10.0) -> list[str]:
        """What is left in the board's temporary folder, once it had time to clean."""
        end = time.monotonic() + seconds
        while True:
            left = sorted(path.name for path in self.temporary.iterdir())
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.05)

    def sessions(self) -> list[int]:
        """Processes of sshd that serve one connection."""
        return [pid for pid in descendants(self.process.pid) if name_of(pid).startswith("sshd")]

    def programs(self) -> list[int]:
        """Processes on the board, the on-board program first."""
        return [pid for pid in descendants(self.process.pid) if "qemu" in name_of(pid)]

    def stop(self) -> None:
        """End the server and what it serves."""
        for pid in [*descendants(self.process.pid), self.process.pid]:
            kill(pid)
        self.process.wait()


def start_board(folder: Path, board: EmulatedBoard, temporary: Path | None = None) -> SshBoard:
    """Keys, configuration, shims and the server, listening."""
    folder.chmod(0o700)
    temporary = temporary or folder / "board-tmp"
    temporary.mkdir(exist_ok=True)
    for name in ("hostkey", "id"):
        make_key(folder / name)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    port = free_port()
    write_shims(folder, board, temporary)
    (folder / "sshd_config").write_text(configuration(folder, port))
    public = " ".join((folder / "hostkey.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists when root
    words = ["/usr/sbin/sshd", "-D", "-f", folder / "sshd_config", "-E", folder / "sshd.log"]
    process = subprocess.Popen([str(word) for word in words])
    wait_for(port, process, folder / "sshd.log")
    return SshBoard(folder, temporary, port, process, f"ssh://127.0.0.1:{port}")


def configuration(folder: Path, port: int) -> str:
    """A server of its own: no passwords, no PAM, nothing of the machine's."""
    lines = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "hostkey",
        "PidFile": folder / "sshd.pid",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password",
        "AllowTcpForwarding": "no",
        "MaxStartups": "100",
        "ForceCommand": folder / "force.sh",
    }
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def write_shims(folder: Path, board: EmulatedBoard, temporary: Path) -> None:
    """`force.sh` and bin/{python3,uname}."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    emulator = [board.emulator.path, "-cpu", board.cpu, "-L", board.prefix, board.python]
    start = shlex.join(str(word) for word in emulator)
    # children are programs of this machine: its compiler would make libraries that the board cannot load
    none = "export EDGEPRESS_CC=no-compiler-on-this-board"
    python = f'#!/bin/sh\n{none}\nexport PYTHONPATH={board.site}\nexec {start} "$@"\n'
    script(programs / "python3", python)
    bare = f'#!/bin/sh\nunset PYTHONPATH\nexec {start} "$@"\n'
    script(programs / "python3-bare", bare)
    numpy_only = folder / "numpy-only"
    numpy_only.mkdir(exist_ok=True)
    for name in ("numpy", "numpy.libs"):
        if not (numpy_only / name).exists():
            (numpy_only / name).symlink_to(board.site / name)
    script(
        programs / "python3-numpy",
        f'#!/bin/sh\nexport PYTHONPATH={numpy_only}\nexec {start} "$@"\n',
    )
    uname = "import os; print(os.uname().machine)"
    script(programs / "uname", f"#!/bin/sh\nexec {start} -c {shlex.quote(uname)}\n")
    force = f"PATH={programs}:/usr/bin:/bin; TMPDIR={temporary}; export PATH TMPDIR\n"
    force += 'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
    script(folder / "force.sh", f"#!/bin/sh\n{force}")


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def make_key(path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(words, check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server listens."""
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"sshd did not start: {log.read_text() if log.exists() else ''}")


def descendants(pid: int) -> list[int]:
    """All processes below one, each after its parent."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        for task in Path(f"/proc/{parent}/task").glob("*"):
            try:
                children = [int(word) for word in (task / "children").read_text().split()]
            except OSError:
                continue
            found += children
            waiting += children
    return found


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
