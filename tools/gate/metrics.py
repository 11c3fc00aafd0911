"""What the gate knows of each metric: which way is better, exact or statistical, and how much may change by default."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ...devices.measurement import METRIC_UNITS
from ...runtime.errors import UsageError

HIGHER_IS_BETTER = ("accuracy",)
FILE_METRICS = (
    "file_bytes",
    "parameters",
    "macs",
    "binary_macs",
    "bit_operations",
    "weight_bytes",
)
"""What a file tells without being run."""

NO_DEVICE = "any"
"""Stands for the device of numbers that need none."""

INSTRUCTION_METRICS = tuple(name for name in METRIC_UNITS if name.startswith("instructions"))
INSTRUCTION_TOLERANCE = 0.005
"""User-mode instruction counts of an unchanged file differ by up to 0.06 %."""

_STATISTICAL_UNITS = ("ms", "mJ", "mW")
_STATISTICAL = ("peak_rss_bytes",)


def check_metric(name: str, where: str) -> str:
    """The name if it is a metric; `UsageError` naming the nearest one else."""
    if name in METRIC_UNITS:
        return name
    raise UsageError(f"unknown metric {name!r}", where=where, hint=nearest(name, METRIC_UNITS))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the nearest known name, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def unit(metric: str) -> str:
    """Unit of a metric."""
    return METRIC_UNITS.get(metric, "")


def better(metric: str) -> str:
    """ "lower" or "higher"."""
    return "higher" if metric in HIGHER_IS_BETTER else "lower"


def statistical(metric: str) -> bool:
    """True if the number differs from process to process; all others are compared exactly."""
    if metric.startswith("vela_"):
        return False
    return unit(metric) in _STATISTICAL_UNITS or metric in _STATISTICAL


def file_evidence(metric: str) -> str:
    """What a number that needs no device rests on (docs/evidence.md)."""
    return "file" if metric == "file_bytes" else "computed"


def wall_time(metric: str) -> bool:
    """True for milliseconds."""
    return unit(metric) == "ms"


def default_tolerance(metric: str, of_times: float) -> float:
    """The share by which a metric may become worse where nothing is said; `of_times` for statistical ones."""
    if statistical(metric):
        return of_times
    return INSTRUCTION_TOLERANCE if metric in INSTRUCTION_METRICS else 0.0
