"""Where the ms of an estimate come from: published tables that passed their exercises, or the user's own records.

Each source answers with a `LatencyEstimate` per software, or with `NoEstimate` and the reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import yaml

from .calibration_data import CalibrationSet, Row, calibration_sets, packaged_text
from .latency_fit import Committee, fit_committee
from .leave_one_out import WIDEST_BAND, quantile
from .operator_features import NetworkFeatures
from .profile import Profile
from .user_calibration import Record

EXTRAPOLATION = 2.0
"""Networks may be this many times smaller or larger than those of the table. VGG-16, left out, has four times the MACs
of the next and falls outside its band three times in four: so far no band reaches."""
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
class Request:
    """What is asked, resolved once."""

    features: NetworkFeatures
    precision: str
    profile: Profile
    engine: str | None
    threads: int


@cache
def verdict(name: str) -> Verdict:
    """What was found of a published table: an entry of `calibration/verdicts.yaml`.

    The file is written by `python -m edgepress.tools.bench.estimate_loo --write`.
    """
    entry = yaml.safe_load(packaged_text("verdicts"))[name]
    complaints = tuple(entry["complaints"])
    return Verdict(not complaints, float(entry["model"]["band"]), complaints)


def from_tables(request: Request) -> tuple[LatencyEstimate | NoEstimate, ...]:
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
    request: Request, table: CalibrationSet
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


def _refusal(request: Request, table: CalibrationSet) -> str:
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


def _published(request: Request, table: CalibrationSet, row: Row) -> LatencyEstimate:
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


def from_records(
    request: Request, records: Sequence[Record]
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


def _calibrated(request: Request, records: list[Record]) -> LatencyEstimate | NoEstimate:
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
