"""The first code on a board: a private folder, a janitor that removes it whatever happens, then the on-board program.

Its source goes to `python3 -c` over stdin (the host reads it from this file); what follows on stdin is the zipapp of
this room. So nothing is installed and one folder is all that is ever written. The janitor is a process of its own that
waits for the other end of a pipe: however the on-board program ends, it ends the program's children, writes governors
back and removes the folder. Only if both are killed does a folder stay; the next visit finds its lock free and sweeps
it. Standard library only, Python >= 3.9; nothing of ours can be imported yet.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

PREFIX = "edgepress-board-"
RESTORE = "restore.json"
LOCK = "lock"

_SILENT_S = 60.0
_BEING_MADE_S = 60.0
"""A folder without a lock may be one that is just being made, for so long."""


def write_setting(path: str, text: str) -> None:
    """Write a file of /sys, by sudo where this user may use it without a password. Raises OSError."""
    try:
        Path(path).write_text(text)
        return
    except PermissionError:
        if not shutil.which("sudo"):
            raise
    words = ["sudo", "-n", "tee", path]
    done = subprocess.run(
        words, input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if done.returncode:
        raise PermissionError(13, "this user may not write it", path)


def restore(folder: Path) -> None:
    """Write back what a visit changed (`restore.json`: path -> text)."""
    note = folder / RESTORE
    try:
        settings: Dict[str, str] = json.loads(note.read_text())
    except (OSError, ValueError):
        return
    for path, text in settings.items():
        with contextlib.suppress(OSError):
            write_setting(path, text)
    with contextlib.suppress(OSError):
        note.unlink()


def clean(folder: Path) -> None:
    """Restore settings, remove the folder."""
    restore(folder)
    shutil.rmtree(str(folder), ignore_errors=True)


def sweep(parent: Path) -> int:
    """Clean the folders of visits whose processes are all gone; gives their number."""
    count = 0
    for folder in parent.glob(PREFIX + "*"):
        try:
            found = folder.lstat()
            if found.st_uid != os.getuid() or folder.is_symlink():
                continue
            lock = os.open(str(folder / LOCK), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # killed between making the folder and its lock, or being made right now
            if time.time() - found.st_mtime > _BEING_MADE_S:
                clean(folder)
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clean(folder)
            count += 1
        except OSError:
            pass  # its visit is still going on
        finally:
            os.close(lock)
    return count


def folder_name() -> Path:
    """A name below the temporary folder that nobody can guess; nothing is made yet."""
    return Path(tempfile.gettempdir()) / (PREFIX + os.urandom(8).hex())


def make_folder(folder: Path) -> None:
    """Make the private folder, locked as long as this process lives."""
    while True:
        folder.mkdir(0o700)
        lock = os.open(str(folder / LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / LOCK).exists():  # another visit's sweep may have been faster than the lock
            return
        os.close(lock)


def start_janitor(folder: Path) -> int:
    """Fork the janitor of a folder that is yet to be made: no moment is left in which a kill leaves it behind.

    Gives the pipe on which it is told of children ("+pid", "-pid").
    """
    read, write = os.pipe()
    if os.fork():
        os.close(read)
        return write
    try:
        os.setsid()  # a signal to the session of the connection does not reach it
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        os.close(write)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # the connection must be able to close
            os.dup2(nowhere, stream)
        text = b""
        for block in iter(lambda: os.read(read, 4096), b""):
            text += block
        end_children(text.decode("ascii", "replace").split())
        with contextlib.suppress(
            OSError
        ):  # a dying program may hold it a moment longer than the pipe
            fcntl.flock(os.open(str(folder / LOCK), os.O_RDWR | os.O_CLOEXEC), fcntl.LOCK_EX)
        clean(folder)
    finally:
        os._exit(0)


def end_children(told: List[str]) -> None:
    """Kill the process groups of the children that were started and did not end."""
    alive = {word[1:] for word in told if word.startswith("+")}
    for word in told:
        if word.startswith("-"):
            alive.discard(word[1:])
    for group in alive:
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int(group), signal.SIGKILL)


def receive(path: Path, size: int) -> bool:
    """Write `size` bytes of stdin to a file; False if stdin ended or fell silent before."""
    left = size
    with path.open("wb") as stream:
        while left:
            ready, _, _ = select.select([0], [], [], _SILENT_S)
            block = os.read(0, min(left, 1 << 16)) if ready else b""
            if not block:
                return False
            stream.write(block)
            left -= len(block)
    return True


def tell_error(kind: str, error: OSError) -> None:
    """One line of the protocol: the on-board program could not be started."""
    full = error.errno in (28, 122)  # ENOSPC, EDQUOT
    told = {
        "class": "DeviceDiskFull" if full else "DeviceError",
        "what": "no space left in its temporary folder" if full else "%s: %s" % (kind, error),
        "where": None,
        "hint": "free some space there, or set TMPDIR on the board to a folder with space",
    }
    answer = json.dumps({"error": told}) + "\n"
    os.write(1, answer.encode())


def boot(size: int) -> int:
    """Make the folder, start the janitor, receive the zipapp of `size` bytes and run it until the visit ends."""
    try:
        sweep(Path(tempfile.gettempdir()))
        folder = folder_name()
        janitor = start_janitor(folder)
        make_folder(folder)
    except OSError as error:
        tell_error("cannot make a folder", error)
        return 4  # the janitor removes what there is of it
    archive = folder / "agent.pyz"
    try:
        if not receive(archive, size):
            return 4
    except OSError as error:
        tell_error("cannot store the on-board program", error)
        clean(folder)
        return 4
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(archive))
    import importlib

    keeper: Any = importlib.import_module("edgepress.runtime.board_keeper")
    try:
        return int(keeper.keep(folder, janitor))
    finally:
        clean(folder)
