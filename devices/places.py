"""Where devices keep what belongs to the user: emulated userlands in the cache, profiles in the data folder."""

from __future__ import annotations

import os
from pathlib import Path


def emulation_folder() -> Path:
    """`$XDG_CACHE_HOME/edgepress/emulation`, else below `~/.cache`: all of it can be made again."""
    return _base("XDG_CACHE_HOME", ".cache") / "edgepress" / "emulation"


def user_profiles_folder() -> Path:
    """`$XDG_DATA_HOME/edgepress/devices`, else below `~/.local/share`: the user's own device profiles."""
    return _base("XDG_DATA_HOME", ".local/share") / "edgepress" / "devices"


def user_calibration_folder() -> Path:
    """`$XDG_DATA_HOME/edgepress/calibration`, else below `~/.local/share`: latencies of the user's own boards."""
    return _base("XDG_DATA_HOME", ".local/share") / "edgepress" / "calibration"


def _base(variable: str, fallback: str) -> Path:
    given = os.environ.get(variable, "")
    return Path(given) if Path(given).is_absolute() else Path.home() / fallback
