"""The training loop: what it learns, keeps and leaves as it was, what hooks see, clear errors."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from edgepress.compress import datasets, zoo
from edgepress.compress.evaluation import evaluate, predict, score_outputs
from edgepress.compress.task import Split, Task
from edgepress.compress.training import Moment, TrainConfig, steps_of, train
from edgepress.compress.training_config import OPTIMIZERS
from edgepress.compress.training_data import Batches
from edgepress.runtime.errors import InputError, MissingToolError, UsageError
from support import training_case
from torch import nn

TOY = datasets.task("toy")
QUICK = TrainConfig(epochs=3, batch_size=32, learning_rate=0.02)


def _toy_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return training_case.model(seed)


def _states_equal(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_the_optimizer_gets_the_schedule_s_rates() -> None:
    seen: list[float] = []
    config = dataclasses.replace(QUICK, schedule="linear")
    train(_toy_net(), TOY, config, on_step=lambda m: seen.append(m.learning_rate))
    assert seen == pytest.approx([0.02 * (1 - step / 18) for step in range(18)])


# ---------------------------------------------------- rates and optimizers


def test_groups_of_the_caller_keep_their_own_rate() -> None:
    def groups(model: Any, config: TrainConfig) -> list[dict[str, Any]]:
        return [{"params": [model[0].weight], "lr": 0.5}, {"params": [model[5].weight]}]

    rates: list[list[float]] = []
    net = _toy_net()
    bias = net[5].bias.detach().clone()
    config = dataclasses.replace(QUICK, schedule="linear", optimizer="sgd", learning_rate=0.001)
    train(net, TOY, config, parameter_groups=groups,
          on_step=lambda m: rates.append([g["lr"] for g in m.optimizer.param_groups]))  # fmt: skip
    assert rates[9] == pytest.approx([0.25, 0.0005])
    assert torch.equal(net[5].bias, bias)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(optimizer: str) -> None:
    """The toy task only shows that the loop works."""
    net = _toy_net()
    before = evaluate(net, TOY, "validation").value
    result = train(net, TOY, dataclasses.replace(QUICK, epochs=6, optimizer=optimizer))
    assert result.score is not None
    assert result.score.value > max(before + 15, 60)
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss


def test_the_average_is_what_is_validated_and_kept() -> None:
    plain, averaged = _toy_net(), _toy_net()
    train(plain, TOY, QUICK)
    result = train(averaged, TOY, dataclasses.replace(QUICK, ema_decay=0.9))
    assert not _states_equal(plain, averaged)
    assert result.score == evaluate(averaged, TOY, "validation")
    assert result.epochs[-1].validation == result.score.value


# ------------------------------------------------------------ what is kept


def _with_validation_values(values: list[float], higher: bool) -> Task:
    """The toy task, whose validation gives `values` one after the other."""
    left = list(values)
    metric = dataclasses.replace(TOY.metric, higher_is_better=higher)
    return dataclasses.replace(TOY, metric=metric, score=lambda o, s: left.pop(0) if left else -1.0)


@pytest.mark.parametrize(("higher", "best"), [(True, 2), (False, 1)])
def test_the_best_epoch_is_kept_and_the_first_of_equals(higher: bool, best: int) -> None:
    values = [1.0, 5.0, 5.0, 1.0]
    snapshots: list[dict[str, torch.Tensor]] = []

    def remember(moment: Moment) -> None:
        if (moment.step + 1) % 6 == 0:
            snapshots.append({k: v.clone() for k, v in moment.model.state_dict().items()})

    net = _toy_net()
    config = dataclasses.replace(QUICK, epochs=4, keep="best")
    result = train(net, _with_validation_values(values, higher), config, on_step=remember)
    assert result.kept_epoch == best
    assert all(torch.equal(v, snapshots[best - 1][k]) for k, v in net.state_dict().items())
    assert [row.validation for row in result.epochs] == values


def test_validation_every_second_epoch_and_always_the_last() -> None:
    config = dataclasses.replace(QUICK, epochs=5, validate_every=2)
    rows = train(_toy_net(), TOY, config).epochs
    assert [row.validation is not None for row in rows] == [False, True, False, True, True]


def test_the_test_split_is_never_loaded() -> None:
    def forbidden() -> Split:
        raise AssertionError("the test split was loaded")

    loaders = {**TOY.loaders, "test": forbidden, "calibration": forbidden}
    train(
        _toy_net(),
        dataclasses.replace(TOY, loaders=loaders),
        dataclasses.replace(QUICK, keep="best"),
    )


def test_without_validation_the_last_is_kept_and_the_best_refused() -> None:
    task = dataclasses.replace(TOY, loaders={"train": TOY.loaders["train"]})
    assert train(_toy_net(), task, QUICK).score is None
    with pytest.raises(UsageError, match="no validation split"):
        train(_toy_net(), task, dataclasses.replace(QUICK, keep="best"))


# ------------------------------------------------- what is left as it was


def test_global_generators_and_threads_are_left_alone() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    expected = (random.random(), np.random.rand(), float(torch.rand(1)))  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    net = training_case.model()
    torch.manual_seed(5)
    train(net, training_case.task(), dataclasses.replace(QUICK, threads=threads + 1))
    assert (random.random(), np.random.rand(), float(torch.rand(1))) == expected  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_the_result_depends_on_the_seed_and_not_on_the_generators_before() -> None:
    nets = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        net = training_case.model()
        torch.manual_seed(noise)
        train(net, training_case.task(), dataclasses.replace(QUICK, seed=seed))
        nets.append(net)
    assert _states_equal(nets[0], nets[1])
    assert not _states_equal(nets[0], nets[2])


def test_a_teacher_keeps_its_weights_and_statistics() -> None:
    teacher = _toy_net(seed=1)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    train(_toy_net(), TOY, QUICK, teacher=teacher)
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())


def test_the_trained_model_is_contiguous_and_in_eval_mode() -> None:
    net = zoo.build_for("toy_cnn", TOY)
    train(net, TOY, QUICK)
    assert all(p.is_contiguous() for p in net.parameters())
    assert not net.training


def test_prediction_leaves_every_module_s_mode_alone() -> None:
    net = _toy_net().train()
    net[1].eval()
    outputs = predict(net, TOY, TOY.load("test"), batch_size=10)
    assert [m.training for m in net] == [True, False, True, True, True, True]
    assert outputs[0].shape == (64, 3)
    whole = predict(net, TOY, TOY.load("test"), batch_size=64)
    assert np.allclose(outputs[0], whole[0], atol=1e-5)


def test_a_score_says_what_it_was_taken_on() -> None:
    split = TOY.load("test").head(10)
    logits = np.eye(3)[split.targets] - 0.5
    logits[0] = np.roll(logits[0], 1)
    score = score_outputs(TOY, split, [logits])
    assert (score.metric, score.value, score.unit) == ("accuracy", 90.0, "%")
    assert (score.split, score.samples) == ("toy/test", 10)
    assert evaluate(_toy_net(), TOY, "test", limit=7).samples == 7


# ------------------------------------------------------------- data, hooks


def test_an_epoch_takes_every_sample_once_and_in_another_order_each_time() -> None:
    batches = Batches.of(TOY, dataclasses.replace(QUICK, batch_size=50))
    orders = [batches.order(epoch) for epoch in range(2)]
    assert not torch.equal(*orders)
    assert all(torch.equal(order.sort().values, torch.arange(192)) for order in orders)
    assert (batches.per_epoch, batches.batch_size) == (3, 50)
    assert steps_of(TOY, dataclasses.replace(QUICK, batch_size=50)) == 9


def test_large_data_is_normalised_batch_by_batch_to_the_same_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once, piecewise = _toy_net(), _toy_net()
    train(at_once, TOY, QUICK)
    monkeypatch.setattr("edgepress.compress.training_data.IN_MEMORY_BYTES", 0)
    train(piecewise, TOY, QUICK)
    assert _states_equal(at_once, piecewise)


def test_a_training_split_smaller_than_a_batch_is_one_batch() -> None:
    result = train(_toy_net(), TOY, dataclasses.replace(QUICK, batch_size=1000))
    assert result.steps == 3


def test_hooks_see_every_step_and_epoch_in_order() -> None:
    seen: list[tuple[str, int, int]] = []
    train(_toy_net(), TOY, QUICK,
          on_step=lambda m: seen.append(("step", m.epoch, m.step)),
          on_epoch=lambda m: seen.append(("epoch", m.epoch, m.step)))  # fmt: skip
    expected: list[tuple[str, int, int]] = []
    for epoch in range(3):
        expected.append(("epoch", epoch, 6 * epoch))
        expected += [("step", epoch, 6 * epoch + i) for i in range(6)]
    assert seen == expected


def test_a_penalty_is_part_of_the_loss() -> None:
    shrunk, free = _toy_net(), _toy_net()
    train(free, TOY, QUICK)
    train(shrunk, TOY, QUICK, penalty=lambda m: 10 * m[5].weight.abs().sum())
    assert float(shrunk[5].weight.detach().abs().sum()) < 0.5 * float(
        free[5].weight.detach().abs().sum()
    )


class _Told:
    def __init__(self) -> None:
        self.total, self.done = 0, 0
        self.facts: list[dict[str, object]] = []

    def stage(self, name: str, total: int) -> None:
        self.total = total

    def advance(self, count: int = 1, **facts: object) -> None:
        self.done += count
        self.facts.append(facts)


def test_progress_counts_to_its_total_and_tells_epoch_and_loss() -> None:
    told = _Told()
    train(_toy_net(), TOY, QUICK, progress=told)
    assert told.done == told.total == 18
    assert told.facts[0]["epoch"] == "1/3"
    assert isinstance(told.facts[0]["loss"], float)
    assert sum("validation" in facts for facts in told.facts) == 3


# ------------------------------------------------------------------ errors


def test_a_nan_loss_names_the_step() -> None:
    def explode(moment: Moment) -> None:
        if moment.step == 7:
            moment.model[5].weight.data.fill_(float("nan"))

    with pytest.raises(InputError, match=r"the loss is nan in step 8 \(epoch 2 of 3\)"):
        train(_toy_net(), TOY, QUICK, on_step=explode)


def test_empty_splits_are_input_errors() -> None:
    empty = dataclasses.replace(TOY, loaders={"train": lambda: TOY.load("test").head(0)})
    with pytest.raises(InputError, match="training split of task toy is empty"):
        train(_toy_net(), empty, QUICK)
    with pytest.raises(InputError, match="split test of task toy is empty"):
        evaluate(_toy_net(), empty, "train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "sdg"}, "optimizer is 'sdg'.*\n.*adamw, adam, sgd"),
        ({"schedule": "cos"}, "schedule is 'cos'"),
        ({"keep": "all"}, "keep is 'all'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"weight_decay": -1.0}, "weight_decay is -1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
        ({"distill_weight": 1.5}, "distill_weight is 1.5"),
        ({"warmup_epochs": 10.0}, "warmup_epochs is 10.0, the training has 10 epochs"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**options)


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "meta"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(UsageError, match=device):
        train(_toy_net(), TOY, dataclasses.replace(QUICK, device=device))


def test_half_precision_learns_and_leaves_float_weights() -> None:
    net, plain = _toy_net(), _toy_net()
    config = dataclasses.replace(QUICK, epochs=6)
    train(plain, TOY, config)
    result = train(net, TOY, dataclasses.replace(config, half=True))
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert not _states_equal(net, plain)  # it did compute in other numbers
    assert result.score is not None and result.score.value > 60


def test_compiled_training_asks_torch_for_the_compiled_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What torch.compile makes of it is torch's affair; compiling takes half a minute."""
    asked: list[nn.Module] = []

    def compiled(model: nn.Module) -> nn.Module:
        asked.append(model)
        return model

    monkeypatch.setattr(torch, "compile", compiled)
    net, plain = _toy_net(), _toy_net()
    train(net, TOY, dataclasses.replace(QUICK, compiled=True))
    train(plain, TOY, QUICK)
    assert asked == [net] and _states_equal(net, plain)


def test_compiling_without_a_compiler_is_refused_before_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingToolError, match=r"no C\+\+ compiler"):
        train(_toy_net(), TOY, dataclasses.replace(QUICK, compiled=True))
