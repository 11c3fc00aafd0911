"""What a gate run leaves: `edgepress-results/1`, entries with their processes and the verdicts on them.

results = read_results(Path("base.json"))
write_results(results, Path("results.json"))
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...devices.measurement import Evidence
from ...devices.verdict import Verdict
from ...runtime.codec import from_json, to_json
from ...runtime.errors import InputError
from ...runtime.files import write_text
from .metrics import NO_DEVICE, statistical

SCHEMA = "edgepress-results/1"
Key = tuple[str, str, str, int, str]


def name_of(key: Key) -> str:
    """ "kws.tflite @pi5/litert instructions"; without a place where none is needed."""
    model, device, engine, threads, metric = key
    place = f" @{device}/{engine}" if engine else f" @{device}"
    more = f" x{threads}" if threads != 1 else ""
    return f"{model}{'' if device == NO_DEVICE else place + more} {metric}"


@dataclass(frozen=True)
class ProcessRow:
    """One process: `order` is its turn among both arms; times in the entry's unit, samples in µs if kept.

    `temp_c` and `mhz` before and after it, where the device tells them; `flags` say why it is invalid.
    """

    order: int
    n: int
    min: float
    median: float
    p90: float
    mad: float
    samples_us: tuple[float, ...] | None = None
    temp_c: tuple[float, ...] = ()
    mhz: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()

    def value(self, statistic: str) -> float:
        """What the process counts with: its "median", "min" or "p90"."""
        return float(getattr(self, statistic))


@dataclass(frozen=True)
class Estimate:
    """The band of an estimated value, and the calibration it comes from."""

    band: tuple[float, float]
    calibration: str


@dataclass(frozen=True)
class Entry:
    """One metric of one file on one device in one engine.

    `location` is the value (median over processes), `ci95` its interval, `best` the smallest sample, `spread` the
    typical relative distance of a process from the location. `fingerprint` holds what must agree for a comparison.
    """

    model: str
    model_sha256: str
    device: str
    engine: str
    engine_version: str
    threads: int
    evidence: str
    metric: str
    unit: str
    better: str
    location: float
    ci95: tuple[float, float] | None = None
    best: float | None = None
    spread: float | None = None
    statistic: str = "median"
    processes: tuple[ProcessRow, ...] = ()
    estimate: Estimate | None = None
    fingerprint: dict[str, str] = field(default_factory=dict)
    invalid: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def key(self) -> Key:
        """What makes two entries the same number of two versions."""
        return (self.model, self.device, self.engine, self.threads, self.metric)

    @property
    def name(self) -> str:
        """ "kws.tflite @pi5/litert instructions"."""
        return name_of(self.key)

    def values(self) -> tuple[float, ...]:
        """One number per process."""
        return tuple(process.value(self.statistic) for process in self.processes)


@dataclass(frozen=True)
class Change:
    """Candidate over baseline, above 1 is more. `low`, `high`: interval at `level`; None where it is exact."""

    ratio: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    ratio_best: float | None = None
    self_ratio: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Judgement:
    """The verdict on one gate, and all a report needs: both entries, the limit in words, where the gate stands.

    `key` names the number; `candidate` is None where it could not be had (the verdict says why).
    """

    key: Key
    verdict: Verdict
    limit: str
    candidate: Entry | None = None
    baseline: Entry | None = None
    baseline_origin: str = ""
    change: Change | None = None
    where: str = ""
    reproduce: str = ""

    @property
    def name(self) -> str:
        """As `Entry.name`."""
        return name_of(self.key)

    def warned(self, verdict: Verdict) -> Judgement:
        """The same with another verdict."""
        return replace(self, verdict=verdict)


@dataclass(frozen=True)
class Results:
    """One run of the gate. `created` is UTC; `judgements` are empty in a baseline."""

    created: str
    commit: str
    tool: str
    fingerprint: dict[str, str]
    entries: tuple[Entry, ...]
    judgements: tuple[Judgement, ...] = ()
    updated_by: str = ""
    notes: tuple[str, ...] = ()
    schema: str = SCHEMA

    def find(self, key: Key) -> Entry | None:
        """The entry of a key, None if there is none."""
        return next((entry for entry in self.entries if entry.key == key), None)


def unsound(entry: Entry) -> str:
    """Why an entry's numbers cannot be judged: NaN, negative, a time of zero, no processes; "" if they can."""
    numbers = [entry.location]
    if statistical(entry.metric) and entry.evidence != Evidence.ESTIMATED:
        if not entry.processes:
            return "there are no samples"
        if any(process.n < 1 for process in entry.processes):
            return "a process has no samples"
        numbers += [v for p in entry.processes for v in (p.min, p.median, p.p90)]
        if any(value == 0 for value in numbers):
            return "a time is zero"
    if entry.estimate is not None:
        numbers += entry.estimate.band
    for value in numbers:
        if not math.isfinite(value):
            return f"a value is {value}"
        if value < 0:
            return f"a value is negative ({value:g})"
    return ""


def results_json(results: Results) -> dict[str, Any]:
    """Plain values of the results; numbers that are no numbers become text, for JSON has none."""
    document: dict[str, Any] = _finite(to_json(results))
    return document


def read_results(path: Path) -> Results:
    """Results from a file.

    Raises:
        InputError: not there, not JSON, not of this schema, or a key is wrong.
    """
    try:
        data = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the results: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where=str(path)) from error
    return results_of(data, str(path))


def results_of(data: Any, where: str) -> Results:
    """Results from plain values; `InputError` naming `where` if they are none."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        hint = "write it with `edgepress gate run --out`"
        raise InputError(f"not {SCHEMA} but {found!r}", where=where, hint=hint)
    try:
        return from_json(Results, _numbers(data))
    except InputError as error:
        raise InputError(error.what, where=f"{where}: {error.where or 'results'}") from error


def write_results(results: Results, path: Path) -> None:
    """Write results whole or not at all."""
    text = json.dumps(results_json(results), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return f"number:{value}" if isinstance(value, float) and not math.isfinite(value) else value


_NOT_FINITE = {f"number:{text}": float(text) for text in ("nan", "inf", "-inf")}


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
