"""What Vela writes: its summary and per-layer tables, and which operators it leaves to the CPU."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from ..runtime.errors import ToolFailedError

KIB = 1024
_WARNING = re.compile(
    r"Warning \(supported operators\) operator: (\S+), ofm: '([^']*)'\s*\nReason: ([^\n]*)"
)
_SPLIT = re.compile(r"(CPU|NPU) operators = (\d+)")


@dataclass(frozen=True)
class CpuOperator:
    """One operator that the NPU cannot run; `reason` in Vela's words, "" where it gives none."""

    operator: str
    output: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """Figures of one inference. Memory in bytes; flash is on-chip and off-chip together; MACs as Vela counts them."""

    cycles: int
    seconds: float
    clock_hz: float
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int
    macs: int


def read_summary(text: str, where: str) -> Summary:
    """The one row of NAME_summary_SYSTEM.csv.

    Raises:
        ToolFailedError: the file is not there, or a column is missing or no number.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) != 1:
        raise ToolFailedError(f"Vela wrote a summary of {len(rows)} rows", where=where)
    try:
        row = {name: float(rows[0][name]) for name in _COLUMNS}
    except (KeyError, TypeError, ValueError) as error:
        raise ToolFailedError(
            f"Vela's summary is not understood: {error}",
            where=where,
            hint="this edgepress was tried with ethos-u-vela 5.2.0",
        ) from error
    flash = row["on_chip_flash_memory_used"] + row["off_chip_flash_memory_used"]
    return Summary(
        cycles=round(row["cycles_total"]),
        seconds=row["inference_time"],
        clock_hz=row["core_clock"],
        sram_bytes=round(row["sram_memory_used"] * KIB),
        dram_bytes=round(row["dram_memory_used"] * KIB),
        flash_bytes=round(flash * KIB),
        macs=round(row["nn_macs"]),
    )


_COLUMNS = (
    "cycles_total",
    "inference_time",
    "core_clock",
    "sram_memory_used",
    "dram_memory_used",
    "on_chip_flash_memory_used",
    "off_chip_flash_memory_used",
    "nn_macs",
)


def cpu_operators(said: str, layers: str) -> tuple[tuple[CpuOperator, ...], int]:
    """(operators left to the CPU, how many run on the NPU).

    Args:
        said: what Vela printed.
        layers: NAME_per-layer.csv, empty if it wrote none.

    Raises:
        ToolFailedError: the split is not told, or the table disagrees with it.
    """
    split = {name: int(count) for name, count in _SPLIT.findall(said)}
    if set(split) != {"CPU", "NPU"}:
        raise ToolFailedError("Vela does not tell how many operators run on the CPU", where="vela")
    warned = {output: (name, reason) for name, output, reason in _WARNING.findall(said)}
    rows = [row for row in csv.DictReader(io.StringIO(layers)) if row.get("Target") == "CPU"]
    if rows:
        found = tuple(
            CpuOperator(row["Original Operator"], row["Name"], warned.get(row["Name"], ("", ""))[1])
            for row in rows
        )
    else:
        found = tuple(CpuOperator(name, output, why) for output, (name, why) in warned.items())
    unnamed = split["CPU"] - len(found)
    if unnamed > 0:
        found += tuple(CpuOperator("unnamed", "", "") for _ in range(unnamed))
    return found, split["NPU"]
