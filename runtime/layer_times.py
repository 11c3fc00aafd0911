"""Time of every layer, where the engine tells it: onnxruntime's own profile.

    found = layer_times(Path("m.onnx"), "onnxruntime")
    found.layers[0].name, found.layers[0].median_ms

Profiling costs time itself, so these are taken in a run of their own and never mixed with latencies. The Python
interpreters of tflite-runtime and LiteRT tell no times of operators.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .artifact import describe, detect_format, read_model_bytes
from .engines import choose_engine, engine_version
from .errors import InputError, UsageError
from .session_onnx import OnnxSession, open_onnx
from .specs import onnx_specs
from .timing import random_inputs

NOT_TOLD = (
    "the Python interface of {engine} does not tell the time of operators; "
    "onnxruntime does, and so does TFLite's benchmark_model --enable_op_profiling=true"
)

_WARMUP_S, _SECONDS, _INVOKES, _MOST = 0.2, 0.5, 20, 500


@dataclass(frozen=True)
class LayerTime:
    """One node as the engine runs it (it may have joined several of the file). `share` is of the sum of all."""

    name: str
    operator: str
    median_ms: float
    share: float


@dataclass(frozen=True)
class LayerTimes:
    """Layers in the order of execution; the medians of `invokes` profiled invokes."""

    artifact_sha256: str
    engine: str
    engine_version: str
    threads: int
    invokes: int
    layers: Tuple[LayerTime, ...]


def layer_times(path: Path, engine: Optional[str] = None, threads: int = 1) -> LayerTimes:
    """Profile a file in this process, seeded random inputs.

    Raises:
        UsageError: the engine tells no times of layers.
        InputError, MissingToolError: see `open_session`.
    """
    data = read_model_bytes(path)
    chosen, module = choose_engine(detect_format(data, str(path)), engine, str(path))
    if chosen.name != "onnxruntime":
        raise UsageError(NOT_TOLD.format(engine=chosen.name), where=str(path))
    with tempfile.TemporaryDirectory(prefix="edgepress-layers-") as folder:
        session = _ProfiledSession(module, Path(path), data, threads, Path(folder))
        session.set_inputs(random_inputs(session.artifact.inputs, 0))
        rounds = _invoke(session)
        events = session.events()
    per_node = _durations(events, rounds)
    if not per_node:
        raise InputError("onnxruntime's profile names no layers", where=str(path))
    total = sum(median for _, _, median in per_node)
    layers = (LayerTime(n, o, m, m / total if total else 0.0) for n, o, m in per_node)
    return LayerTimes(
        artifact_sha256=session.artifact.sha256,
        engine=chosen.name,
        engine_version=engine_version(chosen),
        threads=threads,
        invokes=rounds,
        layers=tuple(layers),
    )


class _ProfiledSession(OnnxSession):
    """An ONNX session that writes onnxruntime's profile."""

    def __init__(self, module: Any, path: Path, data: bytes, threads: int, folder: Path) -> None:
        prefix = str(folder / "profile")
        self._session = open_onnx(module, path, threads, profile=prefix)
        self.artifact = describe(path, data, onnx_specs(self._session, data))
        self._binding = None
        self._held = []

    def events(self) -> List[Dict[str, Any]]:
        """End profiling; what it wrote."""
        text = Path(self._session.end_profiling()).read_text("utf-8")
        loaded: List[Dict[str, Any]] = json.loads(text)
        return loaded


def _invoke(session: OnnxSession) -> int:
    """Warm up and invoke; gives how many of the last invokes count."""
    end = time.monotonic() + _WARMUP_S
    for _ in range(_MOST):  # the profile keeps a limited number of events
        session.invoke()
        if time.monotonic() > end:
            break
    count, end = 0, time.monotonic() + _SECONDS
    while count < _INVOKES or (time.monotonic() < end and count < _MOST):
        session.invoke()
        count += 1
    return count


def _durations(events: Sequence[Dict[str, Any]], rounds: int) -> List[Tuple[str, str, float]]:
    """(name, operator, median ms of the last `rounds`) per node, in the order of execution."""
    found: Dict[Tuple[str, str], List[float]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.endswith("_kernel_time"):
            continue
        facts = event.get("args", {})
        key = (name[: -len("_kernel_time")], str(facts.get("op_name", "")))
        found.setdefault(key, []).append(float(event["dur"]) / 1e3)
    return [(name, op, float(np.median(ms[-rounds:]))) for (name, op), ms in found.items()]


def from_arguments(arguments: Sequence[str]) -> LayerTimes:
    """`FILE [--engine NAME] [--threads N]` of the on-board program."""
    parser = argparse.ArgumentParser(prog="layers")
    parser.add_argument("file", type=Path)
    parser.add_argument("--engine")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    return layer_times(options.file, options.engine, options.threads)
