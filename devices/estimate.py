"""Latency of a file on a device without the device: an estimate with a band, or the reason why there is none.

    for measurement in estimates(layer_table(path), load_profile("pi4")):
        measurement.values     # latency_ms, latency_low_ms, latency_high_ms, latency_floor_ms
        measurement.notes      # calibration set, band, floor in words, or why no ms is told

ms are told for boards of a published table, under the software of that table, if the table passed the leave-one-out
exercises (`calibration/verdicts.yaml`), and for boards that the user measured. All others get the roofline floor,
which is no estimate. Method and figures: docs/estimates.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import yaml

from .calibration_data import CalibrationSet, Row, calibration_sets, packaged_text
from .latency_model import Committee, fit_committee
from .layers import LayerTable
from .leave_one_out import WIDEST_BAND, quantile
from .measurement import Evidence, Measurement
from .operator_features import (
    NetworkFeatures,
    foreign_operators,
    network_features,
    operator_features,
    precision,
)
from .profile import Profile
from .roofline import Floor, floor
from .user_calibration import Record, load_records

EXTRAPOLATION = 4.0
"""Networks may be this many times smaller or larger than those of the table: leaving VGG-16 out asks for as much."""
OWN_BAND_RECORDS = 5
"""With so many records of a board the band is taken from them, with fewer from the published table."""


@dataclass(frozen=True)
class Verdict:
    """What the leave-one-out exercises said of a table: whether ms may be told, the band, and why not."""

    ships: bool
    band: float
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class LatencyEstimate:
    """ms of one inference; about 9 in 10 networks like those of the calibration lie within low to high."""

    ms: float
    low_ms: float
    high_ms: float
    engine: str
    engine_version: str
    calibration: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoEstimate:
    """Why no ms is told."""

    reason: str


@dataclass(frozen=True)
class _Request:
    """What is asked, resolved once."""

    features: NetworkFeatures
    precision: str
    profile: Profile
    engine: str | None
    threads: int


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
        request = _Request(network_features(operators), kind, profile, engine, threads)
        found = _from_records(request, known) + _from_tables(request)
    return tuple(
        _measurement(one, bound, profile, engine, threads, artifact_sha256)
        for one in _worth_telling(found)
    )


@cache
def verdict(name: str) -> Verdict:
    """What was found of a published table: an entry of `calibration/verdicts.yaml`.

    The file is written by `python -m edgepress.tools.bench.estimate_loo --write`.
    """
    entry = yaml.safe_load(packaged_text("verdicts"))[name]
    complaints = tuple(entry["complaints"])
    return Verdict(not complaints, float(entry["model"]["band"]), complaints)


def _from_tables(request: _Request) -> tuple[LatencyEstimate | NoEstimate, ...]:
    """One answer per software that a published table has of the board, else why there is none."""
    tables = [
        table
        for table in calibration_sets().values()
        if any(row.board.stands_for(request.profile.name) for row in table.rows)
    ]
    if not tables:
        return (NoEstimate(f"no published latencies of {request.profile.title} were fitted"),)
    fitting = [table for table in tables if table.precision == request.precision]
    if not fitting:
        title = request.profile.title
        return (NoEstimate(f"no published {request.precision} latencies of {title} were fitted"),)
    return tuple(one for table in fitting for one in _from_table(request, table))


def _from_table(
    request: _Request, table: CalibrationSet
) -> tuple[LatencyEstimate | NoEstimate, ...]:
    rows = [row for row in table.rows if row.board.stands_for(request.profile.name)]
    arms = {row.software: row for row in rows}
    named = [request.engine] if request.engine is not None else list(arms)
    if request.engine is not None and request.engine not in arms:
        known = ", ".join(arms)
        return (
            NoEstimate(
                f"no published latencies of {request.engine} on this board, only of {known}"
            ),
        )
    refusal = _refusal(request, table)
    if refusal:
        return (NoEstimate(refusal),)
    return tuple(_published(request, table, arms[name]) for name in named)


def _refusal(request: _Request, table: CalibrationSet) -> str:
    """Why a table says nothing of the network."""
    if request.threads != table.threads:
        return f"{table.title}: {request.threads} threads, published with {table.threads}"
    if not verdict(table.name).ships:
        return f"{table.title}: " + "; ".join(verdict(table.name).complaints)
    return _out_of_range(request.features, table.range_macs, table.title)


def _out_of_range(features: NetworkFeatures, limits: tuple[int, int], what: str) -> str:
    low, high = limits[0] / EXTRAPOLATION, limits[1] * EXTRAPOLATION
    if low <= features.total_macs <= high:
        return ""
    return (
        f"{features.total_macs / 1e6:.4g} million MACs; {what} says nothing outside {low / 1e6:.4g} to "
        f"{high / 1e6:.4g} million"
    )


def _published(request: _Request, table: CalibrationSet, row: Row) -> LatencyEstimate:
    predicted = _fitted(table.name).predict(request.features, row.board.core, row.software, row.arm)
    ms = math.exp(predicted) / (row.board.clock_mhz * 1e3 * row.board.peak_macs_per_cycle)
    width = verdict(table.name).band
    remark = f"at {row.board.clock_mhz:g} MHz, {row.software} {row.version}"
    return LatencyEstimate(
        ms, ms / width, ms * width, row.software, row.version, table.title, (remark,)
    )


@cache
def _fitted(name: str) -> Committee:
    return fit_committee(calibration_sets()[name].rows)


def _from_records(
    request: _Request, records: Sequence[Record]
) -> tuple[LatencyEstimate | NoEstimate, ...]:
    """One answer per engine the user measured on the board with so many threads."""
    usable = [
        record
        for record in records
        if (record.precision, record.threads) == (request.precision, request.threads)
        and request.engine in (None, record.engine)
    ]
    engines = dict.fromkeys((record.engine, record.engine_version) for record in usable)
    groups = [[one for one in usable if (one.engine, one.engine_version) == key] for key in engines]
    return tuple(_calibrated(request, group) for group in groups)


def _calibrated(request: _Request, records: list[Record]) -> LatencyEstimate | NoEstimate:
    """The published costs of the classes, scaled to what the user measured (mean in ln)."""
    kind = (request.profile.device_class, request.precision)
    table = next(
        (t for t in calibration_sets().values() if (t.device_class, t.precision) == kind), None
    )
    name = f"{len(records)} measured on this board with {records[0].engine}"
    if table is None:
        return NoEstimate(f"{name}: no published table of {kind[1]} networks on {kind[0]} devices")
    macs = [record.features.total_macs for record in records]
    refusal = _out_of_range(request.features, (min(macs), max(macs)), name)
    if refusal:
        return NoEstimate(refusal)
    work = _fitted(table.name).log_work
    offsets = [math.log(one.latency_ms) - work(one.features) for one in records]
    width = _own_band(offsets, verdict(table.name).band)
    if width > WIDEST_BAND:
        return NoEstimate(f"{name}: the band would be x or / {width:.2f}; measure more networks")
    ms = math.exp(sum(offsets) / len(offsets) + work(request.features))
    first = records[0]
    return LatencyEstimate(ms, ms / width, ms * width, first.engine, first.engine_version, name)


def _own_band(offsets: list[float], published: float) -> float:
    """The published band to the power sqrt(1 + 1/n), or from `OWN_BAND_RECORDS` on that of the records themselves."""
    count = len(offsets)
    widen = math.sqrt(1 + 1 / count)
    if count < OWN_BAND_RECORDS:
        return math.exp(math.log(published) * widen)
    total = sum(offsets)
    left_out = [one - (total - one) / (count - 1) for one in offsets]
    return math.exp(quantile(left_out) * widen)


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
