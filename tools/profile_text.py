"""A profile as text: tables of latencies, of instruction counts, of layers, and comparisons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .render import kib, number, table

if TYPE_CHECKING:
    from ..devices.measurement import Measurement

Rows = Sequence[tuple[Path, "Measurement"]]

_LATENCIES = {
    "median": "latency_ms",
    "p90": "latency_p90_ms",
    "p99": "latency_p99_ms",
    "first": "first_invoke_ms",
    "load": "load_ms",
}
_CLASSES = ("load", "store", "branch", "dot", "smlal", "fmla", "cnt")


def latency_table(rows: Rows) -> str:
    """Times and memory, one line a measurement; energy where a meter told the power."""
    energy = any("energy_mj" in m.values for _, m in rows)
    extra = ("energy",) * energy
    headers = (
        "file",
        "engine",
        *_LATENCIES,
        "peak memory",
        *extra,
        "threads",
        "evidence",
        "device",
    )
    body = [
        (
            path.name,
            f"{m.engine} {m.engine_version}",
            *(number(m.values.get(key), "ms") for key in _LATENCIES.values()),
            kib(m.values.get("peak_rss_bytes")),
            *((number(m.values.get("energy_mj"), "mJ"),) * energy),
            str(m.threads),
            str(m.evidence) + (" (invalid)" if m.invalid else ""),
            m.device,
        )
        for path, m in rows
    ]
    return table(headers, body, tuple(range(2, 9 + energy)))


def counts_table(rows: Rows) -> str:
    """Executed instructions by class, one line a measurement."""
    headers = ("file", "engine", "instructions", *_CLASSES, "evidence", "device")
    body = [
        (
            path.name,
            f"{m.engine} {m.engine_version}",
            number(m.values["instructions"]),
            *(number(m.values.get(f"instructions_{name}")) for name in _CLASSES),
            str(m.evidence),
            m.device,
        )
        for path, m in rows
    ]
    return table(headers, body, tuple(range(2, 10)))


def difference(ratio: Mapping[str, Any]) -> str:
    """One comparison in words; noise of the baseline against itself stands beside it."""
    change = 100 * (ratio["ratio"] - 1)
    head = (
        f"{Path(ratio['file']).name} in {ratio['engine']} against {Path(ratio['baseline']).name}:"
    )
    if ratio["metric"] == "instructions":
        return f"{head} {change:+.2f} % instructions ({ratio['evidence']})"
    low, high = (100 * (ratio[key] - 1) for key in ("low", "high"))
    noise = 100 * abs(ratio["self_ratio"] - 1)
    return (
        f"{head} {change:+.1f} % [{low:+.1f}, {high:+.1f}] of the median; "
        f"baseline against itself {number(noise, '%')} ({ratio['evidence']})"
    )


def layers_text(layers: Mapping[str, Any]) -> str:
    """Times of the layers of one file, in the order of execution."""
    rows = [
        (row["name"], row["operator"], number(row["median_ms"], "ms"), f"{row['share']:.1%}")
        for row in layers["layers"]
    ]
    title = (
        f"layers of {Path(layers['file']).name} in {layers['engine']} {layers['engine_version']}, median of "
        f"{layers['invokes']} profiled invokes to 1 us ({layers['evidence']}, {layers['device']})"
    )
    return f"\n{title}\n{table(('layer', 'operator', 'time', 'share'), rows, (2, 3))}\n"
