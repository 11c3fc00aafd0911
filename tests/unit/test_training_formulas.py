"""Losses, schedules, weight decay and averages of the training loop, against their formulas."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from edgepress.compress import datasets, zoo
from edgepress.compress.distillation import criterion, soft_loss
from edgepress.compress.optimizers import Average, default_groups
from edgepress.compress.schedules import factor
from edgepress.compress.training import TrainConfig
from edgepress.compress.training_config import SCHEDULES
from edgepress.runtime.errors import UsageError
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

TOY = datasets.task("toy")


# ------------------------------------------------------------------ losses


def _logits(seed: int, requires_grad: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return values.requires_grad_(requires_grad)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_soft_loss_is_the_divergence_and_has_its_gradient(temperature: float) -> None:
    """T^2 sum p_t (log p_t - log p_s); d/dz_s = T (p_s - p_t) / N."""
    student, teacher = _logits(0, requires_grad=True), _logits(1)
    loss = soft_loss(temperature)(student, teacher)
    loss.backward()
    p_s, p_t = (torch.softmax(z.detach() / temperature, 1) for z in (student, teacher))
    expected = temperature**2 * (p_t * (p_t.log() - p_s.log())).sum(1).mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-12)
    assert torch.allclose(student.grad, temperature * (p_s - p_t) / 5, rtol=1e-10, atol=1e-14)


def test_the_distillation_loss_weighs_both_terms() -> None:
    """(1 - a) CE + a T^2 KL, with gradient (1 - a)(p - y)/N + a T (p_s - p_t)/N."""
    student, taught, targets = (
        _logits(0, requires_grad=True),
        _logits(1),
        torch.tensor([0, 1, 2, 3, 0]),
    )
    config = TrainConfig(distill_weight=0.7, distill_temperature=3.0)
    teacher = nn.Identity()
    loss = criterion(TOY, config, teacher)(student, targets, [taught])
    loss.backward()
    hard = torch.nn.functional.cross_entropy(student.detach(), targets)
    assert float(loss.detach()) == pytest.approx(
        float(0.3 * hard + 0.7 * soft_loss(3.0)(student.detach(), taught))
    )
    p, p_s, p_t = (
        torch.softmax(z / t, 1)
        for z, t in ((student.detach(), 1), (student.detach(), 3), (taught, 3))
    )
    y = torch.nn.functional.one_hot(targets, 4)
    assert torch.allclose(student.grad, (0.3 * (p - y) + 0.7 * 3.0 * (p_s - p_t)) / 5)


def test_without_a_teacher_the_loss_is_the_task_s() -> None:
    student, targets = _logits(0), torch.tensor([0, 1, 2, 3, 0])
    assert criterion(TOY, TrainConfig(), None)(student, targets, []) == TOY.loss(student, targets)


def test_smoothed_targets() -> None:
    student, targets = _logits(0), torch.tensor([0, 1, 2, 3, 0])
    found = criterion(TOY, TrainConfig(label_smoothing=0.2), None)(student, targets, [])
    goal = 0.8 * torch.nn.functional.one_hot(targets, 4) + 0.2 / 4
    assert float(found) == pytest.approx(
        float(-(goal * torch.log_softmax(student, 1)).sum(1).mean())
    )


def test_smoothing_needs_classes() -> None:
    task = dataclasses.replace(TOY, kind="regression")
    with pytest.raises(UsageError, match="label_smoothing is 0.1, but task toy is regression"):
        criterion(task, TrainConfig(label_smoothing=0.1), None)


def test_a_regression_is_distilled_by_squared_difference() -> None:
    task = dataclasses.replace(TOY, kind="regression", loss=lambda o, t: (o - t).abs().mean())
    student, taught = _logits(0), _logits(1)
    found = criterion(task, TrainConfig(distill_weight=0.25), nn.Identity())(
        student, student + 2, [taught]
    )
    assert float(found) == pytest.approx(
        0.75 * 2 + 0.25 * float((student - taught).square().mean())
    )


def test_a_teacher_in_half_precision_is_compared_in_float() -> None:
    """Logarithms of bfloat16 logits would lose what the teacher knows beside the winner."""
    config = TrainConfig(distill_weight=1.0, distill_temperature=1.0)
    student, taught = _logits(0).float(), _logits(1).bfloat16()
    found = criterion(TOY, config, nn.Identity())(student, torch.zeros(5).long(), [taught])
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(soft_loss(1.0)(student, taught.float())))


# --------------------------------------------------------------- schedules


def test_hold_is_flat_and_then_falls_in_a_line_to_nothing() -> None:
    config = TrainConfig(epochs=10, schedule="hold", hold_fraction=0.6)
    found = [factor(config, step, 100, 10) for step in range(101)]
    assert found[:61] == [1.0] * 61
    assert found[80] == pytest.approx(0.5) and found[100] == 0
    with pytest.raises(UsageError, match="hold_fraction"):
        TrainConfig(hold_fraction=1.0)


_ANY = {
    "epochs": st.integers(1, 40),
    "per_epoch": st.integers(1, 50),
    "warm": st.floats(0, 0.99),
    "schedule": st.sampled_from(SCHEDULES),
}


@settings(max_examples=80, deadline=None)
@given(**_ANY)
def test_every_schedule_stays_above_zero_and_reaches_one(
    epochs: int, per_epoch: int, warm: float, schedule: str
) -> None:
    config = TrainConfig(epochs=epochs, schedule=schedule, warmup_epochs=warm * epochs)
    total = epochs * per_epoch
    factors = [factor(config, step, total, per_epoch) for step in range(total)]
    assert all(0 < f <= 1 + 1e-12 for f in factors)
    if total > 20 or schedule == "constant":
        assert max(factors) > 0.75


def test_schedules_by_formula() -> None:
    def at(step: int, **options: Any) -> float:
        return factor(TrainConfig(epochs=10, **options), step, 100, 10)

    assert at(0) == 1
    assert at(50) == pytest.approx(0.5)
    assert at(99) == pytest.approx(0.5 * (1 + math.cos(0.99 * math.pi)))
    assert at(75, schedule="linear") == pytest.approx(0.25)
    assert at(99, schedule="constant") == 1
    assert [at(s, schedule="step") for s in (49, 50, 75)] == pytest.approx([1, 0.1, 0.01])
    assert [at(s, schedule="one-cycle") for s in (0, 30)] == pytest.approx([0.04, 1])
    assert [at(s, warmup_epochs=2) for s in (0, 9, 19, 20)] == pytest.approx([0.05, 0.5, 1, 1])
    assert at(60, warmup_epochs=2) == pytest.approx(0.5)


# --------------------------------------------------------------- optimizers


def test_only_weights_of_layers_decay() -> None:
    model = zoo.build("vit_tiny")
    decaying, free = default_groups(model, TrainConfig(weight_decay=0.3))
    names = {id(p): n for n, p in model.named_parameters()}
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert {names[id(p)].rpartition(".")[2] for p in decaying["params"]} == {"weight"}
    assert all(p.dim() > 1 for p in decaying["params"])
    left = {names[id(p)] for p in free["params"]}
    assert {"positions", "norm.weight", "linear.bias"} <= left
    assert len(decaying["params"]) + len(left) == len(names)


def test_the_average_follows_its_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = Average(model, decay=0.5)
    expected = float(model.weight.detach())
    for step, value in enumerate((3.0, -1.0, 7.0, 2.0, 5.0, 8.0, 1.0, 4.0, 6.0)):
        model.weight.data.fill_(value)
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(average.state["weight"]) == pytest.approx(expected)
