"""How long the export of ResNet-20 takes and how much memory that of ResNet-56 needs, printed as JSON.

    python -m edgepress.tools.bench.export_speed [--repeats 15] [--json FILE] [--no-memory]

Times are medians of `--repeats` runs after one warm-up, imports excluded. `cpu_ms` is processor time of this
process and does not depend on what else the machine does; `wall_ms` does, so the load is printed beside it. Memory is
the peak resident size of a fresh process that builds ResNet-56, exports it from torch to the hub and on to
TFLite. Weights are random: neither figure depends on their values. Exit code 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import ToolFailedError
from ..digest import package_versions

NETWORK, LARGE_NETWORK = "resnet20", "resnet56"
SHAPE = (1, 3, 32, 32)
LARGEST_TFLITE_MS, LARGEST_PEAK_MB = 40.0, 1500.0
LIMITED = ("hub file -> float32 file", "quantized hub file -> int8 file")
"""The timings that `LARGEST_TFLITE_MS` holds for: reading the ONNX file, lowering, writing the TFLite file."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print JSON; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="edgepress.tools.bench.export_speed", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.child:
        print(json.dumps(export_large()))
        return 0
    # First: Linux counts what the parent held at the fork into a child's peak, and torch is not loaded yet.
    memory = {} if asked.no_memory else peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        timings = measure(Path(folder), max(asked.repeats, 1))
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": package_versions(),
        "network": NETWORK,
        "repeats": max(asked.repeats, 1),
        "limit_ms": LARGEST_TFLITE_MS,
        "timings": timings,
    }
    if memory:
        result["memory"] = {"network": LARGE_NETWORK, "limit_mb": LARGEST_PEAK_MB, **memory}
    text = json.dumps(result, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")
    return 0 if within_limits(result) else 1


def within_limits(result: dict[str, Any]) -> bool:
    """True if every limited timing and the peak memory hold.

    The wall time counts: what a user waits for. On a loaded machine compare it with `cpu_ms`.
    """
    slow = [name for name in LIMITED if result["timings"][name]["wall_ms"] > LARGEST_TFLITE_MS]
    memory = result.get("memory")
    return not slow and (memory is None or memory["peak_mb"] <= LARGEST_PEAK_MB)


def machine() -> dict[str, Any]:
    """What a figure must be read beside."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def measure(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Name of a way -> its times."""
    from ...export.onnx.hub import from_onnx, load, save
    from ...export.tflite import to_tflite
    from ...runtime.files import write_bytes

    hub, quantized = _hubs()
    source, integers = save(hub, folder / "hub.onnx"), save(quantized, folder / "int8.onnx")
    target = folder / "model.tflite"
    ways: dict[str, Callable[[], Any]] = {
        "hub -> float32 bytes": lambda: to_tflite(hub),
        "quantized hub -> int8 bytes": lambda: to_tflite(quantized),
        LIMITED[0]: lambda: write_bytes(target, to_tflite(load(source))),
        LIMITED[1]: lambda: write_bytes(target, to_tflite(load(integers))),
        "any ONNX file -> hub, with its proof": lambda: from_onnx(source),
    }
    return {name: timed(call, repeats) for name, call in ways.items()}


def _hubs() -> tuple[Any, Any]:
    """ResNet-20 as float and as int8 hub; ranges from a few random images serve a timing."""
    import torch

    from ...compress.quantization.plan import PtqConfig, plan
    from ...compress.zoo import build
    from ...export.onnx.hub import from_torch
    from ...export.onnx.qdq import apply

    torch.manual_seed(0)
    hub = from_torch(build(NETWORK).eval(), [SHAPE])
    rng = np.random.default_rng(0)
    samples = [(rng.standard_normal(SHAPE).astype(np.float32),) for _ in range(4)]
    return hub, apply(hub, plan(hub, samples, PtqConfig(observer="minmax")))


def timed(call: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Median and least wall time, median processor time, in milliseconds."""
    call()
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        call()
        wall.append(1e3 * (time.perf_counter() - start))
        cpu.append(1e3 * (time.process_time() - used))
    return {
        "wall_ms": round(statistics.median(wall), 2),
        "least_wall_ms": round(min(wall), 2),
        "cpu_ms": round(statistics.median(cpu), 2),
    }


def peak_memory() -> dict[str, float]:
    """Peak resident megabytes of exporting the large network, in a process of its own."""
    command = [sys.executable, "-m", "edgepress.tools.bench.export_speed", "--child"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolFailedError(
            f"the export of {LARGE_NETWORK} ended with {done.returncode}: {done.stderr[-300:]}"
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def export_large() -> dict[str, float]:
    """torch -> hub -> TFLite of the large network; run in a fresh process."""
    import resource

    import torch

    from ...compress.zoo import build
    from ...export.onnx.hub import from_torch
    from ...export.tflite import to_tflite

    torch.manual_seed(0)
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = to_tflite(from_torch(build(LARGE_NETWORK).eval(), [SHAPE]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_mb = 1024.0 * (1024.0 if sys.platform == "darwin" else 1.0)
    return {
        "peak_mb": round(peak / per_mb, 1),
        "imports_mb": round(imported / per_mb, 1),
        "file_bytes": float(len(data)),
    }


if __name__ == "__main__":
    sys.exit(main())
