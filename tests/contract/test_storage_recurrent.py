"""Weight-only files of recurrent layers: the ONNX and the TFLite file hold the same numbers, piece by piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx import storage
from edgepress.export.parity import verify
from edgepress.export.parity_records import Candidate, Rule
from edgepress.export.tflite import to_tflite
from support import torch_nets
from support.lowering import ENGINES
from torch import nn

torch.set_num_threads(1)
LAYERS = {
    "small gru": ("GRU", {}),
    "small lstm": ("LSTM", {}),
    "two directions": ("GRU", {"bidirectional": True}),
    "lstm of two directions": ("LSTM", {"bidirectional": True}),
    "tanh": ("RNN", {}),
}


def network(name: str) -> nn.Module:
    """6 inputs and 12 states: some pieces have fewer than 128 weights, others more."""
    kind, options = LAYERS[name]
    torch.manual_seed(0)
    return torch_nets.Recurrent(kind, **options).eval()


@pytest.mark.parametrize("name", LAYERS)
def test_both_files_compute_the_same(name: str, tmp_path: Path) -> None:
    hub = hubs.from_torch(network(name), [(1, 6, 10)])
    made = storage.to_weight_only(hub)
    onnx.checker.check_model(made, full_check=True)
    assert any(t.data_type == onnx.TensorProto.INT8 for t in made.graph.initializer)
    twin, file = tmp_path / "m.onnx", tmp_path / "m.tflite"
    twin.write_bytes(made.SerializeToString())
    file.write_bytes(to_tflite(hub, precision="weight-only", metadata=hubs.read_metadata(hub)))
    rng = np.random.default_rng(0)
    samples = [(rng.normal(size=(1, 6, 10)).astype(np.float32),) for _ in range(4)]
    candidates = [twin, *(Candidate(file, engine) for engine in ENGINES)]
    report = verify(hub, candidates, samples)
    judged = [row for row in report.outputs if row.rule is Rule.FLOAT]
    assert len(judged) == len(ENGINES)
    assert report.passed, [row.reason for row in judged]
    cost = report.outputs[0].distance.relative
    assert 1e-4 < cost < 0.05  # int8 weights do cost something: the same numbers, not float ones
