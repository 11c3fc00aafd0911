"""int8 time of exported C against the TFLite engines on this machine: one thread, in turn, as ratios.

python -m edgepress.tools.bench.native_speed [--rounds 30] [--device x86-64] [NAME ...]

The networks are those of MLPerf Tiny and the watch CNN, with seeded weights, calibrated on seeded noise: times do not
depend on the values. In every round each engine computes for about `BATCH_MS` in a row; a round gives one ratio for
each engine, and the median of the rounds counts. JSON on standard output; evidence "host".
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.engines import installed_engines
from ...runtime.session import Session, open_session
from ...runtime.timing import random_inputs

NETWORKS = ("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder", "har_cnn")
ENGINES = ("native", "litert", "tflite")
BATCH_MS = 10.0
GOAL = 1.2
"""Of LiteRT's time."""


def int8_hub(name: str) -> Any:
    """The quantized hub of a zoo network with seeded weights."""
    import torch

    from ...compress.quantization.plan import PtqConfig, plan
    from ...compress.zoo import build, entry
    from ...export.onnx import hub as hubs
    from ...export.onnx.qdq import apply

    torch.manual_seed(0)
    shapes = [(1, *shape) for shape in entry(name).input_shapes]
    hub = hubs.from_torch(build(name).eval(), shapes)
    rng = np.random.default_rng(0)
    samples = [tuple(rng.normal(size=s).astype(np.float32) for s in shapes) for _ in range(4)]
    return apply(hub, plan(hub, samples, PtqConfig(observer="minmax")))


def sessions(name: str, device: str, folder: Path) -> dict[str, Session]:
    """One session an engine, inputs set, warm."""
    from ...export.c import to_c
    from ...export.tflite import to_tflite

    hub = int8_hub(name)
    for file, data in to_c(hub, name, device=device).items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / file).write_bytes(data)
    lite = folder / f"{name}.tflite"
    lite.write_bytes(to_tflite(hub))
    found = {}
    for engine in ENGINES:
        found[engine] = open_session(folder / name if engine == "native" else lite, engine)
        found[engine].set_inputs(random_inputs(found[engine].artifact.inputs, 0))
        for _ in range(5):
            found[engine].invoke()
    return found


def batch_of(session: Session) -> int:
    """Invokes that take about `BATCH_MS`."""
    start = time.perf_counter_ns()
    for _ in range(5):
        session.invoke()
    one = max((time.perf_counter_ns() - start) / 5e6, 1e-4)
    return max(int(BATCH_MS / one), 1)


def measure(opened: dict[str, Session], rounds: int) -> dict[str, list[float]]:
    """Engine -> ms of one invoke in each round; the order of engines turns with the rounds."""
    counts = {engine: batch_of(session) for engine, session in opened.items()}
    found: dict[str, list[float]] = {engine: [] for engine in opened}
    names = list(opened)
    for number in range(rounds):
        turn = number % len(names)
        for engine in names[turn:] + names[:turn]:
            session = opened[engine]
            start = time.perf_counter_ns()
            for _ in range(counts[engine]):
                session.invoke()
            found[engine].append((time.perf_counter_ns() - start) / 1e6 / counts[engine])
    return found


def row(name: str, device: str, rounds: int) -> dict[str, Any]:
    """Medians and ratios of one network."""
    with tempfile.TemporaryDirectory() as folder:
        times = measure(sessions(name, device, Path(folder)), rounds)
    ratios = {
        engine: statistics.median(
            a / b for a, b in zip(times["native"], times[engine], strict=True)
        )
        for engine in ENGINES[1:]
    }
    return {
        "network": name,
        "median_ms": {engine: statistics.median(values) for engine, values in times.items()},
        "least_ms": {engine: min(values) for engine, values in times.items()},
        "native_over": ratios,
        "reaches_goal": ratios["litert"] <= GOAL,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="native_speed", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device", default="x86-64")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.names:
        rows.append(row(name, options.device, options.rounds))
        ratios = rows[-1]["native_over"]
        least = {engine: f"{ms:.4f}" for engine, ms in rows[-1]["least_ms"].items()}
        print(
            f"{name}: native / litert {ratios['litert']:.2f}, "
            f"native / tflite {ratios['tflite']:.2f}; least ms {least}",
            file=sys.stderr,
        )
    document = {
        "schema": "edgepress-native-speed/1",
        "evidence": "host",
        "threads": 1,
        "rounds": options.rounds,
        "device": options.device,
        "engines": installed_engines(),
        "rows": rows,
    }
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
