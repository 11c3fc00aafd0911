"""Where the real data sets are, if they are on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_root() -> Path | None:
    """`EDGEPRESS_DATA`, else `../shared/data` beside the repository, else None."""
    candidates = [os.environ.get("EDGEPRESS_DATA"), Path(__file__).parents[3] / "shared" / "data"]
    for candidate in candidates:
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    return None


def need_data(relative: str) -> Path:
    """A path below the data root; skips the test, saying so, where the data is not at hand."""
    root = data_root()
    if root is None or not (root / relative).exists():
        pytest.skip(f"needs {relative}: set EDGEPRESS_DATA to the folder that holds it")
    return root / relative
