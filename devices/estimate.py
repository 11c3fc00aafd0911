"""Latency of a file on a device without the device: an estimate with a band, or the reason why there is none.

    for measurement in estimates(layer_table(path), load_profile("pi4")):
        measurement.values     # latency_ms, latency_low_ms, latency_high_ms, latency_floor_ms
        measurement.notes      # calibration set, band, floor in words, or why no ms is told

ms are told for boards of a published table, under the software of that table, if the table passed the leave-one-out
exercises (`calibration/verdicts.yaml`), and for boards that the user measured. All others get the roofline floor,
which is no estimate. Method and figures: docs/estimates.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from .estimate_sources import LatencyEstimate, NoEstimate, Request, from_records, from_tables
from .layers import LayerTable
from .measurement import Evidence, Measurement
from .operator_features import foreign_operators, network_features, operator_features, precision
from .profile import Profile
from .roofline import Floor, floor
from .user_calibration import Record, load_records


def estimate(
    table: LayerTable,
    profile: Profile,
    engine: str | None = None,
    threads: int = 1,
    *,
    artifact_sha256: str = "",
    records: Sequence[Record] | None = None,
) -> Measurement:
    """The first of `estimates`: the user's own calibration if there is one, else the newest published software."""
    found = estimates(
        table, profile, engine, threads, artifact_sha256=artifact_sha256, records=records
    )
    return found[0]


def estimates(
    table: LayerTable,
    profile: Profile,
    engine: str | None = None,
    threads: int = 1,
    *,
    artifact_sha256: str = "",
    records: Sequence[Record] | None = None,
) -> tuple[Measurement, ...]:
    """One measurement of evidence "estimated" per software that was published or measured on the device.

    At least one: without an estimate it holds the floor, if there is one, and the reason among its notes.

    Args:
        engine: only this software ("ncnn", "x-cube-ai", an engine the user measured), all of them if None.
        records: the user's calibration; read from the data folder if None.

    Raises:
        InputError: a record of the user's is damaged.
    """
    kind, reason = precision(table)
    reason = reason or foreign_operators(table)
    operators = operator_features(table)
    bound = floor(operators, profile, kind, threads) if kind else Floor(None, reason=reason)
    known = load_records(profile.name) if records is None else tuple(records)
    found: tuple[LatencyEstimate | NoEstimate, ...] = (NoEstimate(reason),)
    if not reason:
        request = Request(network_features(operators), kind, profile, engine, threads)
        found = from_records(request, known) + from_tables(request)
    return tuple(
        _measurement(one, bound, profile, engine, threads, artifact_sha256)
        for one in _worth_telling(found)
    )


def _worth_telling(
    found: Sequence[LatencyEstimate | NoEstimate],
) -> Sequence[LatencyEstimate | NoEstimate]:
    """The estimates, or if there are none all reasons as one."""
    numbers = [one for one in found if isinstance(one, LatencyEstimate)]
    if numbers:
        return numbers
    reasons = dict.fromkeys(one.reason for one in found if isinstance(one, NoEstimate))
    return [NoEstimate("; ".join(reasons))]


def _measurement(
    found: LatencyEstimate | NoEstimate,
    bound: Floor,
    profile: Profile,
    engine: str | None,
    threads: int,
    sha256: str,
) -> Measurement:
    values: dict[str, float] = {}
    notes: list[str] = []
    if bound.ms is not None:
        values["latency_floor_ms"] = bound.ms
        notes += [f"not faster than {bound.ms:.3g} ms (roofline)", *bound.notes]
    elif bound.reason:
        notes.append(f"no floor: {bound.reason}")
    if isinstance(found, NoEstimate):
        notes.insert(0, f"no estimate of ms: {found.reason}")
        name, version, calibration = engine or "", "", ""
    else:
        name, version, calibration = found.engine, found.engine_version, found.calibration
        low = max(found.low_ms, bound.ms or 0.0)
        ms, high = max(found.ms, low), max(found.high_ms, low)
        values |= {"latency_ms": ms, "latency_low_ms": low, "latency_high_ms": high}
        notes[:0] = [
            f"estimated {ms:.3g} ms, 9 in 10 between {low:.3g} and {high:.3g} ms; calibrated on {calibration}",
            *found.remarks,
        ]
    return Measurement(
        artifact_sha256=sha256,
        evidence=Evidence.ESTIMATED,
        device=profile.name,
        fingerprint={"calibration": calibration} if calibration else {},
        engine=name,
        engine_version=version,
        threads=threads,
        values=values,
        notes=tuple(notes),
    )
