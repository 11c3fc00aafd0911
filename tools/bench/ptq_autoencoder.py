"""Post-training int8 of the log-mel autoencoder: what each range observer costs beside the reconstruction error.

    python -m edgepress.tools.bench.ptq_autoencoder --weights autoencoder.npz --data DATA [--json FILE]

Weights are what `edgepress` trained on the train takes of the spoken digits (`task: spoken-digits-frames`). 512
calibration samples set the ranges; the observer is chosen on them alone, all five are judged on the test takes (0-4)
in onnxruntime and the TFLite engines. Output error = mean (int8 - float)^2, reconstruction error = mean
(float - input)^2, both in units of the normalised values. Exit code 1 if the chosen observer costs more than 2 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...compress.task import Array, Split, Task
from ..console_progress import make_progress
from ..scoring import run_split

CALIBRATION_SAMPLES = 512
LARGEST_SHARE = 0.02
ENGINES = {"onnx": ("onnxruntime",), "tflite": ("tflite", "litert")}


@dataclass(frozen=True)
class Row:
    """One observer in one engine; errors are mean squares, `share` is output error / reconstruction error."""

    observer: str
    engine: str
    output_error: float
    reconstruction_error: float
    share: float
    calibration_db: float


def main(arguments: list[str] | None = None) -> int:
    """Quantize with every observer, judge, print; 1 if the chosen one misses the limit."""
    parser = argparse.ArgumentParser(
        prog="edgepress.tools.bench.ptq_autoencoder", description=__doc__
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, help="test windows to judge on; default all")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args(arguments)
    result = run(asked.weights, asked.data, asked.samples)
    print(render(result))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))
    return 1 if result["missed"] else 0


def run(weights: Path, data: Path, count: int | None = None) -> dict[str, Any]:
    """All figures as plain values."""
    from ...compress import datasets
    from ...compress.quantization.calibrate import batches_of_one
    from ...compress.quantization.choose import choose_observer
    from ...compress.quantization.observers import OBSERVERS
    from ...compress.quantization.plan import PtqConfig, plan
    from ...export.onnx.qdq import apply

    task = datasets.task("spoken-digits-frames", data)
    hub = float_hub(task, weights)
    calibration = task.load("calibration")
    samples = batches_of_one(calibration.inputs, CALIBRATION_SAMPLES)
    chosen, table = choose_observer(hub, samples, PtqConfig(), make_progress())
    decibels = {row.name: row.values["sqnr_db"] for row in table}
    split = task.load("test")
    split = split if count is None else split.spread(count)
    reference = outputs(hub, "onnx", "onnxruntime", split)
    rows = []
    for name in OBSERVERS:
        quantized = apply(hub, plan(hub, samples, PtqConfig(observer=name)))
        for kind, engines in ENGINES.items():
            for engine in engines:
                found = outputs(quantized, kind, engine, split)
                rows.append(row_of(name, engine, found, reference, split, decibels[name]))
    missed = [asdict(r) for r in rows if r.observer == chosen and not r.share <= LARGEST_SHARE]
    return {
        "chosen": chosen,
        "samples": len(split),
        "split": split.name,
        "calibration_samples": len(samples),
        "rows": [asdict(row) for row in rows],
        "missed": missed,
    }


def float_hub(task: Task, weights: Path) -> Any:
    """The trained network on raw decibels."""
    from ...compress import zoo
    from ...compress.weights import load_weights
    from ...export.onnx import hub as hubs

    model = zoo.build("autoencoder").eval()
    load_weights(model, weights)
    return hubs.from_torch(model, [(1, 640)], normalisation=task.normalisation)


def outputs(hub: Any, kind: str, engine: str, split: Split) -> Array:
    """Real outputs of a hub written as `kind` and run by `engine`."""
    from ...export.onnx import hub as hubs
    from ...export.tflite import to_tflite
    from ...runtime.session import open_session

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{kind}"
        if kind == "onnx":
            hubs.save(hub, path)
        else:
            path.write_bytes(to_tflite(hub, metadata=hubs.read_metadata(hub)))
        return run_split(open_session(path, engine), split)[0]


def row_of(
    name: str, engine: str, found: Array, reference: Array, split: Split, decibels: float
) -> Row:
    """Errors in double precision."""
    right = reference.astype(np.float64)
    cost = float(np.square(found.astype(np.float64) - right).mean())
    reconstruction = float(np.square(right - split.targets.astype(np.float64)).mean())
    return Row(name, engine, cost, reconstruction, cost / reconstruction, decibels)


def render(result: dict[str, Any]) -> str:
    """The table."""
    lines = [
        f"autoencoder, {result['samples']} windows of {result['split']} (takes 0-4), "
        f"{result['calibration_samples']} calibration windows, chosen on those: {result['chosen']}"
    ]
    lines += [
        f"  {row['observer']:15} {row['engine']:12} output error {row['output_error']:.3e} = "
        f"{100 * row['share']:6.2f} % of the reconstruction error {row['reconstruction_error']:.4f}"
        f"   calibration {row['calibration_db']:.2f} dB"
        for row in result["rows"]
    ]
    lines.append(f"  limit {100 * LARGEST_SHARE:g} % missed: {result['missed'] or 'no'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
