"""Record what timing noise looks like on this machine: many fresh processes of one unchanged file.

    python -m edgepress.tools.bench.record_noise MODEL --out noise.npz [--engine tflite]

The recording (`samples_us`, one row per process in the order they ran, float32) is what `gate_noise` replays and the
tests of the gate draw from. `about` holds the file's hash, the machine and the conditions as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compress.archives import npz_bytes, read_npz_file
from ...devices.conditions import conditions, fingerprint
from ...devices.host_process import run_process
from ...runtime.errors import EdgepressError, InputError
from ...runtime.files import write_bytes
from ...runtime.timing import TimingPlan
from ..render import table


@dataclass(frozen=True)
class Noise:
    """A recording: `samples_us` (processes, invokes) and what it was taken of."""

    samples_us: NDArray[np.float32]
    about: dict[str, Any]

    @property
    def medians(self) -> NDArray[np.float64]:
        """One median per process, µs."""
        return np.median(self.samples_us.astype(np.float64), axis=1)

    @property
    def spread(self) -> float:
        """Coefficient of variation of the processes' medians."""
        return float(np.std(self.medians) / np.mean(self.medians))


def record(path: Path, engine: str | None, processes: int, invokes: int) -> Noise:
    """Run `processes` fresh processes of `invokes` single invokes each, one after the other."""
    plan = TimingPlan(samples=invokes, seconds=0.0, cap_seconds=300.0, batch_below_ns=0)
    before, rows, first = conditions(), [], None
    for number in range(processes):
        done = run_process(path, engine, 1, plan)
        first = first or done
        if done.timing.batch_k != 1:
            raise InputError("one invoke is too short for this clock", where=str(path))
        rows.append([1000.0 * ms for ms in done.timing.samples_ms[:invokes]])
        print(f"{number + 1}/{processes}: median {done.timing.median_ms:.4f} ms", file=sys.stderr)
    if first is None:
        raise InputError("no processes asked for")
    about = {
        "schema": "edgepress-noise/1",
        "model": path.name,
        "model_sha256": first.artifact_sha256,
        "engine": f"{first.engine} {first.engine_version}",
        "threads": 1,
        "evidence": "host",
        "fingerprint": fingerprint(),
        "conditions_before": before,
        "conditions_after": conditions(),
    }
    return Noise(np.array(rows, np.float32), about)


def write_noise(noise: Noise, path: Path) -> None:
    """Write a recording as .npz: the same bytes for the same values."""
    about = np.frombuffer(json.dumps(noise.about, sort_keys=True).encode(), np.uint8)
    write_bytes(path, npz_bytes({"samples_us": noise.samples_us, "about": about}))


def read_noise(path: Path) -> Noise:
    """A recording written by `write_noise`; `InputError` if it is none."""
    arrays = read_npz_file(path)
    if set(arrays) != {"samples_us", "about"} or arrays["samples_us"].ndim != 2:
        raise InputError("not a recording of noise", where=str(path))
    about = json.loads(arrays["about"].tobytes().decode())
    return Noise(arrays["samples_us"].astype(np.float32), about)


def statistics_table(noise: Noise) -> str:
    """How much a statistic of one process varies from process to process."""
    samples = noise.samples_us.astype(np.float64) / 1000
    statistics = {
        "min": samples.min(axis=1),
        "median": np.median(samples, axis=1),
        "mean": samples.mean(axis=1),
        "p90": np.percentile(samples, 90, axis=1),
        "p99": np.percentile(samples, 99, axis=1),
    }
    rows = [
        (
            name,
            f"{np.median(values):.4g}",
            f"{np.std(values) / np.mean(values):.2%}",
            f"{values.max() / values.min():.3f}",
        )
        for name, values in statistics.items()
    ]
    return table(("statistic of a process", "typical ms", "variation", "max/min"), rows, (1, 2, 3))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; gives the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engine")
    parser.add_argument("--processes", type=int, default=40)
    parser.add_argument("--invokes", type=int, default=300)
    options = parser.parse_args(arguments)
    try:
        noise = record(options.model, options.engine, options.processes, options.invokes)
        write_noise(noise, options.out)
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(statistics_table(noise))
    return 0


if __name__ == "__main__":
    sys.exit(main())
