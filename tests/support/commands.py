"""Run a command in this process, or in one of its own where signals, file limits or imports matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from edgepress.tools.cli import cli


@dataclass(frozen=True)
class Done:
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout as one JSON document."""
        return json.loads(self.out)


def call(*arguments: object) -> Done:
    """`edgepress ARGUMENTS` in this process."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="edgepress")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def environment(**changes: str) -> dict[str, str]:
    """This environment on one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **changes}


def spawn(*arguments: object, code: str = "", cwd: Path | None = None, **changes: str) -> Done:
    """`edgepress ARGUMENTS` in a fresh process; `code` runs before it."""
    done = subprocess.run(
        command(*arguments, code=code),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def command(*arguments: object, code: str = "") -> list[str]:
    """The command line of `spawn`."""
    start = f"{code}\nimport sys\nfrom edgepress.tools.cli import main\nmain()"
    return [sys.executable, "-c", start, *(str(a) for a in arguments)]


def refused(done: Done, *words: str, code: int = 2) -> str:
    """Assert: this exit code, nothing on stdout, one message with `words` on stderr, no traceback. Gives stderr."""
    assert done.code == code, f"exit {done.code}, expected {code}: {done.err}"
    assert done.out == ""
    assert "Traceback" not in done.err
    lines = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.err
    for word in words:
        assert word.lower() in done.err.lower(), f"{word!r} is not in: {done.err}"
    return done.err


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
