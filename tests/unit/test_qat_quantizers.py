"""Quantizers of training: bit-identical to QParams, gradients of the straight-through rule and of LSQ, freezing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from edgepress.compress.quantization import qat, qat_quantizers
from edgepress.compress.quantization.qat_layers import from_float, weight_and_bias
from edgepress.compress.quantization.qparams import QParams, affine
from support import qat_nets
from torch import nn

torch.set_num_threads(1)


@pytest.mark.parametrize(("low", "high"), [(-3.0, 2.5), (0.0, 6.0), (-1.0, 0.0), (-0.01, 700.0)])
def test_activations_round_as_qparams_does(low: float, high: float) -> None:
    module = qat_quantizers.activation_quantizer()
    qparams = affine(low, high, signed=False)
    qat_quantizers.set_activation(module, qparams, learned=True)
    half_steps = (np.arange(-40, 600) / 2 * qparams.scale[0]).astype(np.float32)  # ties on purpose
    noise = np.random.default_rng(0).normal(0, high - low, 4000).astype(np.float32)
    x = np.concatenate([half_steps, noise])
    found = qat_quantizers.dequantize(module(torch.from_numpy(x))).detach().numpy()
    np.testing.assert_array_equal(found, qparams.fake_quantize(x))
    int8 = qat_quantizers.get_activation(module)
    np.testing.assert_array_equal(int8.quantize(x), qparams.quantize(x) - 128)
    np.testing.assert_array_equal(int8.fake_quantize(x), found)


def test_scale_gradient_is_lsq_and_input_gradient_passes_inside_the_range() -> None:
    module = qat_quantizers.activation_quantizer()
    qparams = affine(-1.0, 2.0, signed=False)
    qat_quantizers.set_activation(module, qparams, learned=True)
    scale, zero = qparams.scale[0], qparams.zero_point[0]
    x = torch.tensor([[-5.0, -0.503, 0.0, 0.7, 1.33, 9.0]], requires_grad=True)
    weights = torch.tensor([[1.0, 2.0, -1.0, 0.5, 3.0, -2.0]])
    (qat_quantizers.dequantize(module(x)) * weights).sum().backward()
    ratio = x.detach() / scale
    low, high = ratio < -zero, ratio > 255 - zero
    inside = ~(low | high)
    torch.testing.assert_close(x.grad, weights * inside)
    step = torch.where(inside, ratio.round() - ratio, torch.where(low, -zero, 255 - zero))
    # The share of the scale that LSQ moves it by: d/d(scale) / scale, times 1 / sqrt(features * 255).
    wanted = (weights * step).sum() / scale / np.sqrt(6 * 255)
    learned = qat_quantizers.tensor_quantizer(module).scaling_impl.ratio
    torch.testing.assert_close(learned.grad, wanted, rtol=1e-5, atol=1e-7)


def test_weights_are_narrow_per_channel_and_nearly_dead_channels_keep_their_bias() -> None:
    conv = nn.Conv2d(4, 6, 3)
    with torch.no_grad():
        conv.weight[2] = 0.0
        conv.weight[3] *= 1e-7
        conv.bias[2:4] = torch.tensor([1.5, -2.0])
    model = qat.prepare(nn.Sequential(conv).eval(), torch.zeros(1, 4, 8, 8))
    qat.calibrate(model, [torch.randn(8, 4, 8, 8)])
    row = qat.quantization_of(model)[0]
    assert row.weight.min() >= -127 and row.weight.dtype == np.int8
    alive = [0, 1, 4, 5]
    assert (np.abs(row.weight[alive]).reshape(4, -1).max(1) == 127).all()
    real = row.bias.astype(np.float64) * row.bias_scale
    np.testing.assert_allclose(real, conv.bias.detach().numpy(), atol=float(row.bias_scale.max()))
    assert np.abs(row.bias.astype(np.int64)).max() <= 2**28
    np.testing.assert_array_equal(row.bias_scale, np.float32(row.input.scale[0]) * row.weight_scale)


def test_integers_come_from_the_brevitas_layer_itself() -> None:
    layer = from_float(nn.Linear(5, 3))
    weight, scale, bias, bias_scale = weight_and_bias(layer, torch.tensor(0.03))
    torch.testing.assert_close(weight * scale[:, None], layer.quant_weight().value, rtol=0, atol=0)
    assert torch.equal(bias_scale, 0.03 * scale)
    assert (
        float((bias * bias_scale - layer.bias.detach()).abs().max())
        <= float(bias_scale.max()) / 2 * 1.001
    )


def train(model: nn.Module, steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    for _ in range(steps):
        x = torch.randn(8, 3, 16, 16, generator=generator)
        loss = nn.functional.cross_entropy(model(x), torch.arange(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def scales(model: nn.Module) -> dict[str, tuple[float, ...]]:
    return {n: qat_quantizers.get_activation(q).scale for n, q in model.quantizers().items()}


def calibrated() -> nn.Module:
    model = qat.prepare(qat_nets.build("residual"), qat_nets.batch("residual", 2))
    qat.calibrate(model, [qat_nets.batch("residual", 16)])
    return model.train()


def test_scales_learn_for_a_third_of_the_steps_and_then_stay() -> None:
    model = calibrated()
    qat.schedule(model, 9)
    before = scales(model)
    train(model, 3)
    middle = scales(model)
    train(model, 6)
    learned = {g.name for g in model.classes if not (g.is_input or g.is_output)}
    assert {name for name in before if before[name] != middle[name]} == learned
    assert scales(model) == middle


def test_resuming_from_a_state_keeps_the_step_count_and_the_optimisers_parameters() -> None:
    straight, first = calibrated(), calibrated()
    qat.schedule(straight, 12)
    qat.schedule(first, 12)
    train(straight, 6)
    train(first, 6)
    second = calibrated()
    parameters = [id(p) for p in second.parameters()]
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert [id(p) for p in second.parameters()] == parameters
    assert int(second.steps) == 6
    for model in (straight, second):
        train(model, 4, seed=1)
    pairs = zip(straight.state_dict().items(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for (_, a), b in pairs)
    assert scales(straight) == scales(second)


def test_finalize_stores_the_learned_scales_and_widens_the_outputs() -> None:
    model = calibrated()
    qat.schedule(model, 30)
    train(model, 6)
    learned = scales(model)
    qat.finalize(model)
    assert scales(model) == learned and not model.training
    with torch.no_grad():
        layer = model.layers()["linear"]
        layer.weight.mul_(5.0)
    x = qat_nets.batch("residual", 16)
    qat.finalize(model, [x])
    output = next(g.name for g in model.classes if g.is_output)
    now = scales(model)
    assert {n for n in now if now[n] != learned[n]} == {output}
    q = qat_quantizers.get_activation(model.quantizers()[output])
    values = q.quantize(model(x).detach().numpy())
    assert (
        values.min() == -128 and values.max() == 127
    )  # the range is used to the ends, nothing clips


def test_two_runs_give_the_same_numbers() -> None:
    rows = []
    for _ in range(2):
        model = calibrated()
        qat.schedule(model, 6)
        train(model, 6)
        rows.append(qat.quantization_of(qat.finalize(model)))
    for a, b in zip(*rows, strict=True):
        assert a.output == b.output == QParams(a.output.scale, a.output.zero_point)
        if a.weight is not None:
            np.testing.assert_array_equal(a.weight, b.weight)
            np.testing.assert_array_equal(a.bias, b.bias)
