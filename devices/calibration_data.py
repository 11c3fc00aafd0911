"""The published latencies that estimates are fitted to, read from `devices/calibration/*.yaml`.

    tables = calibration_sets()         # name -> CalibrationSet
    tables["ncnn-float"].rows[0].ms     # one network on one board in one software

The files come with edgepress and say where each number was published; what was left out of a fit stands there too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from .operator_features import MAC_CLASSES, NetworkFeatures

SETS = ("mlperf-tiny-int8", "ncnn-float", "ncnn-int8")
_HEAD = (
    "# Written by `python -m edgepress.tools.bench.calibration_networks`; sources are told there.\n"
)


@dataclass(frozen=True)
class Board:
    """What a fit knows of a board: `peak_macs_per_cycle` of one core at the table's precision.

    `twins` are devices with the same core, clock and memories.
    """

    name: str
    core: str
    clock_mhz: float
    peak_macs_per_cycle: float
    twins: tuple[str, ...] = ()

    def stands_for(self, device: str) -> bool:
        """True for the board itself and its twins."""
        return device == self.name or device in self.twins


@dataclass(frozen=True)
class Row:
    """One published latency."""

    board: Board
    software: str
    version: str
    network: str
    features: NetworkFeatures
    ms: float

    @property
    def arm(self) -> tuple[str, str]:
        """The board and the software that ran on it."""
        return self.board.name, self.software


@dataclass(frozen=True)
class CalibrationSet:
    """One published table: one class of device, precision and number of threads."""

    name: str
    title: str
    source: str
    device_class: str
    precision: str
    threads: int
    rows: tuple[Row, ...]

    @property
    def range_macs(self) -> tuple[int, int]:
        """Fewest and most MACs of its networks."""
        macs = [row.features.total_macs for row in self.rows]
        return min(macs), max(macs)


@cache
def calibration_sets() -> Mapping[str, CalibrationSet]:
    """All tables, by name."""
    networks = read_networks(packaged_text("networks"))
    return {name: _set(yaml.safe_load(packaged_text(name)), networks) for name in SETS}


def packaged_text(name: str) -> str:
    """The text of `calibration/NAME.yaml`."""
    path = resources.files("edgepress.devices.calibration") / f"{name}.yaml"
    return path.read_text(encoding="utf-8")


def read_networks(text: str) -> dict[str, NetworkFeatures]:
    """Features by the name of the network."""
    document = yaml.safe_load(text)
    return {
        name: NetworkFeatures(
            {kind: int(entry["macs"].get(kind, 0)) for kind in MAC_CLASSES},
            int(entry["outputs"]),
            int(entry["operators"]),
        )
        for name, entry in document.items()
    }


def networks_text(networks: Mapping[str, NetworkFeatures]) -> str:
    """The file that `read_networks` reads."""
    lines = [_HEAD.rstrip()]
    for name, one in networks.items():
        macs = ", ".join(f"{kind}: {one.macs[kind]}" for kind in MAC_CLASSES if one.macs[kind])
        lines.append(
            f"{name}: {{macs: {{{macs}}}, outputs: {one.outputs}, operators: {one.operators}}}"
        )
    return "\n".join(lines) + "\n"


def target_log(row: Row) -> float:
    """What is fitted: ln(cycles x peak MAC per cycle), so that boards of different width compare."""
    return math.log(row.ms * row.board.clock_mhz * 1e3 * row.board.peak_macs_per_cycle)


def _set(document: Mapping[str, Any], networks: Mapping[str, NetworkFeatures]) -> CalibrationSet:
    rows = [
        Row(_board(entry), entry["software"], entry["version"], name, networks[name], float(ms))
        for entry in document["rows"]
        for name, ms in entry["ms"].items()
    ]
    names = ("name", "title", "source", "device_class", "precision", "threads")
    return CalibrationSet(**{name: document[name] for name in names}, rows=tuple(rows))


def _board(entry: Mapping[str, Any]) -> Board:
    return Board(
        entry["board"],
        entry["core"],
        float(entry["clock_mhz"]),
        float(entry["peak"]),
        tuple(entry.get("twins", ())),
    )
