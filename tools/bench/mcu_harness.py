"""Emulated microcontrollers, TensorFlow Lite Micro and Ethos-U against recorded figures.

    python -m edgepress.tools.bench.mcu_harness --data FOLDER [--parts cores,tflm,ethosu] [--json FILE]

Three tables, each row with the recorded figure and a verdict:
- cores: instructions of an int8 matrix product (16x128 by 128x32) on four Cortex-M, three kernels, three runs each that
  must agree; outputs exact. Recorded figures are of another program of the same kind, so 2 % are allowed.
- tflm: arenas of the MLPerf Tiny int8 models; total, head and tail exactly, the smallest one within 64 bytes.
- ethosu: Vela's milliseconds and memory for them; to the last digit recorded.
Exit 1 where a row fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...devices.emulate_mcu import find_tools
from ...devices.ethosu import estimate_ethosu, make_config
from ...devices.mcu_selftest import MACS, run_selftest, selftest_vectors
from ...devices.profile import load_profile
from ...devices.tflm import LABEL, measure_tflm
from ...runtime.errors import EdgepressError
from ...runtime.files import write_text

DEVICES = {
    "stm32l4r5": "cortex-m4",
    "stm32h7a3": "cortex-m7",
    "stm32u585": "cortex-m33",
    "apollo510": "cortex-m55",
}
RUNS = 3
INSTRUCTIONS = {
    "plain": {
        "cortex-m4": 331_387,
        "cortex-m7": 331_386,
        "cortex-m33": 331_386,
        "cortex-m55": 266_872,
    },
    "smlad": {
        "cortex-m4": 200_308,
        "cortex-m7": 200_307,
        "cortex-m33": 200_307,
        "cortex-m55": 186_511,
    },
    "mve": {"cortex-m55": 19_475},
}
"""GCC 12.2.1, -O3, QEMU 7.2."""

MODELS = {
    "KWS": "kws_dscnn_int8.tflite",
    "IC": "ic_resnet8_int8.tflite",
    "VWW": "vww_mobilenetv1_025_int8.tflite",
    "AD": "ad_fcae_int8.tflite",
}
ARENAS = {
    "KWS": (24_272, 16_000, 8_272, 24_292),
    "IC": (55_984, 49_152, 6_832, 56_013),
    "VWW": (103_680, 73_728, 29_952, None),
    "AD": (3_984, 768, 3_216, 4_666),
}
"""Total, head, tail, smallest of tflite-micro 0.dev20261023182759; the smallest found depends on where it lies."""

HIGH_END, DEEP = "Ethos_U55_High_End_Embedded", "Ethos_U55_Deep_Embedded"
MILLISECONDS = {
    ("ethos-u55-128", HIGH_END, "Shared_Sram"): (0.180, 0.403, 0.442, 0.402),
    ("ethos-u55-256", HIGH_END, "Shared_Sram"): (0.117, 0.284, 0.323, 0.402),
    ("ethos-u55-256", HIGH_END, "Sram_Only"): (0.112, 0.214, 0.294, 0.082),
    ("ethos-u55-128", DEEP, "Shared_Sram"): (0.521, 1.307, 1.338, 2.012),
}
MEMORY = {"KWS": (21.7, 30.4), "IC": (50.6, 77.4), "VWW": (72.7, 74.2), "AD": (0.75, 196.5)}
"""SRAM and flash in KiB of the first configuration, Vela 5.2.0."""


@dataclass(frozen=True)
class Row:
    """One figure; `faults` is empty where it passes."""

    table: str
    name: str
    figures: str
    recorded: str
    faults: tuple[str, ...]


def core_rows() -> Iterator[Row]:
    """The matrix product on every core."""
    tools, vectors = find_tools(), selftest_vectors()
    for kernel, of_cores in INSTRUCTIONS.items():
        for device, core in DEVICES.items():
            if core not in of_cores:
                continue
            profile, recorded = load_profile(device), of_cores[core]
            runs = [
                run_selftest(profile, kernel, tools=tools, vectors=vectors) for _ in range(RUNS)
            ]
            counts = sorted({count for run in runs for count in run.run.counts.steps})
            change = 100 * (counts[0] / recorded - 1) if counts else float("nan")
            faults = ["runs differ"] if len(counts) > 1 else []
            faults += ["no counts: " + tools.no_counts] if not counts else []
            faults += ["off the recorded count"] if abs(change) > 2 else []
            first = runs[0]
            count = counts[0] if counts else 0
            figures = (
                f"{count:>8,} instructions ({change:+.3f} %, {count / MACS:.2f} a MAC), flash {first.flash_bytes} B, "
                f"RAM {first.ram_bytes} B, stack {first.stack_bytes} of at most {first.bound.bytes} B"
            )
            yield Row("cores", f"{kernel:5} {core:10}", figures, f"{recorded:,}", tuple(faults))


def tflm_rows(folder: Path) -> Iterator[Row]:
    """Arenas of the four models."""
    for model, file in MODELS.items():
        found = measure_tflm(folder / file, smallest=True)
        total, head, tail, smallest = ARENAS[model]
        arena = found.arena
        faults = (
            []
            if (arena.total, arena.head, arena.tail) == (total, head, tail)
            else ["another arena"]
        )
        if smallest is not None and abs((found.smallest or 0) - smallest) > 64:
            faults.append("another smallest arena")
        figures = (
            f"total {arena.total:,} head {arena.head:,} tail {arena.tail:,} smallest {found.smallest or 0:,} B; "
            f"as in {found.engine}: {found.departures.text}"
        )
        recorded = f"{total:,} {head:,} {tail:,} {smallest or '-'}"
        yield Row("tflm", f"{model:4}", figures, recorded, tuple(faults))


def ethosu_rows(folder: Path) -> Iterator[Row]:
    """Vela's estimates of the four models in four configurations."""
    for number, (names, of_models) in enumerate(MILLISECONDS.items()):
        for (model, file), recorded in zip(MODELS.items(), of_models, strict=True):
            found = estimate_ethosu(folder / file, make_config(*names))
            sram, flash = found.summary.sram_bytes / 1024, found.summary.flash_bytes / 1024
            faults = [] if abs(found.milliseconds - recorded) <= 0.0006 else ["another time"]
            if number == 0 and (
                abs(sram - MEMORY[model][0]) > 0.06 or abs(flash - MEMORY[model][1]) > 0.06
            ):
                faults.append("another memory")
            faults += ["operators on the CPU"] if found.cpu_operators else []
            figures = (
                f"{found.cycles:>8,} cycles {found.milliseconds:.3f} ms, SRAM {sram:.2f} KiB, flash {flash:.2f} KiB, "
                f"{len(found.cpu_operators)} operators on the CPU"
            )
            yield Row(
                "ethosu", f"{model:4} {found.name}", figures, f"{recorded:.3f} ms", tuple(faults)
            )


HEADS = {
    "cores": f"emulated: int8 matrix product, {MACS:,} MAC, outputs exact, {RUNS} runs each",
    "tflm": f"host: {LABEL}",
    "ethosu": "estimated",
}


def _rows(part: str, data: Path | None) -> Iterator[Row]:
    if part == "cores":
        return core_rows()
    if data is None:
        raise SystemExit(f"the part {part} needs --data: the folder with the MLPerf Tiny models")
    return tflm_rows(data) if part == "tflm" else ethosu_rows(data)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, judge; 1 if a row fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the MLPerf Tiny models")
    parser.add_argument("--parts", default=",".join(HEADS))
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    parts = options.parts.split(",")
    unknown = [part for part in parts if part not in HEADS]
    if unknown:
        parser.error(f"no part is called {unknown[0]!r}: {', '.join(HEADS)}")
    rows: list[Row] = []
    try:
        for part in parts:
            print(f"{part} ({HEADS[part]})")
            for row in _rows(part, options.data):
                rows.append(row)
                verdict = "; ".join(row.faults) or "pass"
                print(
                    f"  {row.name}  {row.figures}  recorded {row.recorded}  {verdict}", flush=True
                )
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        write_text(options.json, json.dumps([asdict(row) for row in rows], indent=1))
    bad = [row for row in rows if row.faults]
    print(f"{len(rows) - len(bad)} of {len(rows)} pass")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
