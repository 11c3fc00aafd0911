"""The one door to devices: who measures a metric on a device, and numbers kept by content.

Another kind of device joins by one object with the methods of `Measurer`, added to `measurers.standard()`; what runs
exported C, to `measurers.of_folders()`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...devices.build_once import key_of
from ...devices.measurement import METRIC_UNITS, Evidence, Measurement
from ...runtime.artifact import model_sha256
from ...runtime.codec import from_json, to_json
from ...runtime.errors import InputError, UsageError
from ...runtime.files import sha256_file, write_text
from ..digest import own_source_sha256
from . import metrics
from .entries import Taken

if TYPE_CHECKING:
    from ..cache import Cache
    from .config import Scored

_FILE = "measurement.json"


@dataclass(frozen=True)
class Job:
    """What is to be measured: `path` is a file or an exported C folder.

    `inputs`: .npz of what to feed it; `data`, `user_code`: for `accuracy`.
    """

    path: Path
    device: str
    engine: str | None
    threads: int
    metrics: tuple[str, ...]
    inputs: Path | None = None
    scored: Scored | None = None
    data: Path | None = None
    module_path: Path | None = None
    user_code: bool = True


class Measurer(Protocol):
    """Measures some metrics on some devices.

    `exact`: the numbers never vary, so one process is enough. `kept`: they depend on the file and `facts` alone and
    take long enough to be worth keeping.
    """

    @property
    def exact(self) -> bool:
        """True if the numbers never vary."""

    @property
    def kept(self) -> bool:
        """True if they are kept in the cache."""

    def serves(self, device: str, metric: str) -> bool:
        """True if it can measure this; cheap, raises nothing."""

    def facts(self, job: Job) -> dict[str, str]:
        """What the numbers depend on beside the file: versions, emulator. Part of the key they are kept under."""

    def measure(self, job: Job, number: int) -> Measurement:
        """One fresh process (`number` counts from 0), with all of `job.metrics`.

        Times come with their `samples`, one list for the process. An estimated `latency_ms` has its band beside it
        (`latency_low_ms`, `latency_high_ms`) and the name of its calibration in `fingerprint["calibration"]`.
        """

    def close(self) -> None:
        """A gate is done: let go of what was held for it, such as a connection."""


def find_measurer(measurers: Sequence[Measurer], device: str, metric: str) -> Measurer:
    """The first that serves.

    Raises:
        UsageError: none does; an unknown device names the nearest.
    """
    for measurer in measurers:
        if measurer.serves(device, metric):
            return measurer
    able = [name for name in METRIC_UNITS if any(m.serves(device, name) for m in measurers)]
    if device != "host" and "://" not in device:
        from ...devices.profile import load_profile

        load_profile(device)  # an unknown name is told as such
    others = f"what can be gated there: {', '.join(able)}" if able else None
    hint = others or "use `device: host`, or the name of a device: `edgepress devices list`"
    if metrics.wall_time(metric) and device != "host" and "://" not in device:
        hint = f"times need the board itself: boards: {{{device}: {{address: ssh://...}}}}; {hint}"
    raise UsageError(f"{metric} cannot be measured on {device}", hint=hint)


def take(measurer: Measurer, job: Job, number: int, order: int, cache: Cache | None) -> Taken:
    """One process's measurement; exact ones come from the cache where it has them.

    Raises:
        InputError: there is no such file or folder.
        UsageError: it gives milliseconds of an emulated device.
        EdgepressError: what the measurer raises.
    """
    if not job.path.exists():
        raise InputError("there is no such file", where=str(job.path))
    start = time.perf_counter()
    measurement = _kept(measurer, job, cache) if measurer.kept and cache else None
    if measurement is None:
        measurement = measurer.measure(job, number)
    for name in job.metrics:
        if measurement.evidence == Evidence.EMULATED and metrics.wall_time(name):
            raise UsageError(f"{name} of an emulated device is no number", where=job.device)
    return Taken(measurement, order, time.perf_counter() - start)


def _kept(measurer: Measurer, job: Job, cache: Cache) -> Measurement:
    """The measurement under the hash of all that decides it, measured and kept if it is not there."""
    key = measurement_key(measurer, job)
    with tempfile.TemporaryDirectory(prefix="edgepress-gate-") as name:
        folder = Path(name)
        if cache.get(key, folder) is not None:
            try:
                return from_json(Measurement, json.loads((folder / _FILE).read_text("utf-8")))
            except (InputError, ValueError):
                pass  # of another version: measured again
        measurement = measurer.measure(job, 0)
        write_text(folder / _FILE, json.dumps(to_json(measurement)))
        cache.put(key, folder, {_FILE: sha256_file(folder / _FILE)})
    return measurement


def measurement_key(measurer: Measurer, job: Job) -> str:
    """Content hash: file, inputs, device, engine, threads, metrics, our code, and the measurer's facts."""
    given = sha256_file(job.inputs) if job.inputs and job.inputs.is_file() else ""
    scored = "" if job.scored is None else str(job.scored)
    parts = (type(measurer).__name__, own_source_sha256(), model_sha256(job.path), given, scored)
    where = (job.device, job.engine or "", job.threads, sorted(job.metrics))
    return "gate-" + key_of(*parts, *where, measurer.facts(job))
