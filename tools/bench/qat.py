"""Quantization-aware training of unmodified zoo networks: float and int8 accuracy, and the proof that the TFLite
file holds every trained number.

    python -m edgepress.tools.bench.qat resnet20 --weights resnet20_cifar10.npz --data DATA
    python -m edgepress.tools.bench.qat mobilenet_v1_025 har_cnn --data DATA --seed 0 1 2

A network without weights is first trained in float with the settings of `CASES`. Test splits are looked at once,
after everything is trained; the table says split, samples and seed beside every figure.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...compress.task import Task
from ...compress.training_config import TrainConfig
from ..console_progress import make_progress
from ..scoring import run_split

CALIBRATION_SAMPLES = 512
BATCH = 64
ENGINES = {"onnx": ("onnxruntime",), "tflite": ("tflite", "litert")}


@dataclass(frozen=True)
class Case:
    """One network: what it is built with, its data, and how it is trained in float and with quantizers."""

    task: str
    tests: tuple[str, ...]
    float_config: TrainConfig
    qat_config: TrainConfig
    options: dict[str, Any] = field(default_factory=dict)
    input_range: tuple[float, float] | None = None


_IMAGE_FLOAT = TrainConfig(
    epochs=20, learning_rate=4e-3, weight_decay=0.02, warmup_epochs=1, threads=1
)
_IMAGE_QAT = TrainConfig(epochs=1, learning_rate=1e-4, weight_decay=0.0, threads=1, augment=False)
CASES = {
    "resnet20": Case("cifar10", ("test", "test_jpeg"), _IMAGE_FLOAT, _IMAGE_QAT, {}, (0.0, 255.0)),
    "mobilenet_v1_025": Case(
        "cifar10",
        ("test", "test_holdout"),
        TrainConfig(
            epochs=24, learning_rate=5e-3, weight_decay=0.02, schedule="one-cycle", threads=1
        ),
        TrainConfig(epochs=2, learning_rate=5e-4, weight_decay=0.0, threads=1),
        {"classes": 10, "stem_stride": 1},
        (0.0, 255.0),
    ),
    "har_cnn": Case(
        "watch-har",
        ("test",),
        TrainConfig(
            epochs=20, learning_rate=3e-3, weight_decay=0.01, label_smoothing=0.1, threads=1
        ),
        TrainConfig(epochs=4, learning_rate=2e-4, weight_decay=0.0, threads=1),
    ),
}


@dataclass(frozen=True)
class Row:
    """One figure: which form of the network, in which engine, on which split."""

    network: str
    form: str
    engine: str
    split: str
    samples: int
    seed: int
    value: float
    unit: str
    agreement_with_float: float | None = None


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; 1 if a TFLite file does not hold the trained numbers."""
    parser = argparse.ArgumentParser(prog="edgepress.tools.bench.qat", description=__doc__)
    parser.add_argument("network", nargs="+", choices=sorted(CASES))
    parser.add_argument("--weights", type=Path, help="float weights (with one network)")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args(arguments)
    results = [
        run(name, seed, asked.data, asked.weights) for name in asked.network for seed in asked.seed
    ]
    for result in results:
        print(render(result))
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
    return 0 if all(result["verbatim"] for result in results) else 1


def run(name: str, seed: int, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """Train one network, export it, judge every form of it; plain values."""
    from dataclasses import replace

    from ...compress import datasets

    start = time.perf_counter()
    case = CASES[name]
    task = datasets.task(case.task, data)
    model = float_model(name, replace(case.float_config, seed=seed), task, weights)
    trained, rewritten = trained_with_quantizers(model, case, task, seed)
    with tempfile.TemporaryDirectory() as folder:
        files = export_all(model, trained, case, task, Path(folder))
        rows = judge_all(name, files, task, case.tests, seed)
        report = verbatim(trained, files["qat.tflite"])
    return {
        "network": name,
        "seed": seed,
        "rows": [asdict(row) for row in rows],
        "verbatim": report.same,
        "differences": [d for layer in report.layers for d in layer.differences],
        "integer_quantize": list(report.quantize),
        "reasons": list(rewritten),
        "seconds": round(time.perf_counter() - start, 1),
    }


def float_model(name: str, config: TrainConfig, task: Task, weights: Path | None) -> Any:
    """The float network, with weights of a file or trained here."""
    import torch

    from ...compress import zoo
    from ...compress.training import train
    from ...compress.weights import load_weights

    torch.manual_seed(config.seed)
    model = zoo.build(name, **CASES[name].options)
    if weights is not None:
        load_weights(model, weights)
    else:
        train(model, task, config, progress=make_progress())
    return model.eval()


def trained_with_quantizers(
    model: Any, case: Case, task: Task, seed: int
) -> tuple[Any, tuple[str, ...]]:
    """The brevitas model after training, and why each extra QUANTIZE is there."""
    from dataclasses import replace

    import torch

    from ...compress.quantization import qat
    from ...compress.training import steps_of, train

    split = task.load("calibration").head(CALIBRATION_SAMPLES)
    normal = task.normalise(split.inputs[0])
    batches = [torch.from_numpy(normal[i : i + BATCH]) for i in range(0, len(normal), BATCH)]
    options = qat.QatConfig(normalisation=task.normalisation, input_range=case.input_range)
    prepared = qat.prepare(model, batches[0][:2], options)
    qat.calibrate(prepared, batches)
    config = replace(case.qat_config, seed=seed)
    qat.schedule(prepared, steps_of(task, config))
    train(prepared, task, config, teacher=model, progress=make_progress())
    return qat.finalize(prepared, batches), prepared.requantized


def export_all(model: Any, trained: Any, case: Case, task: Task, folder: Path) -> dict[str, Path]:
    """Float, post-training and quantization-aware files, ONNX and TFLite, by form."""
    import numpy as np

    from ...compress.quantization.plan import PtqConfig, plan
    from ...export.onnx import hub as hubs
    from ...export.onnx.brevitas_import import from_brevitas
    from ...export.onnx.qdq import apply
    from ...export.tflite import to_tflite

    shapes = [(1, *shape) for shape in task.input_shapes]
    floats = hubs.from_torch(model, shapes, normalisation=task.normalisation)
    split = task.load("calibration").head(CALIBRATION_SAMPLES)
    samples = [(np.asarray(x[None], np.float32),) for x in split.inputs[0]]
    config = PtqConfig(observer="auto", input_range=case.input_range)
    forms = {
        "float": floats,
        "ptq": apply(floats, plan(floats, samples, config)),
        "qat": from_brevitas(trained),
    }
    files = {}
    for form, hub in forms.items():
        files[f"{form}.onnx"] = hubs.save(hub, folder / f"{form}.onnx")
        files[f"{form}.tflite"] = folder / f"{form}.tflite"
        files[f"{form}.tflite"].write_bytes(to_tflite(hub, metadata=hubs.read_metadata(hub)))
    return files


def judge_all(
    name: str, files: dict[str, Path], task: Task, tests: tuple[str, ...], seed: int
) -> list[Row]:
    """Every file in every engine on every test split."""
    from ...compress.evaluation import score_outputs
    from ...runtime.session import open_session

    rows: list[Row] = []
    for test in tests:
        split = task.load(test)
        reference: Any = None
        for label, path in files.items():
            form, kind = label.split(".")
            for engine in ENGINES[kind]:
                outputs = run_split(open_session(path, engine), split)
                score = score_outputs(task, split, outputs)
                best = outputs[0].argmax(-1)
                reference = best if reference is None else reference
                same = 100.0 * float((best == reference).mean())
                rows.append(
                    Row(name, form, engine, score.split, score.samples, seed, score.value,
                        score.unit, same)
                )  # fmt: skip
    return rows


def verbatim(trained: Any, path: Path) -> Any:
    """Number by number: the TFLite file against the brevitas modules."""
    from ...compress.quantization import qat
    from ...export.verbatim import compare

    return compare(qat.quantization_of(trained), path.read_bytes(), path.name)


def render(result: dict[str, Any]) -> str:
    """The table of one run."""
    lines = [f"{result['network']}, seed {result['seed']}, {result['seconds']} s"]
    lines += [
        f"  {row['form']:6} {row['engine']:12} {row['split']:24} {row['samples']:5d} samples  "
        f"{row['value']:6.2f} {row['unit']}  agrees with float {row['agreement_with_float']:.2f} %"
        for row in result["rows"]
    ]
    state = "verbatim" if result["verbatim"] else "NOT verbatim"
    lines.append(f"  TFLite holds the trained numbers: {state} {result['differences']}")
    lines.append(f"  extra QUANTIZE: {result['integer_quantize'] or 'none'} {result['reasons']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
