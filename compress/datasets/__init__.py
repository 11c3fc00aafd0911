"""The data sets, as tasks: how a model is fed and judged on real recordings and images.

    from edgepress.compress import datasets
    task = datasets.task("watch-har")                        # bundled, works everywhere
    task = datasets.task("cifar10", Path("/data"))           # or EDGEPRESS_DATA

`docs` of each data set are in its module. Splits never overlap; `calibration` is taken out of the training
part; only `test` and `test_*` may be quoted as accuracies, and nothing is tuned on them.
"""

from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path

from ...runtime.errors import UsageError
from ..task import Task

__all__ = ["DATA_VARIABLE", "data_root", "names", "task"]

DATA_VARIABLE = "EDGEPRESS_DATA"

_MODULES = {
    "watch-har": "watch_har",
    "watch-har-subset": "watch_har",
    "watch-har-window": "watch_har",
    "cifar10": "cifar10",
    "mnist": "mnist",
    "spoken-digits": "spoken_digits",
    "spoken-digits-frames": "spoken_frames",
    "keyword-features": "keyword_features",
    "toy": "toy",
}


def names() -> tuple[str, ...]:
    """All names that `task` knows."""
    return tuple(_MODULES)


def data_root(data: Path | None = None) -> Path | None:
    """The folder that holds the data sets: `data`, else the variable EDGEPRESS_DATA, else None."""
    value = data if data is not None else os.environ.get(DATA_VARIABLE)
    return Path(value) if value else None


def task(name: str, data: Path | None = None) -> Task:
    """The task of that name, its files found and hashed but not yet decoded.

    Raises:
        UsageError: no data set has this name.
        InputError: a file is missing; says which, and where to put it.
    """
    if name not in _MODULES:
        near = difflib.get_close_matches(name, _MODULES, n=2, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(_MODULES)}"
        raise UsageError(f"there is no data set {name!r}", hint=hint)
    module = importlib.import_module(f".{_MODULES[name]}", __name__)
    made: Task = module.make(name, data_root(data))
    return made
