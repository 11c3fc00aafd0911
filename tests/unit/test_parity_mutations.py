"""Wrong files of networks of signs: one bit, filter, threshold or border, in every layer and every kind of file.

Each file is what a converter with that one fault would write; the proof must name it wrong, and pass the right one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgepress.compress.binarization.binarize import binarize
from edgepress.compress.binarization.records import BinarizeConfig
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx.binary_links import fold_links, sign_nodes
from edgepress.export.onnx.functions import pack_signs, unpack_signs
from edgepress.export.onnx.qdq import apply
from edgepress.export.parity import verify
from edgepress.export.parity_records import Candidate, Outcome, ParityReport, Rule
from edgepress.export.tflite import to_tflite
from torch import nn

SHAPE = (1, 3, 8, 8)
LAYERS = 3


class Net(nn.Module):
    """A real layer, two packed convolutions, a packed dense layer, real scores; a pool in front of a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv, self.norm1 = nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.wide, self.norm2 = nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.dense, self.norm3 = nn.Linear(32 * 16, 64, bias=False), nn.BatchNorm1d(64)
        self.pool, self.out = nn.MaxPool2d(2), nn.Linear(64, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.hardtanh(self.norm(self.stem(x)))
        x = nn.functional.hardtanh(self.norm1(self.conv(x)))
        x = nn.functional.hardtanh(self.norm2(self.pool(self.wide(x))))
        return self.out(nn.functional.hardtanh(self.norm3(self.dense(x.flatten(1)))))


@dataclass(frozen=True)
class Made:
    hubs: dict[str, Any]
    samples: list[tuple[np.ndarray]]


@pytest.fixture(scope="module")
def made() -> Made:
    torch.manual_seed(0)
    model = binarize(Net(), torch.zeros(2, *SHAPE[1:]), BinarizeConfig("react", border=1))
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        norm.momentum = None
        nn.init.normal_(norm.weight)  # of both signs
        nn.init.normal_(norm.bias, 0, 0.5)
    with torch.no_grad():
        for _ in range(4):
            model.train()(torch.randn(32, *SHAPE[1:]))
    hub = fold_links(hubs.from_torch(model.eval(), [SHAPE], binary=True))
    rng = np.random.default_rng(1)
    samples = [(rng.standard_normal(SHAPE).astype(np.float32),) for _ in range(24)]
    config = PtqConfig(keep_float=sign_nodes(hub))
    return Made({"float32": hub, "int8": apply(hub, plan(hub, samples, config))}, samples)


# ------------------------------------------------------------------- faults


def _layers(model: Any) -> list[Any]:
    return [n for n in model.graph.node if n.domain == "edgepress"]


def _constant(model: Any, name: str) -> Any:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    return tensor, onnx.numpy_helper.to_array(tensor).copy()


def _store(tensor: Any, values: np.ndarray) -> None:
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _live(model: Any, layer: Any) -> int:
    """The channel whose threshold is nearest to the middle of its sums."""
    scale, bias = (_constant(model, layer.input[i])[1].reshape(-1) for i in (3, 4))
    return int(np.abs(bias / scale).argmin())


def _signs_changed(model: Any, layer: Any, change: Callable[[np.ndarray, int], None]) -> None:
    tensor, packed = _constant(model, layer.input[1])
    signs = unpack_signs(packed, tuple(_constant(model, layer.input[2])[1]))
    change(signs, _live(model, layer))
    _store(tensor, pack_signs(signs))


def one_bit(model: Any, layer: Any) -> None:
    def change(signs: np.ndarray, channel: int) -> None:
        signs[channel].reshape(-1)[0] *= -1

    _signs_changed(model, layer, change)


def one_filter(model: Any, layer: Any) -> None:
    def change(signs: np.ndarray, channel: int) -> None:
        signs[channel] *= -1

    _signs_changed(model, layer, change)


def one_threshold(model: Any, layer: Any) -> None:
    """By the least there is: sums are even, or odd, all of them."""
    tensor, bias = _constant(model, layer.input[4])
    channel = _live(model, layer)
    scale = np.broadcast_to(_constant(model, layer.input[3])[1].reshape(-1), bias.size)
    bias.reshape(-1)[channel] += 2 * scale[channel]
    _store(tensor, bias)


def border(model: Any, layer: Any) -> None:
    pad = next(n for n in model.graph.node if n.output[0] == layer.input[0])
    tensor, value = _constant(model, pad.input[2])
    _store(tensor, -value)


FAULTS = [
    (fault, layer) for fault in (one_bit, one_filter, one_threshold) for layer in range(LAYERS)
]
FAULTS += [(border, 0), (border, 1)]

KINDS = [
    ("float32", "int8", "tflite"),
    ("float32", "lce", "lce-reference"),
    ("int8", "int8", "litert"),
    ("int8", "lce", "lce-reference"),
]


def _proof(
    made: Made, kind: tuple[str, str, str], folder: Path, fault: Any = None, layers: bool = True
) -> ParityReport:
    precision, binary, engine = kind
    right, wrong = made.hubs[precision], onnx.ModelProto()
    wrong.CopyFrom(right)
    if fault is not None:
        fault[0](wrong, _layers(wrong)[fault[1]])
    twin, path = hubs.save(right, folder / "net.onnx"), folder / "net.tflite"
    path.write_bytes(to_tflite(wrong, precision=precision, binary=binary))
    return verify(
        twin,
        [Candidate(twin, precision=precision), Candidate(path, engine, precision)],
        made.samples,
        layers=layers,
    )


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_the_right_file_passes(kind: tuple[str, str, str], made: Made, tmp_path: Path) -> None:
    report = _proof(made, kind, tmp_path)
    assert report.passed, [r for r in report.layers if r.outcome is Outcome.FAIL]
    assert report.layer_samples == len(made.samples)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f[0].__name__}-{f[1]}")
def test_one_fault_fails_at_its_layer(
    fault: Any, kind: tuple[str, str, str], made: Made, tmp_path: Path
) -> None:
    report = _proof(made, kind, tmp_path, fault)
    assert not report.passed
    departs = next(iter(report.departs.values()))
    order = [n.output[0] for n in made.hubs[kind[0]].graph.node]
    packed = [n.output[0] for n in _layers(made.hubs[kind[0]])]
    first = order.index(packed[fault[1] - 1]) if fault[1] else 0
    last = order.index(packed[fault[1] + 1]) if fault[1] + 1 < LAYERS else len(order)
    assert first < order.index(departs) < last, departs


def test_tolerance_alone_passes_no_int8_file(made: Made, tmp_path: Path) -> None:
    report = _proof(made, KINDS[2], tmp_path, (one_threshold, 1), layers=False)
    row = next(r for r in report.outputs if r.candidate == "net.tflite" and r.rule is Rule.SIGNS)
    assert row.outcome is Outcome.FAIL
