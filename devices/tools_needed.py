"""Programs of the system that devices need, the package each comes in, and running them with one clear error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..runtime.errors import MissingToolError, ToolFailedError

PACKAGES = {
    "qemu-aarch64": "qemu-user",
    "qemu-system-arm": "qemu-system-arm",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "cc": "gcc libc6-dev",
    "clang": "clang",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
    "adb": "adb",
}
"""Program -> Debian package(s)."""


def missing(program: str) -> MissingToolError:
    """The error for a program that is not there, naming its package."""
    return MissingToolError(
        f"the program {program} is not installed",
        hint=f"apt-get install {PACKAGES.get(program, program)}",
    )


def find_tool(program: str) -> str:
    """Path of a program; `MissingToolError` naming the Debian package if it is not there."""
    found = shutil.which(program)
    if found is None:
        raise missing(program)
    return found


def find_beside(gcc: Path, name: str, package: str) -> Path:
    """A program of a compiler's binutils: from the compiler's own folder, else from the search path.

    Raises:
        MissingToolError: it is not there; names the package.
    """
    found = shutil.which(str(gcc.with_name(name))) or shutil.which(name)
    if found is None:
        raise MissingToolError(
            f"the program {name} is not installed",
            where=str(gcc.parent),
            hint=f"apt-get install {package}",
        )
    return Path(found)


def run_tool(
    command: Sequence[str | Path],
    doing: str,
    *,
    timeout_s: float = 600.0,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Output of a program.

    Args:
        command: the program and its arguments.
        doing: what it is for, for messages ("unpacking the userland").
        timeout_s: seconds after which it is ended.
        environment: added to ours.

    Raises:
        ToolFailedError: it ended with an error (its last words are told) or took too long.
    """
    words = [str(part) for part in command]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailedError(
            f"{doing} took more than {timeout_s:.0f} s",
            where=words[0],
            hint="try again; what is done is kept",
        ) from error
    if done.returncode != 0:
        said = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise ToolFailedError(
            f"{doing} failed (exit code {done.returncode}): {said[:600]}",
            where=words[0],
            hint="mend that and run again; what is done is kept",
        )
    return done.stdout


def install_packages(packages: Sequence[str]) -> None:
    """apt-get install, without recommended packages.

    Raises:
        MissingToolError: not root, or no apt-get here.
        ToolFailedError: apt-get failed.
    """
    apt = find_tool("apt-get")
    if os.geteuid() != 0:
        raise MissingToolError(
            "installing packages needs root", hint=f"sudo apt-get install {' '.join(packages)}"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run_tool([apt, "update"], "updating the package lists", environment=quiet)
    command = [apt, "install", "-y", "--no-install-recommends", *packages]
    run_tool(command, f"installing {' '.join(packages)}", environment=quiet)


def install_missing(programs: Sequence[str]) -> None:
    """apt-get install what brings those of the programs that are not here; see `install_packages`."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
    packages = [PACKAGES[name] for name in programs if shutil.which(name, path=path) is None]
    if packages:
        install_packages(packages)
