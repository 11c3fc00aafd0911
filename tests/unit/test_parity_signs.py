"""Networks of signs: one flipped sample passes, a wrong file does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgepress.compress.binarization.binarize import binarize
from edgepress.compress.binarization.records import BinarizeConfig
from edgepress.export.onnx import hub as hubs
from edgepress.export.parity import verify
from edgepress.export.parity_onnx import OnnxSubject
from edgepress.export.parity_records import Distance, Outcome, ParityLimits, Rule
from edgepress.export.parity_signs import judge_sign_steps, judge_signs, takes_signs
from edgepress.runtime.errors import ParityError
from torch import nn

LIMITS = ParityLimits()


def test_nearly_all_samples_must_agree() -> None:
    good = [1e-6] * 38

    def outcome(relatives: list[float], agreement: float = 1.0, near: bool = True) -> Outcome:
        return judge_signs(relatives, lambda _: near, agreement, LIMITS)[0]

    assert outcome([*good, 0.1, 0.2]) is Outcome.PASS
    assert outcome([*good, 0.1, 0.2, 0.1]) is Outcome.FAIL
    assert outcome(good, 0.9) is Outcome.FAIL
    assert outcome([2e-4] * 40) is Outcome.FAIL  # all a little off: no flips
    assert outcome([*good, 0.1], near=False) is Outcome.FAIL  # rounding cannot explain it
    assert outcome([*good, float("nan")], near=False) is Outcome.FAIL


def test_int8_values_may_flip_here_and_there_but_not_move_on_average() -> None:
    def distance(close: float, mean: float) -> Distance:
        return Distance(448, 1.0, 0.1, 0.1, step=0.1, close=close, mean_steps=mean)

    assert judge_sign_steps(distance(0.971, 0.326), 63 / 64, LIMITS)[0] is Outcome.PASS
    assert judge_sign_steps(distance(0.94, 0.3), 1.0, LIMITS)[0] is Outcome.FAIL
    assert judge_sign_steps(distance(0.99, 0.7), 1.0, LIMITS)[0] is Outcome.FAIL
    assert judge_sign_steps(distance(0.99, 0.3), 0.9, LIMITS)[0] is Outcome.FAIL


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv, self.norm2 = nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.out = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        return self.out(torch.relu(self.norm2(self.conv(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def made() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = binarize(Net(), torch.zeros(2, 1, 6, 6), BinarizeConfig("bnn")).eval()
    return model, hubs.from_torch(model, [(1, 1, 6, 6)], binary=True)


def _samples(count: int) -> list[tuple[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((1, 1, 6, 6)).astype(np.float32),) for _ in range(count)]


def _flipped(model: nn.Module, on: set[int]) -> Any:
    """The model as reference, other outputs on the samples of the numbers `on`."""
    calls = iter(range(10**6))

    def run(sample: Any) -> list[np.ndarray]:
        with torch.no_grad():
            right = model(torch.from_numpy(sample[0])).numpy()
        return [right * 1.2 if next(calls) in on else right]

    return run


def _next_to_zero(hub: Any, sample: tuple[np.ndarray]) -> tuple[np.ndarray]:
    """The sample moved along one axis of the input until a value that a packed layer reads is next to 0."""
    layer = next(n for n in hub.graph.node if n.domain == "edgepress")
    subject = OnnxSubject(hub, "hub")
    producers = {n.output[0]: n for n in hub.graph.node}
    source = layer.input[0]
    while producers[source].op_type == "Pad":
        source = producers[source].input[0]
    tap = subject.tap([source])
    low, high = np.float32(-8), np.float32(8)

    def least(shift: np.float32) -> float:
        value = tap.run((sample[0] + shift,))[source]
        return float(value.reshape(-1)[21])

    rising = least(high) > least(low)
    for _ in range(60):
        middle = np.float32((low + high) / 2)
        if (least(middle) < 0) == rising:
            low = middle
        else:
            high = middle
    return (sample[0] + high,)


@pytest.mark.parametrize(
    ("on", "near", "passes"),
    [
        (set(), False, True),
        ({7}, True, True),
        ({7}, False, False),
        (set(range(1, 20)), True, False),
    ],
)
def test_the_proof(
    on: set[int], near: bool, passes: bool, made: tuple[nn.Module, Any], tmp_path: Path
) -> None:
    model, hub = made
    assert takes_signs([hub])
    path = hubs.save(hub, tmp_path / "net.onnx")
    samples = _samples(40)
    samples[7] = _next_to_zero(hub, samples[7]) if near else samples[7]
    report = verify(_flipped(model, on), [path], samples, layers=False)
    assert report.passed is passes
    assert report.outputs[0].rule is (Rule.SIGNS if on else Rule.FLOAT)


def test_a_file_without_signs_is_held_to_every_sample(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Net().eval()
    path = hubs.save(hubs.from_torch(model, [(1, 1, 6, 6)]), tmp_path / "net.onnx")
    report = verify(_flipped(model, {7}), [path], _samples(40), layers=False)
    assert not report.passed and report.outputs[0].rule is Rule.FLOAT


def test_the_hub_may_differ_on_one_of_three_examples(
    made: tuple[nn.Module, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, real = made[0], hubs.run
    wrong: set[int] = set()
    calls = iter(range(100))

    def run(*args: Any) -> Any:
        found = real(*args)
        return [v * 1.5 for v in found] if next(calls) in wrong else found

    monkeypatch.setattr(hubs, "run", run)
    wrong |= {0}
    hubs.from_torch(model, [(1, 1, 6, 6)], binary=True)
    calls, wrong = iter(range(100)), {0, 2}
    with pytest.raises(ParityError):
        hubs.from_torch(model, [(1, 1, 6, 6)], binary=True)
