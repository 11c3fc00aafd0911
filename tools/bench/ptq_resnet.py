"""Post-training int8 of ResNet-20 and ResNet-32 with given CIFAR-10 weights, beside onnxruntime's own quantizer.

    python -m edgepress.tools.bench.ptq_resnet --data DATA [--network resnet20 resnet32] [--json FILE]

DATA holds cifar10/ and models/cifar10_resnet/. 512 calibration samples of the training images decide everything: the
observer, and whether the input's normalisation is folded (half of them observe, half judge). The two test parts are
looked at once, at the end: the 1,000 exact images, and 4,500 JPEG images that are about 11 points harder. Exit code 1
if a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...compress.receipt import LayerRow
from ...compress.task import Split, Task
from ..console_progress import make_progress
from ..input_form import better_form
from ..scoring import run_split

NETWORKS = ("resnet20", "resnet32")
FLOAT_RIGHT = {"resnet20": 915, "resnet32": 928}
"""Of the 1,000 exact images, as the weights' origin has it."""
CALIBRATION_SAMPLES = 512
FORMS = {
    "float.onnx": ("onnxruntime",),
    "int8.onnx": ("onnxruntime",),
    "int8.tflite": ("tflite", "litert"),
    "onnxruntime's quantizer.onnx": ("onnxruntime",),
}
LARGEST_LOSS, LARGEST_JPEG_LOSS, SMALLEST_AGREEMENT = 2, 0.4, 98.0
SMALLEST_RATIO = {"int8.tflite": 3.5, "int8.onnx": 3.3}


@dataclass(frozen=True)
class Row:
    """One file in one engine on one split; agreement with the float model in percent."""

    form: str
    engine: str
    split: str
    samples: int
    right: int
    lost: int
    agreement: float

    @property
    def limits_missed(self) -> list[str]:
        """Limits of our own int8 files that this row misses."""
        if not self.form.startswith("int8"):
            return []
        if self.split == "test":
            return [f"loses {self.lost} of 1,000"] if self.lost > LARGEST_LOSS else []
        missed = []
        if 100.0 * self.lost / self.samples > LARGEST_JPEG_LOSS:
            missed.append(f"loses {100.0 * self.lost / self.samples:.2f} points")
        if self.agreement < SMALLEST_AGREEMENT:
            missed.append(f"agrees with float on {self.agreement:.2f} %")
        return missed


def main(arguments: list[str] | None = None) -> int:
    """Quantize, judge, print; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="edgepress.tools.bench.ptq_resnet", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args(arguments)
    results = [run(name, asked.data) for name in asked.network]
    print("\n\n".join(render(result) for result in results))
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
    return 1 if any(result["missed"] for result in results) else 0


def run(name: str, data: Path) -> dict[str, Any]:
    """All figures of one network as plain values."""
    from ...compress import datasets

    task = datasets.task("cifar10", data)
    with tempfile.TemporaryDirectory() as folder:
        files, observers, seconds = make_files(name, task, data, Path(folder))
        sizes = {form: path.stat().st_size for form, path in files.items()}
        rows = [row for part in ("test", "test_jpeg") for row in judge(files, task.load(part))]
    missed = [f"{r.form} {r.engine} {r.split}: {m}" for r in rows for m in r.limits_missed]
    for form, smallest in SMALLEST_RATIO.items():
        ratio = sizes[f"float.{form.rsplit('.', 1)[1]}"] / sizes[form]
        if ratio < smallest:
            missed.append(f"{form} is {ratio:.2f}x smaller than float")
    if rows[0].right != FLOAT_RIGHT[name]:
        missed.append(f"float is right on {rows[0].right}, not {FLOAT_RIGHT[name]}")
    return {
        "network": name,
        "observers": [asdict(row) for row in observers],
        "rows": [asdict(row) for row in rows],
        "bytes": sizes,
        "seconds": seconds,
        "missed": missed,
    }


def make_files(
    name: str, task: Task, data: Path, folder: Path
) -> tuple[dict[str, Path], tuple[LayerRow, ...], dict[str, float]]:
    """(files by form, comparison of the observers, seconds of each step)."""
    from ...compress.quantization.calibrate import batches_of_one
    from ...compress.quantization.choose import choose_observer
    from ...compress.quantization.plan import PtqConfig, plan
    from ...export.onnx import hub as hubs
    from ...export.onnx.qdq import apply
    from ...export.tflite import to_tflite

    hub = float_hub(name, task, data)
    samples = batches_of_one(task.load("calibration").inputs, CALIBRATION_SAMPLES)
    progress, clock = make_progress(), [time.perf_counter()]
    observer, table = choose_observer(hub, samples, PtqConfig(), progress)
    config = PtqConfig(observer=observer, bias_correction=True)
    clock.append(time.perf_counter())
    form, forms = better_form(hub, samples, config, progress)
    clock.append(time.perf_counter())
    quantized = apply(form, plan(form, samples, config, progress))
    clock.append(time.perf_counter())
    files = {
        "float.onnx": hubs.save(hub, folder / "float.onnx"),
        "int8.onnx": hubs.save(quantized, folder / "int8.onnx"),
    }
    for form, model in (("float.tflite", hub), ("int8.tflite", quantized)):
        files[form] = folder / form
        files[form].write_bytes(to_tflite(model, metadata=hubs.read_metadata(model)))
    theirs = "onnxruntime's quantizer.onnx"
    files[theirs] = quantize_with_onnxruntime(files["float.onnx"], samples, folder / "ort.onnx")
    seconds = dict(zip(("observer", "form", "plan"), np.diff(clock).round(1).tolist(), strict=True))
    return files, (*table, *forms), seconds


def float_hub(name: str, task: Task, data: Path) -> Any:
    """The network with the weights given, on raw pixels."""
    from ...compress import zoo
    from ...compress.weights import load_weights
    from ...export.onnx import hub as hubs

    model = zoo.build(name).eval()
    load_weights(model, data / "models" / "cifar10_resnet" / f"{name}_cifar10.npz")
    return hubs.from_torch(model, [(1, 3, 32, 32)], normalisation=task.normalisation)


def quantize_with_onnxruntime(source: Path, samples: list[Any], target: Path) -> Path:
    """The yardstick: onnxruntime's static quantizer, per-channel QDQ int8, min-max, the same samples."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[Any] = iter(samples)

        def get_next(self) -> Any:
            values = next(self.rest, None)
            return None if values is None else {"input": values[0].astype(np.float32)}

    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared))
    quantization.quantize_static(
        str(prepared),
        str(target),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    return target


def judge(files: dict[str, Path], split: Split) -> list[Row]:
    """Every form in every engine on one test split."""
    from ...runtime.session import installed_engines, open_session

    rows: list[Row] = []
    reference: Any = None
    for form, engines in FORMS.items():
        for engine in engines:
            if engine == "litert" and "litert" not in installed_engines():
                continue
            best = run_split(open_session(files[form], engine), split)[0].argmax(-1)
            reference = best if reference is None else reference
            right = int((best == split.targets).sum())
            lost = int((reference == split.targets).sum()) - right
            agreement = 100.0 * float((best == reference).mean())
            rows.append(Row(form, engine, split.name, len(split), right, lost, agreement))
    return rows


def render(result: dict[str, Any]) -> str:
    """The tables of one network."""
    lines = [f"{result['network']}: {CALIBRATION_SAMPLES} calibration samples (training images)"]
    lines += [
        f"  {row['operator']:8} {row['name']:24} {row['values']['sqnr_db']:6.2f} dB   {row['note']}"
        for row in result["observers"]
    ]
    for row in result["rows"]:
        share = 100.0 * row["right"] / row["samples"]
        lines.append(
            f"  {row['split']:9} {row['samples']:5d}  {row['form']:28} {row['engine']:11} "
            f"{share:6.2f} %  lost {row['lost']:3d}  agrees {row['agreement']:6.2f} %"
        )
    for form, size in result["bytes"].items():
        ratio = result["bytes"][f"float.{form.rsplit('.', 1)[1]}"] / size
        lines.append(f"  {form:28} {size:9,d} bytes  {ratio:.2f}x smaller than float")
    lines.append(f"  seconds {result['seconds']}")
    lines.append(f"  limits missed: {'; '.join(result['missed']) or 'none'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
