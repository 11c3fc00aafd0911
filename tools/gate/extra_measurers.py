"""Measurers behind optional packages, and estimates: arena of TensorFlow Lite Micro, Vela, calibrated latencies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...devices.measurement import Measurement
from ...devices.transport import is_address
from ...runtime.errors import EdgepressError
from ...runtime.files import sha256_file
from .measure import Job
from .measurers import Held

if TYPE_CHECKING:
    from ...devices.profile import Profile

ARENA_METRICS = ("arena_bytes", "arena_head_bytes", "arena_tail_bytes")
VELA_METRICS = ("vela_cycles", "vela_sram_bytes", "vela_flash_bytes", "vela_ms")


def _profile(device: str) -> Profile | None:
    from ...devices.profile import load_profile

    if device == "host" or is_address(device):
        return None
    try:
        return load_profile(device)
    except EdgepressError:
        return None


class ArenaReader(Held):
    """The arena that TensorFlow Lite Micro needs; read on this machine, an upper bound for Cortex-M."""

    exact = kept = True

    def serves(self, device: str, metric: str) -> bool:
        """`arena_bytes` and its parts; they stand under `host` whatever the gate's device is."""
        return metric in ARENA_METRICS

    def facts(self, job: Job) -> dict[str, str]:
        """Version of the package."""
        from ...devices.extras import need_extra

        return {"version": need_extra("tflite_micro", "the arena of TensorFlow Lite Micro")}

    def measure(self, job: Job, number: int) -> Measurement:
        """See `devices.tflm.measure_tflm`."""
        from ...devices.tflm import measure_tflm

        return replace(measure_tflm(job.path).measurement(), threads=job.threads)


class VelaEstimator(Held):
    """Cycles and memory that Arm's compiler estimates for the largest Ethos-U of a device."""

    exact = kept = True

    def serves(self, device: str, metric: str) -> bool:
        """Devices whose profile has an Ethos-U."""
        from ...devices.ethosu import vela_configs

        profile = _profile(device) if metric in VELA_METRICS else None
        try:
            return profile is not None and bool(vela_configs(profile))
        except EdgepressError:
            return False

    def facts(self, job: Job) -> dict[str, str]:
        """Version of the compiler and the configuration."""
        from ...devices.extras import need_extra

        return {"version": need_extra("ethosu", "the estimate for Ethos-U"), "config": _config(job)}

    def measure(self, job: Job, number: int) -> Measurement:
        """See `devices.ethosu.estimate_ethosu`."""
        from ...devices.ethosu import estimate_ethosu, vela_configs
        from ...devices.profile import load_profile

        profile = load_profile(job.device)
        found = estimate_ethosu(job.path, vela_configs(profile)[0])
        return replace(found.measurement(profile.name), threads=job.threads)


def _config(job: Job) -> str:
    """What Vela estimates for."""
    from ...devices.ethosu import vela_configs
    from ...devices.profile import load_profile

    return vela_configs(load_profile(job.device))[0].text


class LatencyEstimator(Held):
    """Estimated milliseconds with a band, for devices that published or own measurements calibrate."""

    exact, kept = True, False

    def serves(self, device: str, metric: str) -> bool:
        """`latency_ms` of devices with a profile."""
        return metric == "latency_ms" and _profile(device) is not None

    def facts(self, job: Job) -> dict[str, str]:
        """Nothing: it takes no time, so it is not kept."""
        return {}

    def measure(self, job: Job, number: int) -> Measurement:
        """See `devices.estimate.estimate`."""
        from ...devices.estimate import estimate
        from ...devices.layers import layer_table
        from ...devices.profile import load_profile

        return estimate(
            layer_table(job.path),
            load_profile(job.device),
            job.engine,
            job.threads,
            artifact_sha256=sha256_file(job.path),
        )
