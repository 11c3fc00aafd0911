"""Thresholds: the closed form, the probe, popcounts, borders, and integer chains against the float simulation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from edgepress.compress import datasets, zoo
from edgepress.compress.binarization.binarize import binarize, binary_layers, set_binary_weights
from edgepress.compress.binarization.fold import border_correction, fold
from edgepress.compress.binarization.layers import binary_layer
from edgepress.compress.binarization.records import BinarizeConfig
from edgepress.compress.binarization.thresholds import (
    NoThreshold,
    fold_norm,
    popcount_sums,
    probe,
)
from edgepress.compress.binarization.train import reestimate_norms, train_binary
from edgepress.compress.evaluation import as_tensors
from edgepress.compress.training import TrainConfig
from edgepress.runtime.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data import need_data
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

# ---------------------------------------------------------------- thresholds


def _norm(seed: int, channels: int = 16) -> tuple[nn.BatchNorm1d, np.ndarray, int]:
    """A batch norm with negative and zero gammas, weight scales of both signs, and the number of taps."""
    rng = np.random.default_rng(seed)
    taps = int(rng.integers(1, 60))
    norm = nn.BatchNorm1d(channels, eps=float(rng.choice([1e-5, 1e-4]))).eval()
    gamma = rng.standard_normal(channels) * (rng.random(channels) > 0.2)
    values = (gamma, rng.standard_normal(channels), rng.standard_normal(channels) * taps / 3)
    with torch.no_grad():
        for tensor, value in zip((norm.weight, norm.bias, norm.running_mean), values, strict=True):
            tensor.copy_(torch.from_numpy(value))
        norm.running_var.copy_(torch.from_numpy(rng.random(channels) * taps))
    return norm, rng.standard_normal(channels).astype(np.float32), taps


@pytest.mark.parametrize("seed", range(40))
def test_the_closed_form_is_what_the_norm_computes(seed: int) -> None:
    norm, scale, taps = _norm(seed)
    stairs = fold_norm(
        taps,
        *(
            t.detach().numpy()
            for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        ),
        norm.eps,
        scale,
    )
    sums = np.arange(-taps, taps + 1)[:, None].repeat(16, 1)
    with torch.no_grad():
        z = norm(torch.from_numpy(sums.astype(np.float32) * scale))
    expected = np.where(z.numpy() < 0, -1, 1)
    assert np.array_equal(stairs.apply(sums), expected)
    assert np.array_equal(probe(expected, taps).apply(sums), expected)
    assert bool((norm.weight == 0).any()) == bool(stairs.constant[norm.weight.detach() == 0].any())


def test_ties_go_up() -> None:
    """y = 2 gives z = 0 exactly: +1 for both directions."""
    gamma, zero, mean, one = (np.array(v) for v in ([1.0, -1.0], [0.0, 0], [2.0, 2], [1.0, 1]))
    stairs = fold_norm(4, gamma, zero, mean, one, 0.0)
    assert stairs.apply(np.array([[1, 1], [2, 2], [3, 3]])).tolist() == [[-1, 1], [1, 1], [1, -1]]
    shifted = fold_norm(4, gamma, zero, mean, one, 0.0, shift=-1.0)
    assert shifted.apply(np.array([[2, 2], [3, 1]])).tolist() == [[-1, -1], [1, 1]]


def test_impossible_statistics_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(InputError, match="not negative"):
        fold_norm(4, one, one, one, -one, 1e-5)


@given(st.integers(1, 40), st.lists(st.integers(-45, 45), min_size=1, max_size=3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_probe_reads_any_staircase(reach: int, steps: list[int], falling: bool) -> None:
    sums = np.arange(-reach, reach + 1)[:, None]
    levels = sum((sums >= t).astype(int) for t in steps)
    levels = -levels if falling else levels
    assert np.array_equal(probe(levels, reach).apply(sums), levels)


def test_a_hill_has_no_threshold() -> None:
    with pytest.raises(NoThreshold, match="channel 1 rises and falls"):
        probe(np.array([[-1, -1], [-1, 1], [1, -1]]), 1)


@given(st.integers(1, 40), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_popcounts_are_sums(taps: int, rows: int) -> None:
    rng = np.random.default_rng(taps)
    x, w = (np.where(rng.random((rows, taps)) < 0.5, -1, 1) for _ in range(2))
    assert np.array_equal(popcount_sums(x, w), x @ w.T)


@pytest.mark.parametrize("stride", [1, 2])
def test_zero_borders_from_one_borders(stride: int) -> None:
    torch.manual_seed(0)
    source = nn.Conv2d(4, 6, 3, stride=stride, padding=(1, 2), groups=2, bias=False)
    zero, one = binary_layer(source, "bnn", 0), binary_layer(source, "bnn", 1)
    x = torch.randn(2, 4, 7, 5)
    correction = border_correction(one, (7, 5))  # type: ignore[arg-type]
    assert torch.equal(zero(x), one(x) - torch.from_numpy(correction))
    assert int(np.abs(correction).max()) > 0


# -------------------------------------------------------------------- chains


class SmallVgg(nn.Module):
    """conv, 3 binary convs with pools in front of the norm, dense: VGG-Small with 16 to 32 channels."""

    def __init__(self, pool_first: bool = True):
        super().__init__()
        layers: list[nn.Module] = []
        for index, (i, o) in enumerate([(3, 16), (16, 16), (16, 32), (32, 32)]):
            layers.append(nn.Conv2d(i, o, 3, padding=1, bias=index == 2))
            tail = [nn.BatchNorm2d(o), nn.Hardtanh()]
            pool = [nn.MaxPool2d(2)] if index else []
            layers += pool + tail if pool_first else tail + pool
        self.features, self.linear = nn.Sequential(*layers), nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.features(x).flatten(1))


def _rough_norms(model: nn.Module, seed: int = 0) -> None:
    """Negative and zero gammas, shifted betas."""
    generator = torch.Generator().manual_seed(seed)
    for norm in [m for m in model.modules() if isinstance(m, _BatchNorm)]:
        with torch.no_grad():
            norm.weight.copy_(torch.randn(norm.num_features, generator=generator))
            norm.weight[::7] = 0
            norm.bias.copy_(0.3 * torch.randn(norm.num_features, generator=generator))


@pytest.mark.parametrize("border", [1, 0])
@pytest.mark.parametrize("pool_first", [True, False])
@pytest.mark.parametrize("operator", ["bnn", "react", "recu", "reste"])
def test_chains_equal_the_simulation(operator: str, pool_first: bool, border: int) -> None:
    torch.manual_seed(2)
    config = BinarizeConfig(operator=operator, border=border, last=True)
    made = binarize(SmallVgg(pool_first), torch.zeros(2, 3, 32, 32), config)
    _rough_norms(made)
    for layer in binary_layers(made).values():
        if operator == "react":
            nn.init.uniform_(layer.operator.rsign.threshold, -1.2, 1.2)
        if operator == "recu":
            nn.init.uniform_(layer.operator.alpha, -1, 1)
    x = torch.randn(16, 3, 32, 32)
    made.train()(x)  # norms see the data
    folded = fold(made.eval())
    linked = [link.layer for link in folded.links if link.staircase is not None]
    if operator == "react":  # the dense layer has a threshold for every pixel behind the flatten
        nn.init.zeros_(binary_layers(made)["linear"].operator.rsign.threshold)
        folded = fold(made)
        linked = [link.layer for link in folded.links if link.staircase is not None]
    assert len(linked) == 3 and folded.integer_only
    ands = [int((pool < 0).sum()) for link in folded.links for pool in link.pools]
    assert len(ands) == 3 and (min(ands) > 2 if pool_first else max(ands) == 0)
    with torch.no_grad():
        assert torch.equal(folded(x), made(x))


def test_or_alone_would_be_wrong() -> None:
    torch.manual_seed(2)
    made = binarize(SmallVgg(), torch.zeros(2, 3, 32, 32), BinarizeConfig("bnn"))
    _rough_norms(made)
    x = torch.randn(4, 3, 32, 32)
    made.train()(x)
    folded = fold(made.eval())
    for node, link in folded._links.items():
        rule = tuple(np.ones_like(pool) for pool in link.pools)
        folded._links[node] = dataclasses.replace(link, pools=rule)
    with torch.no_grad():
        assert not torch.equal(folded(x), made(x))


def test_shortcuts_keep_real_values_and_say_so() -> None:
    torch.manual_seed(0)
    made = binarize(zoo.build("resnet8"), torch.zeros(2, 3, 32, 32)).eval()
    x = torch.randn(2, 3, 32, 32)
    made.train()(x)
    folded = fold(made.eval())
    state = {link.layer: link for link in folded.links}
    for block in ("block1", "block2", "block3"):
        assert state[f"{block}.conv1"].to == f"{block}.conv2"
        assert (
            state[f"{block}.conv2"].staircase is None and "real" in state[f"{block}.conv2"].reason
        )
    assert not folded.integer_only
    with torch.no_grad():
        assert torch.equal(folded(x), made(x))


def test_operators_with_runtime_scales_keep_real_values() -> None:
    made = binarize(SmallVgg(), torch.zeros(2, 3, 32, 32), BinarizeConfig("xnor-paper")).eval()
    folded = fold(made)
    assert all("runtime scale" in link.reason for link in folded.links[:-1])
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(folded(x), made(x))


def test_the_first_stage_cannot_be_folded() -> None:
    made = binarize(SmallVgg(), torch.zeros(2, 3, 32, 32))
    set_binary_weights(made, False)
    with pytest.raises(InputError, match="not binary yet"):
        fold(made)


# ------------------------------------------------------------------ real data


def test_no_difference_on_every_test_window_of_the_watch() -> None:
    task = datasets.task("watch-har-subset")
    torch.manual_seed(0)
    config = BinarizeConfig(first=True)
    made = binarize(zoo.build("har_cnn"), torch.zeros(2, 6, 40), config)
    settings_ = TrainConfig(epochs=1, optimizer="adam", learning_rate=3e-3, weight_decay=0)
    train_binary(made, task, settings_, first_stage=0.0)
    _rough_norms(made)
    reestimate_norms(made, task, batches=10)
    folded, split = fold(made), task.load("test")
    assert [link.to for link in folded.links] == ["conv2", ""]
    (x,) = as_tensors(task, split, slice(None))
    with torch.no_grad():
        assert torch.equal(folded(x), made(x)) and len(x) > 1000


def test_no_difference_on_every_exact_cifar_image() -> None:
    task = datasets.task("cifar10", need_data("cifar10").parent)
    torch.manual_seed(0)
    made = binarize(SmallVgg(), torch.zeros(2, 3, 32, 32), BinarizeConfig())
    _rough_norms(made)
    split = task.load("test")
    (x,) = as_tensors(task, split, slice(None))
    for start in range(0, 512, 128):
        made.train()(x[start : start + 128])
    folded = fold(made.eval())
    with torch.no_grad():
        for start in range(0, len(x), 250):
            part = x[start : start + 250]
            assert torch.equal(folded(part), made(part))
    assert len(x) == 1000
