"""One measurement, with the evidence it rests on. Tiers are never mixed (docs/evidence.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ..runtime.errors import UsageError


class Evidence(StrEnum):
    """Where a number comes from; printed beside every number."""

    MEASURED = "measured"
    EMULATED = "emulated"
    ESTIMATED = "estimated"
    HOST = "host"


METRIC_UNITS = {
    "latency_ms": "ms",
    "latency_p90_ms": "ms",
    "latency_p99_ms": "ms",
    "latency_low_ms": "ms",
    "latency_high_ms": "ms",
    "latency_floor_ms": "ms",
    "first_invoke_ms": "ms",
    "load_ms": "ms",
    "file_bytes": "B",
    "weight_bytes": "B",
    "arena_bytes": "B",
    "ram_bytes": "B",
    "flash_bytes": "B",
    "stack_bytes": "B",
    "stack_bound_bytes": "B",
    "arena_head_bytes": "B",
    "arena_tail_bytes": "B",
    "arena_smallest_bytes": "B",
    "peak_rss_bytes": "B",
    "instructions": "",
    "instructions_load": "",
    "instructions_store": "",
    "instructions_branch": "",
    "instructions_dot": "",
    "instructions_smlal": "",
    "instructions_fmla": "",
    "instructions_cnt": "",
    "parameters": "",
    "macs": "",
    "binary_macs": "",
    "bit_operations": "",
    "vela_cycles": "",
    "vela_sram_bytes": "B",
    "vela_flash_bytes": "B",
    "vela_ms": "ms",
    "accuracy": "%",
    "power_mw": "mW",
    "energy_mj": "mJ",
}
"""The one vocabulary of metrics and their units. Add here, use everywhere."""


@dataclass(frozen=True)
class Measurement:
    """Values of one file on one device with one engine, and the conditions they were taken under.

    `values` and `samples` are keyed by the names of `METRIC_UNITS`; `samples` holds the raw series
    (ms for latencies, one list per process). `conditions` are free-form facts (load average,
    governor, ...) before and after. `invalid` says why the values must not be judged: throttled, another clock, ...
    """

    artifact_sha256: str
    evidence: Evidence
    device: str
    fingerprint: dict[str, str]
    engine: str
    engine_version: str
    threads: int
    values: dict[str, float]
    samples: dict[str, list[list[float]]] = field(default_factory=dict)
    conditions_before: dict[str, str] = field(default_factory=dict)
    conditions_after: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.values) - set(METRIC_UNITS))
        if unknown:
            raise UsageError(f"unknown metric {unknown[0]!r}")

    def comparable_with(self, other: Measurement) -> None:
        """Raise `UsageError` naming the first of evidence, device, engine, version, threads that differs."""
        for name in ("evidence", "device", "fingerprint", "engine", "engine_version", "threads"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise UsageError(
                    f"measurements differ in {name}: {mine!r} and {theirs!r}",
                    hint="compare only numbers of the same evidence, device, engine, version and threads",
                )
