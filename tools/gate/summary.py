"""The summary of a GitHub Actions step: a file to which jobs append markdown."""

from __future__ import annotations

import os
from pathlib import Path

from .records import Results

VARIABLE = "GITHUB_STEP_SUMMARY"
AT_MOST = 1 << 20
"""A step may leave 1 MiB."""


def append_summary(results: Results) -> bool:
    """Append the markdown report where the variable names a file; False where there is none or no room.

    A summary that cannot be written does not change the verdict.
    """
    name = os.environ.get(VARIABLE, "")
    if not name:
        return False
    from .reports import render

    text, path = "\n" + render(results, "md"), Path(name)
    try:
        there = path.stat().st_size if path.exists() else 0
        if there + len(text.encode()) > AT_MOST:
            return False
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        return False
    return True
