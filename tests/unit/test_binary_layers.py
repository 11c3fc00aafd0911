"""Binary layers: exact sums, borders, the two stages, RPReLU, and Bop."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from edgepress.compress.binarization.bop import Bop, to_signs
from edgepress.compress.binarization.gradients import signs
from edgepress.compress.binarization.layers import RPReLU, RSign, binary_layer
from edgepress.runtime.errors import EdgepressError
from torch import nn


@pytest.mark.parametrize("border", [0, 1, -1])
def test_the_border_holds_what_was_asked(border: int) -> None:
    torch.manual_seed(0)
    layer = binary_layer(nn.Conv2d(2, 3, 3, padding=(1, 2), bias=False), "bnn", border)
    x = torch.randn(1, 2, 4, 5)
    padded = F.pad(signs(x), (2, 2, 1, 1), value=float(border))
    assert torch.equal(layer(x), F.conv2d(padded, signs(layer.weight)))


def test_sums_of_signs_are_integers_with_the_parity_of_the_taps() -> None:
    torch.manual_seed(0)
    layer = binary_layer(nn.Conv1d(6, 5, 5, padding=2, bias=False), "react", 1)
    values = layer.operator.input(torch.randn(3, 6, 9))
    y = layer.product(values, layer.operator.weight(layer.weight)[0])
    assert (
        torch.equal(y, y.round()) and bool((y.long() % 2 == 30 % 2).all()) and y.abs().max() <= 30
    )


def test_the_bias_and_the_options_of_the_float_layer_stay() -> None:
    torch.manual_seed(0)
    source = nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2, padding=2)
    layer, x = binary_layer(source, "bnn"), torch.randn(2, 4, 9, 9)
    expected = F.conv2d(signs(x), signs(source.weight), source.bias, 2, 2, 2, 2)
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert layer.weight is not source.weight


def test_real_weights_in_the_first_stage() -> None:
    torch.manual_seed(0)
    layer, x = binary_layer(nn.Linear(5, 3), "react"), torch.randn(2, 5)
    layer.binary_weights = False
    assert torch.allclose(layer(x), F.linear(signs(x), layer.weight, layer.bias))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose1d(2, 2, 3),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
    ],
    ids=["transposed", "same", "reflect"],
)
def test_what_has_no_binary_form_is_refused(layer: nn.Module) -> None:
    with pytest.raises(EdgepressError, match="no binary form"):
        binary_layer(layer, "bnn")


def test_rprelu_shifts_bends_and_shifts_back() -> None:
    module = RPReLU(2, 1)
    with torch.no_grad():
        module.before.copy_(torch.tensor([1.0, 0.0]))
        module.after.copy_(torch.tensor([0.0, 3.0]))
    y = module(torch.tensor([[[-3.0, 0.5], [-2.0, 2.0]]]))
    assert y.tolist() == [[[-0.5, 1.5], [2.5, 5.0]]]


def test_rsign_adds_its_threshold() -> None:
    module = RSign(2, 1)
    with torch.no_grad():
        module.threshold.copy_(torch.tensor([0.5, -0.5]))
    assert module(torch.tensor([[[-0.4, -0.6], [0.4, 0.5]]])).tolist() == [[[1, -1], [-1, 1]]]


def test_bop_flips_by_the_averaged_gradient_and_leaves_the_rest_to_adam() -> None:
    weight = torch.tensor([0.3, -0.2, 0.1], requires_grad=True)
    other = torch.tensor([1.0], requires_grad=True)
    to_signs([weight])
    assert weight.tolist() == [1, -1, 1]
    groups = [
        {"params": [weight], "binary": True, "gamma": 0.5, "threshold": 0.1},
        {"params": [other], "lr": 0.1},
    ]
    optimizer = Bop(groups)
    for _ in range(2):  # momenta after two steps: 0.75, 0.75, 0.075
        optimizer.zero_grad()
        (weight * torch.tensor([1.0, 1.0, 0.1])).sum().add(other.sum()).backward()
        optimizer.step()
    assert weight.tolist() == [-1, -1, 1]
    assert float(other.detach()) == pytest.approx(0.8, abs=1e-3)
