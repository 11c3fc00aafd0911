"""Every operator: what it multiplies, with which scale, and the gradients of its latent weights."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from edgepress.compress.binarization.catalogue import OPERATORS, PLAIN_NAMES
from edgepress.compress.binarization.gradients import signs
from edgepress.compress.binarization.layers import BinaryLayer, binary_layer
from edgepress.compress.binarization.operators import LayerShape, make_operator
from edgepress.runtime.errors import UsageError
from torch import Tensor, nn

SHAPE = LayerShape(4, 3, 3, (3, 3), (5, 5))
SIGN_OF_LATENT = ("bnn", "xnor", "dorefa", "bireal", "xnorpp", "react", "fda", "reste")


def _latent(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64) * 0.7
    ).requires_grad_()


def _layer(name: str, **options: object) -> tuple[BinaryLayer, Tensor]:
    torch.manual_seed(1)
    layer = binary_layer(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), name, positions=(5, 5), **options
    )  # type: ignore[arg-type]
    return layer.double(), torch.randn(2, 3, 5, 5, dtype=torch.float64)


def test_eleven_methods_have_a_name_and_a_class() -> None:
    assert len(PLAIN_NAMES) == 11 and set(PLAIN_NAMES) <= set(OPERATORS)
    for name in OPERATORS:
        assert make_operator(name, SHAPE).shape == SHAPE
    with pytest.raises(UsageError, match="no binarization operator 'xor'"):
        make_operator("xor", SHAPE)


@pytest.mark.parametrize("name", SIGN_OF_LATENT)
def test_weights_are_signs(name: str) -> None:
    latent = _latent()
    operator = make_operator(name, SHAPE).eval()
    values, _ = operator.weight(latent)
    assert torch.equal(values, signs(latent)) and torch.equal(
        operator.deployed_signs(latent), values
    )


@pytest.mark.parametrize("name", ["recu", "irnet"])
def test_normalising_operators_take_signs_of_the_centred_weight(name: str) -> None:
    latent = _latent().detach() + 0.9
    values, _ = make_operator(name, SHAPE).weight(latent)
    centred = latent - latent.mean((1, 2, 3), keepdim=True)
    assert torch.equal(values, signs(centred)) and not torch.equal(values, signs(latent))
    assert torch.equal(make_operator(name, SHAPE).deployed_signs(latent), values)


@pytest.mark.parametrize("name", ["xnor", "dorefa", "bireal", "react", "fda"])
def test_the_scale_is_the_mean_magnitude_of_a_channel(name: str) -> None:
    latent = _latent()
    _, scale = make_operator(name, SHAPE).weight(latent)
    assert scale is not None and not scale.requires_grad
    assert torch.allclose(scale, latent.abs().mean((1, 2, 3)))


@pytest.mark.parametrize("name", ["dorefa-paper", "reste"])
def test_one_scale_for_the_layer(name: str) -> None:
    latent = _latent()
    _, scale = make_operator(name, SHAPE).weight(latent)
    assert scale is not None and torch.allclose(scale, latent.abs().mean().expand(4))


def test_irnet_scales_are_powers_of_two_next_to_the_mean() -> None:
    latent = _latent().detach()
    _, scale = make_operator("irnet", SHAPE).weight(latent)
    assert scale is not None
    normal = (latent - latent.mean((1, 2, 3), keepdim=True)) / latent.flatten(1).std(1).reshape(
        -1, 1, 1, 1
    )
    expected = [2.0 ** round(math.log2(v)) for v in normal.abs().mean((1, 2, 3)).tolist()]
    assert scale.tolist() == expected


def test_adabin_has_two_values_per_filter_and_per_input() -> None:
    latent, x = _latent().detach(), torch.tensor([-2.0, 0.4, 0.6])
    operator = make_operator("adabin", SHAPE)
    values, _ = operator.weight(latent)
    centre = latent.mean((1, 2, 3)).tolist()
    spread = latent.flatten(1).std(1, unbiased=False).tolist()
    for o in range(4):
        assert values[o].unique().tolist() == pytest.approx(
            [centre[o] - spread[o], centre[o] + spread[o]]
        )
    with torch.no_grad():
        operator.input_scale.fill_(2.0)
        operator.input_shift.fill_(0.5)
        assert operator.input(x).tolist() == [-1.5, -1.5, 2.5]
        code = make_operator("adabin-code", SHAPE)
        code.load_state_dict(operator.state_dict())
        assert code.input(x).tolist() == [-1.0, -1.0, 3.0]


@pytest.mark.parametrize("scaled", [False, True])
def test_the_latent_gradient_has_the_scale_only_where_asked(scaled: bool) -> None:
    """dL/dW = dL/dWhat 1[|W| <= 1], times a_o under the product rule."""
    layer, x = _layer("xnor", scaled_gradient=scaled)
    upstream = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    (layer(x) * upstream).sum().backward()
    plain = signs(layer.weight.detach()).requires_grad_()
    (F.conv2d(signs(x), plain, padding=1) * upstream).sum().backward()
    a = layer.weight.detach().abs().mean((1, 2, 3), keepdim=True)
    expected = plain.grad * (layer.weight.detach().abs() <= 1)  # type: ignore[operator]
    expected = expected * a if scaled else expected
    assert torch.allclose(layer.weight.grad, expected)  # type: ignore[arg-type]


def test_the_input_gradient_of_react_is_the_triangle_at_the_shifted_value() -> None:
    layer, x = _layer("react")
    with torch.no_grad():
        layer.operator.rsign.threshold.copy_(torch.tensor([0.5, -0.5, 0.1]))
    x.requires_grad_()
    layer(x).sum().backward()
    shift = torch.tensor([0.5, -0.5, 0.1], dtype=torch.float64).reshape(-1, 1, 1)
    weight, scale = layer.operator.weight(layer.weight.detach())
    moved = (x.detach() + shift).requires_grad_()
    inner = signs(moved).detach().requires_grad_()
    (F.conv2d(inner, weight, padding=1) * scale.reshape(-1, 1, 1)).sum().backward()  # type: ignore[union-attr]
    expected = inner.grad * (2 - 2 * moved.detach().abs()).clamp(min=0)  # type: ignore[operator]
    assert torch.allclose(x.grad, expected)  # type: ignore[arg-type]
    threshold = layer.operator.rsign.threshold.grad
    assert torch.allclose(threshold, expected.sum((0, 2, 3)))


def test_recu_gradients_pass_clamp_and_normalisation() -> None:
    latent = _latent()
    operator = make_operator("recu", SHAPE)
    operator.at(0, 10)
    values, _ = operator.weight(latent)
    upstream = torch.randn(latent.shape, dtype=torch.float64)
    (values * upstream).sum().backward()
    again = latent.detach().clone().requires_grad_()
    normal = again - again.mean((1, 2, 3), keepdim=True)
    normal = normal / ((normal.flatten(1).var(1) + 1e-5).sqrt() / (2 * 2**0.5)).reshape(-1, 1, 1, 1)
    bound = -float(normal.detach().abs().mean()) * math.log(2 - 2 * 0.85)
    assert (normal.abs() > bound).any()
    (normal.clamp(-bound, bound) * upstream).sum().backward()
    assert torch.allclose(latent.grad, again.grad)  # type: ignore[arg-type]


def test_the_input_scales_of_xnor_net() -> None:
    plain, x = _layer("xnor")
    y = plain(x)
    one, _ = _layer("xnor-bibench")
    assert torch.allclose(one(x), y * x.abs().mean((1, 2, 3), keepdim=True))
    paper, _ = _layer("xnor-paper")
    box = torch.full((1, 1, 3, 3), 1 / 9, dtype=torch.float64)
    assert torch.allclose(paper(x), y * F.conv2d(x.abs().mean(1, keepdim=True), box, padding=1))


def test_xnorpp_scales_channels_rows_and_columns() -> None:
    layer, x = _layer("xnorpp-paper")
    plain = layer(x)
    operator = layer.operator
    with torch.no_grad():
        operator.alpha.mul_(torch.tensor([1.0, 2, 3, -4]))
        operator.positions[0].mul_(torch.tensor([1.0, 1, 5, 1, 1]))
        operator.positions[1].mul_(torch.tensor([1.0, 1, 1, 7, 1]))
    assert torch.allclose(layer(x)[:, 3, 2, 3], plain[:, 3, 2, 3] * -4 * 5 * 7)
    with pytest.raises(UsageError, match="output lengths"):
        make_operator("xnorpp-paper", LayerShape(4, 3, 3, (3, 3)))


def test_fda_noise_is_trained_and_gone_at_the_end_and_in_evaluation() -> None:
    layer, x = _layer("fda")
    layer.operator.at(0, 10)
    noisy, evaluated = layer.train()(x), layer.eval()(x)
    assert not torch.allclose(noisy, evaluated)
    noisy.sum().backward()
    assert all(p.grad is not None for p in layer.operator.parameters())
    layer.operator.at(9, 10)
    assert torch.equal(layer.train()(x), evaluated)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_trains_its_weight_and_its_extras_and_takes_every_layer(name: str) -> None:
    torch.manual_seed(0)
    cases: list[tuple[nn.Module, tuple[int, ...], tuple[int, ...]]] = [
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=1, groups=2), (2, 4, 6, 6), (3, 3)),
        (nn.Conv1d(4, 6, 3, padding=2, dilation=2), (2, 4, 7), (7,)),
        (nn.Linear(4, 6), (64, 4), ()),
    ]
    for layer, shape, positions in cases:
        made = binary_layer(layer, name, positions=positions).train()
        made.operator.at(1, 4)
        x = (torch.randn(shape) * 0.5).requires_grad_()
        made(x).square().sum().backward()
        assert x.grad is not None and float(x.grad.abs().sum()) > 0
        for key, parameter in made.named_parameters():
            assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, key
