"""What a device cannot beat: arithmetic at peak rate, memory at full bandwidth. Printed as "not faster than".

    t = sum over operators of max( MACs / (peak x clock), bytes / bandwidth )        (Williams et al. 2009)

A floor must hold for the best engine, so every doubt lowers it: the highest clock and peak of the profile; 3x3
convolutions of stride 1 on Linux boards at their Winograd cost (Lavin and Gray 2016: F(6x6) for float, F(4x4) for
int8); float values at two bytes, as engines keep them; only bytes beyond what all caches hold; twice the copy rate.
No time is added for starting operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .operator_features import MAC_CLASSES, OperatorFeatures
from .profile import Core, Profile

WINOGRAD_GAIN = {"float": 81 / 16, "int8": 4.0}
"""(outputs x window) / (tile): 36 x 9 / 64 and 16 x 9 / 36."""
FP16_GAIN = 2.0


@dataclass(frozen=True)
class OperatorFloor:
    """One operator in ms, and whether arithmetic or memory holds it back."""

    name: str
    operator_class: str
    ms: float
    bound: str


@dataclass(frozen=True)
class Floor:
    """A network is not faster than `ms`; `reason` says why there is no floor (then `ms` is None)."""

    ms: float | None
    operators: tuple[OperatorFloor, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()


def floor(
    operators: Sequence[OperatorFeatures], profile: Profile, precision: str, threads: int = 1
) -> Floor:
    """The floor of a network on the application cores of a device.

    Args:
        precision: "int8" or "float".
        threads: that many of the fastest cores work at once.
    """
    rates = [_rate(core, precision) for core in _application_cores(profile)]
    if any(rate is None for rate in rates) or precision not in WINOGRAD_GAIN:
        return Floor(None, reason=f"the peak rate of {profile.title} for {precision} is not known")
    fastest = sorted((rate for rate in rates if rate is not None), reverse=True)[: max(threads, 1)]
    gain = WINOGRAD_GAIN[precision] if profile.device_class == "linux" else 1.0
    cache, bandwidth = _memory(profile)
    rows = tuple(
        _operator(row, sum(fastest), gain, precision, cache, bandwidth) for row in operators
    )
    return Floor(sum(row.ms for row in rows), rows, notes=_notes(profile, precision, bandwidth))


def instruction_floor_ms(instructions: float, profile: Profile) -> float | None:
    """Executed instructions / (issue width x clock): one core is not faster; None if either is not known."""
    core = profile.main_core
    if core.issue_width is None or core.clock_mhz is None:
        return None
    return instructions / (core.issue_width.high * core.clock_mhz.high * 1e3)


def _operator(
    row: OperatorFeatures,
    macs_per_ms: float,
    gain: float,
    precision: str,
    cache: float,
    bytes_per_ms: float,
) -> OperatorFloor:
    macs = row.macs if row.operator_class in MAC_CLASSES else 0
    arithmetic = macs / (gain if row.operator_class == "winograd" else 1.0) / macs_per_ms
    size = (row.weight_bytes + row.activation_bytes) * (0.5 if precision == "float" else 1.0)
    memory = max(size - cache, 0.0) / bytes_per_ms if bytes_per_ms else 0.0
    bound = "memory" if memory > arithmetic else "arithmetic"
    return OperatorFloor(row.name, row.operator_class, max(arithmetic, memory), bound)


def _application_cores(profile: Profile) -> list[Core]:
    """Every core that may run the network, one entry each."""
    kinds = [core for core in profile.cores if core.role == "application"]
    return [core for core in kinds for _ in range(int(core.count.high))]


def _rate(core: Core, precision: str) -> float | None:
    """MACs a ms of one core at its best."""
    if core.clock_mhz is None:
        return None
    isa = core.isa.value if core.isa is not None else ()
    if precision == "int8":
        peak = core.peak_macs_per_cycle.get("int8")
        gain = 1.0
    else:
        peak = core.peak_macs_per_cycle.get("float32")
        gain = FP16_GAIN if isinstance(isa, tuple) and "fp16" in isa else 1.0
    return None if peak is None else peak.high * gain * core.clock_mhz.high * 1e3


def _memory(profile: Profile) -> tuple[float, float]:
    """(bytes that all caches hold, bytes a ms of memory); no bandwidth where either is not known."""
    cores = sum(core.count.high for core in profile.cores)
    cache = sum(fact.high for fact in profile.caches.values()) * cores
    copies, fills = (profile.bandwidth_mb_per_s.get(name) for name in ("memcpy", "memset"))
    rates = [2 * copies.high] if copies else []
    rates += [fills.high] if fills else []
    return cache, max(rates) * 1e3 if rates and cache else 0.0


def _notes(profile: Profile, precision: str, bandwidth: float) -> tuple[str, ...]:
    said = []
    name = "int8" if precision == "int8" else "float32"
    for core in dict.fromkeys(core.name for core in _application_cores(profile)):
        facts = next(one for one in profile.cores if one.name == core)
        unconfirmed = [
            fact
            for fact in (facts.clock_mhz, facts.peak_macs_per_cycle.get(name))
            if fact and not fact.confirmed
        ]
        if unconfirmed:
            said.append(
                f"clock or peak of the {core} is not confirmed, and so neither is the floor"
            )
    if not bandwidth:
        said.append("memory bandwidth or caches not known: the floor is of arithmetic alone")
    return tuple(said)
