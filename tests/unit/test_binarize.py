"""The pass: which layers become binary, what happens to ReLUs, how it trains."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from edgepress.compress import datasets, zoo
from edgepress.compress.binarization.binarize import binarize, binary_layers, choices
from edgepress.compress.binarization.layers import RPReLU
from edgepress.compress.binarization.records import BinarizeConfig
from edgepress.compress.binarization.train import (
    clip_latents,
    parameter_groups,
    reestimate_norms,
    train_binary,
)
from edgepress.compress.training import Moment, TrainConfig
from edgepress.runtime.errors import UsageError
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

IMAGE = torch.zeros(2, 3, 32, 32)


def _net(name: str, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return zoo.build(name, **options).eval()


def _reasons(model: torch.fx.GraphModule) -> dict[str, str]:
    return {row.name: row.reason for row in choices(model) if not row.binary}


def test_first_last_and_shortcut_stay_real() -> None:
    made = binarize(_net("resnet8"), IMAGE)
    assert _reasons(made) == {
        "conv1": "first layer",
        "linear": "last layer",
        "block2.shortcut": "1x1 shortcut",
        "block3.shortcut": "1x1 shortcut",
    }
    assert set(binary_layers(made)) == {f"block{b}.conv{c}" for b in (1, 2, 3) for c in (1, 2)}


def test_options_take_more_or_fewer_layers() -> None:
    config = BinarizeConfig(first=True, last=True, shortcuts=True, keep_float=("block1.*",))
    made = binarize(_net("resnet8"), IMAGE, config)
    assert _reasons(made) == {"block1.conv1": "asked for", "block1.conv2": "asked for"}


def test_depthwise_stays_real_unless_asked_for() -> None:
    example = torch.zeros(2, 1, 49, 10)
    rows = choices(binarize(_net("ds_cnn"), example))
    depthwise = [r for r in rows if r.reason == "depthwise: few taps"]
    pointwise = [r for r in rows if r.binary]
    assert len(depthwise) == 4 and len(pointwise) == 4
    more = choices(binarize(_net("ds_cnn"), example, BinarizeConfig(depthwise=True)))
    assert sum(r.binary for r in more) == 8


def test_the_model_handed_in_stays_as_it_is() -> None:
    model = _net("har_cnn")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    binarize(model, torch.zeros(2, 6, 40))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert type(model.conv2) is nn.Conv1d


def test_weights_and_norms_are_taken_over() -> None:
    model = _net("vgg_small")
    made = binarize(model, IMAGE)
    state = made.state_dict()
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())


def test_relus_before_signs_make_way_and_others_stay() -> None:
    made = binarize(_net("har_cnn"), torch.zeros(2, 6, 40))
    assert [n for n, m in made.named_modules() if isinstance(m, nn.Hardtanh)] == ["relu_hardtanh"]
    assert sum(n.target is nn.functional.relu for n in made.graph.nodes) == 1  # the one before fc
    x = torch.randn(2, 6, 40)
    hidden = made.pool(made.relu_hardtanh(made.bn1(made.conv1(x))))
    assert torch.allclose(
        made.bn2(made.conv2(hidden)).relu().mean(2) @ made.fc.weight.T + made.fc.bias, made(x)
    )


def test_rprelu_where_asked_for_also_behind_an_add() -> None:
    made = binarize(_net("resnet8"), IMAGE, BinarizeConfig(activation="rprelu"))
    assert sum(isinstance(m, RPReLU) for m in made.modules()) == 6
    kept = binarize(_net("resnet8"), IMAGE, BinarizeConfig(activation="keep"))
    assert not any(isinstance(m, (RPReLU, nn.Hardtanh)) for m in kept.modules())


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(UsageError, match="no layer matches 'conv9'"):
        binarize(_net("har_cnn"), torch.zeros(2, 6, 40), BinarizeConfig(keep_float=("conv9",)))
    with pytest.raises(UsageError, match="no layer of the model would become binary"):
        binarize(_net("har_cnn"), torch.zeros(2, 6, 40), BinarizeConfig(keep_float=("conv2",)))
    with pytest.raises(UsageError, match="operator is 'nn'"):
        BinarizeConfig(operator="nn")


def test_who_decays() -> None:
    def decayed(operator: str) -> set[str]:
        made = binarize(_net("har_cnn"), torch.zeros(2, 6, 40), BinarizeConfig(operator=operator))
        names = {id(p): n for n, p in made.named_parameters()}
        groups = parameter_groups(made, TrainConfig(weight_decay=0.1))
        assert sum(len(g["params"]) for g in groups) == len(names)
        return {names[id(p)] for g in groups if g["weight_decay"] for p in g["params"]}

    assert decayed("react") == {"conv1.weight", "fc.weight"}
    assert decayed("recu") == {"conv1.weight", "conv2.weight", "fc.weight"}


def test_latents_are_clipped_unless_the_operator_normalises_them() -> None:
    for operator, largest in (("bnn", 1.0), ("irnet", 3.0)):
        made = binarize(_net("har_cnn"), torch.zeros(2, 6, 40), BinarizeConfig(operator=operator))
        nn.init.constant_(made.conv2.weight, 3.0)
        clip_latents(Moment(0, 1, 0, 1, 0.1, made, None))
        assert float(made.conv2.weight.detach().max()) == largest


def test_norms_are_estimated_on_the_final_weights() -> None:
    task, model = datasets.task("toy"), _net("toy_cnn").train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    for norm in norms:
        norm.running_mean.fill_(99.0)
        norm.num_batches_tracked.fill_(1000)  # as after a training
    modes = [m.training for m in model.modules()]
    assert reestimate_norms(model, task, batches=2) == 2
    assert [m.training for m in model.modules()] == modes and norms[0].momentum == 0.1
    x = torch.from_numpy(task.normalise(task.load("train").inputs[0]))
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    assert torch.allclose(norms[0].running_mean, first(x).mean((0, 2, 3)), atol=0.05)


CONFIG = TrainConfig(epochs=4, batch_size=32, learning_rate=0.01, optimizer="adam", weight_decay=0)


@pytest.mark.parametrize("optimizer", ["adam", "bop"])
def test_two_stages_train_and_resume_to_the_same_weights(optimizer: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    task = datasets.task("toy")
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    nets = [_net("toy_cnn") for _ in range(2)]
    made = [binarize(n, torch.zeros(2, 1, 8, 8), BinarizeConfig(last=True)) for n in nets]
    stages = train_binary(made[0], task, config, teacher=nets[0], checkpoint=tmp_path / "c")
    assert [s.name for s in stages] == ["activations", "weights"]
    assert [len(s.result.epochs) for s in stages] == [2, 2]
    assert (tmp_path / "c").exists() and (tmp_path / "c.first").exists()
    train_binary(made[1], task, config, teacher=nets[0], checkpoint=tmp_path / "c")
    for key, value in made[0].state_dict().items():
        assert torch.equal(value, made[1].state_dict()[key]), key
    layer = next(iter(binary_layers(made[0]).values()))
    assert layer.binary_weights
    if optimizer == "bop":
        assert set(layer.weight.detach().unique().tolist()) <= {-1.0, 1.0}


def test_every_epoch_of_both_stages_sets_the_schedules_and_the_end_is_that_of_the_last() -> None:
    made = binarize(_net("toy_cnn"), torch.zeros(2, 1, 8, 8), BinarizeConfig("recu", last=True))
    operator = next(iter(binary_layers(made).values())).operator
    seen: list[tuple[int, int]] = []
    real = operator.at

    def at(epoch: int, epochs: int) -> None:
        seen.append((epoch, epochs))
        real(epoch, epochs)

    operator.at = at  # type: ignore[method-assign]
    train_binary(made, datasets.task("toy"), CONFIG)
    assert list(dict.fromkeys(seen[:-1])) == [(0, 2), (1, 2)] and seen.count((1, 2)) >= 2
    assert seen[-1] == (3, 4)


def test_a_resnet_with_a_shortcut_per_convolution() -> None:
    plain, more = _net("resnet20"), _net("resnet20", shortcuts="conv")
    assert [(k, v.shape) for k, v in more.state_dict().items()] == [
        (k, v.shape) for k, v in plain.state_dict().items()
    ]
    block, x = more.layer2[0], torch.randn(1, 16, 8, 8)
    first = (block.bn1(block.conv1(x)) + block.shortcut(x)).relu()
    assert torch.equal(block(x), (block.bn2(block.conv2(first)) + first).relu())
    made = binarize(more, IMAGE, BinarizeConfig(activation="rprelu"))
    assert len(binary_layers(made)) == 18
    assert sum(isinstance(m, RPReLU) for m in made.modules()) == 18  # all but the last ReLU
    with pytest.raises(UsageError, match="no shortcuts 'both'"):
        zoo.build("resnet20", shortcuts="both")
