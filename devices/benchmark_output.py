"""What a benchmark program printed, as numbers: TFLite's `benchmark_model`, or one line of JSON of a program of yours.

`benchmark_model` (tensorflow/lite/tools/benchmark) prints its times in microseconds:

    INFO: count=50 first=1310 curr=1200 min=1187 max=1423 avg=1222.4 std=31 p5=1190 median=1210 p95=1300
    INFO: Inference timings in us: Init: 2104, First inference: 5311, Warmup (avg): 1330.2, Inference (avg): 1222.4
    INFO: Overall peak memory footprint (MB) ...: init=3.1 overall=5.4

Older versions print no median; the mean stands in and is said to. A program of yours prints as its last line
`{"samples_ms": [...], "first_invoke_ms": 5.3, "load_ms": 2.1, "peak_rss_bytes": 5660000}`; only samples are needed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..runtime.errors import InputError
from .answers import last_document


@dataclass(frozen=True)
class BenchmarkRun:
    """One process. `samples_ms` has one value (median or mean) where the program keeps the others to itself."""

    samples_ms: tuple[float, ...]
    first_invoke_ms: float | None = None
    load_ms: float | None = None
    peak_rss_bytes: float | None = None
    statistic: str = "samples"


def parse_benchmark(text: str, where: str) -> BenchmarkRun:
    """Numbers of one process's output.

    Raises:
        InputError: it says no times, or times that are none.
    """
    run = _own(text) or _benchmark_model(text)
    if run is None:
        last = " / ".join(text.strip().splitlines()[-2:])[-300:]
        raise InputError(
            f"the program printed no times: {last or 'nothing'}",
            where=where,
            hint="use TFLite's benchmark_model, or a program that ends with a line of JSON (docs/devices.md)",
        )
    if not run.samples_ms or not all(math.isfinite(v) and v > 0 for v in run.samples_ms):
        raise InputError("a time is zero, negative or not a number", where=where)
    return run


def _own(text: str) -> BenchmarkRun | None:
    told = last_document(text)
    if told is None or "samples_ms" not in told:
        return None
    try:
        first, load, peak = (
            None if told.get(key) is None else float(told[key])
            for key in ("first_invoke_ms", "load_ms", "peak_rss_bytes")
        )
        samples = tuple(float(value) for value in told["samples_ms"])
        return BenchmarkRun(samples, first, load, peak)
    except (ValueError, TypeError):
        return None


def _benchmark_model(text: str) -> BenchmarkRun | None:
    found = re.search(
        r"Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+), "
        r"Warmup \(avg\): [\d.e+]+, Inference \(avg\): ([\d.e+]+)",
        text,
    )
    if found is None:
        return None
    load, first, mean = (float(value) / 1e3 for value in found.groups())
    # the last line of counts is that of the inferences, the one before of the warm-up
    medians = re.findall(r"count=\d+ .*?\bmedian=([\d.e+]+)", text)
    peak = re.search(r"overall=([\d.]+)", text)
    return BenchmarkRun(
        samples_ms=(float(medians[-1]) / 1e3 if medians else mean,),
        first_invoke_ms=first,
        load_ms=load,
        peak_rss_bytes=float(peak[1]) * 1e6 if peak else None,
        statistic="median" if medians else "mean",
    )
