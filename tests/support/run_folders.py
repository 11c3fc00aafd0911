"""A run folder written by hand: what the pipeline leaves behind, with real (tiny) model files in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from edgepress.compress.receipt import Footprint, LayerRow, Receipt, Score
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.export.parity_records import (
    Distance,
    Outcome,
    OutputRow,
    ParityReport,
    Rule,
)
from edgepress.export.tflite.write import write
from edgepress.runtime.codec import to_json
from edgepress.runtime.files import sha256_file

from .lite_models import conv_model

NAME = "watch-har"


def float_onnx(width: int = 64) -> bytes:
    """A float ONNX model: one Conv on [1, 2, 6, 6]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weight = rng.standard_normal((width, 2, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input", "w"], ["output"], name="conv")],
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, width, 4, 4])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def save(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def score(value: float, split: str = "test") -> Score:
    return Score("accuracy", value, "%", split, 1372)


def receipts() -> list[Receipt]:
    before, after = (
        Footprint(9351, 600_192, 600_192 * 1024, 37_404),
        Footprint(9351, 600_192, 600_192 * 64, 9_936),
    )
    layers = (LayerRow("conv", "Conv", {"sqnr_db": 31.27, "error": 0.00123}, "8 bits"),)
    return [
        Receipt(
            "train", {"epochs": 12}, 0, 61.5, (), (score(93.95, "validation"),), before, before
        ),
        Receipt(
            "quantize",
            {"observer": "auto"},
            0,
            4.21,
            (score(93.95, "validation"),),
            (score(93.8, "validation"),),
            before,
            after,
            layers,
            ("observer percentile chosen on 256 calibration samples",),
        ),
    ]


def parity(passed: bool = True) -> ParityReport:
    good = Distance(9604, 0.11, 0.01, 0.004, 48.2, 0.11, {"0": 9500, "1": 104}, 1.0, 0.011)
    judged = "100.00% of the values within 2 steps (needed 99.5%), mean 0.011 steps (allowed 0.6)"
    outcome = Outcome.PASS if passed else Outcome.FAIL
    onnx, tflite = f"{NAME}.int8.onnx", f"{NAME}.int8.tflite"
    told = (Rule.REPORTED, 64, good, 0.984, Outcome.REPORTED, "not judged")
    rows = (
        OutputRow(onnx, "onnxruntime", "torch", "output", *told),
        OutputRow(tflite, "tflite", onnx, "output", Rule.INT8, 64, good, 1.0, outcome, judged),
    )
    departs = {} if passed else {f"{NAME}.int8.tflite (tflite)": "conv_2 (CONV_2D)"}
    return ParityReport("torch", 64, 4, rows, (), departs, (), passed)


def measurement(path: Path, engine: str, latency_ms: float) -> Measurement:
    values = {
        "latency_ms": latency_ms,
        "latency_p90_ms": latency_ms * 1.1,
        "latency_p99_ms": latency_ms * 1.3,
        "load_ms": 0.81,
        "peak_rss_bytes": 31_457_280.0,
    }
    samples = {"latency_ms": [[latency_ms] * 3] * 3}
    return Measurement(
        sha256_file(path),
        Evidence.HOST,
        "host",
        {"cpu": "test cpu"},
        engine,
        "2.14.0",
        1,
        values,
        samples,
    )


def make_run_folder(folder: Path, passed: bool = True) -> Path:
    """A finished run in `folder`: two files, two steps, a proof, measurements, a budget."""
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / f"{NAME}.float32.onnx").write_bytes(float_onnx())
    (artifacts / f"{NAME}.int8.tflite").write_bytes(write(conv_model()))
    (folder / "recipe.yaml").write_text(
        "name: watch-har\nmodel: har_cnn\ntask: watch-har\nseed: 0\n"
    )
    manifest = {
        "schema": "edgepress-run/1",
        "name": NAME,
        "edgepress_version": "0.1.0",
        "created": "2030-01-02T03:04:05Z",
        "command": ["edgepress", "run", "watch-har"],
        "seed": 0,
        "threads": 1,
        "host": {"cpu": "test cpu"},
        "packages": {"numpy": "1.26.4"},
        "inputs": {"watch-har": "ab" * 32},
        "finished": True,
    }
    save(folder / "manifest.json", manifest)
    for number, receipt in enumerate(receipts(), 1):
        save(folder / f"steps/{number:02d}-{receipt.step}/receipt.json", to_json(receipt))
    save(folder / "steps/03-verify/parity.json", to_json(parity(passed)))
    save(folder / "steps/03-verify/scores.json", scores())
    for index, (name, engine, latency_ms) in enumerate(
        (
            (f"{NAME}.float32.onnx", "onnxruntime", 0.0412),
            (f"{NAME}.int8.tflite", "tflite", 0.02345),
        )
    ):
        save(
            folder / f"measurements/{index}.json",
            to_json(measurement(artifacts / name, engine, latency_ms)),
        )
    verdict = {
        "name": "accuracy_drop",
        "limit": 1.0,
        "value": 0.15,
        "unit": "points",
        "outcome": "pass",
        "reason": "0.15 of the 1 point allowed",
        "artifact": f"{NAME}.int8.tflite",
    }
    save(folder / "verdicts.json", [verdict])
    return folder


def scores() -> list[dict[str, Any]]:
    rows = (
        ("", "torch", "2.13.0", 94.1),
        (f"{NAME}.float32.onnx", "onnxruntime", "1.32.0", 94.1),
        (f"{NAME}.int8.tflite", "tflite", "2.14.0", 93.95),
    )
    return [
        {"artifact": a, "engine": e, "engine_version": v, "score": to_json(score(value))}
        for a, e, v, value in rows
    ]
