"""prepare: unmodified modules become quantized graphs that compute nearly the same, with the right ties."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from edgepress.compress.quantization import qat
from edgepress.runtime.artifact import Normalisation
from edgepress.runtime.errors import InputError, UnsupportedOperatorError, UsageError
from support import qat_nets
from torch import nn

torch.set_num_threads(1)


def prepared(name: str, **options: object) -> tuple[nn.Module, nn.Module]:
    net = qat_nets.build(name)
    model = qat.prepare(net, qat_nets.batch(name, 2), qat.QatConfig(**options))
    qat.calibrate(model, [qat_nets.batch(name, 16)])
    return net, model.eval()


def tied(model: nn.Module) -> list[set[str]]:
    """Operator kinds of each class that holds several tensors."""
    return [set(group.kinds) for group in model.classes if len(group.tensors) > 1]


@pytest.mark.parametrize("name", qat_nets.NETS)
def test_int8_graph_stays_close_to_the_float_module(name: str) -> None:
    net, model = prepared(name)
    x = qat_nets.batch(name, 16)
    with torch.no_grad():
        wanted, found = net(x), model(x)
    # 8 bits: 1/256 of the range per tensor, and about ten tensors in a row.
    assert float((wanted - found).abs().max()) < 0.02 * float(wanted.abs().max())
    assert float((wanted - found).abs().max()) > 0  # quantizers are in place


def test_the_float_module_is_left_as_it_is() -> None:
    net = qat_nets.build("residual")
    before = copy.deepcopy(net.state_dict())
    model = qat.prepare(net, qat_nets.batch("residual", 2))
    qat.calibrate(model, [qat_nets.batch("residual", 4)])
    loss = model.train()(qat_nets.batch("residual", 4)).square().sum()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not net.training


def test_concatenation_shares_one_scale_and_addition_does_not() -> None:
    _, concat = prepared("concat")
    assert {"Relu", "Conv", "Concat"} in tied(concat)
    _, residual = prepared("residual")
    assert {"Relu", "Slice", "Pad"} in tied(residual)
    additions = [g for g in residual.classes if g.kinds == ("Relu",)]
    assert len(additions) == 4  # with the one the shortcut reads: each of five ReLUs has its own
    scales = {row.output.scale for row in qat.quantization_of(residual) if row.weight is None}
    assert len(scales) == len(residual.classes)


def test_only_the_gate_in_a_concatenation_needs_an_extra_quantize() -> None:
    extra = {name: prepared(name)[1].requantized for name in ("residual", "concat", "gated")}
    assert extra["residual"] == extra["concat"] == ()
    assert len(extra["gated"]) == 1
    assert "Sigmoid" in extra["gated"][0] and "Concat" in extra["gated"][0]


def test_fused_activations_have_no_quantizer_in_front() -> None:
    _, model = prepared("depthwise")
    tensors = [name for group in model.classes for name in group.tensors]
    # Input, three ReLU6, ReLU, mean, logits; no convolution output.
    assert [g.kinds[0] for g in model.classes] == [
        "Input",
        *["Clip"] * 3,
        "Relu",
        "ReduceMean",
        "Gemm",
    ]
    assert len(tensors) == 7


def test_layers_keep_their_names_and_a_layer_called_twice_its_weights() -> None:
    _, model = prepared("residual")
    assert "layer1.0.conv1" in model.layers()
    _, shuffled = prepared("shuffle")
    first, second = (m for n, m in shuffled.layers().items() if n.startswith("twice"))
    assert first.weight is second.weight
    rows = {r.name: r for r in qat.quantization_of(shuffled) if r.weight is not None}
    a, b = (rows[n] for n in rows if n.startswith("twice"))
    np.testing.assert_array_equal(a.weight, b.weight)
    assert a.input.scale != b.input.scale


def test_normalised_input_starts_the_graph_at_raw_values_exactly() -> None:
    norm = Normalisation((0.4 * 255, 0.5 * 255, 0.45 * 255), (60.0, 62.0, 64.0))
    net = qat_nets.build("residual")
    raw = torch.randint(0, 256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(3)).float()
    mean = torch.tensor(norm.mean).reshape(1, -1, 1, 1)
    std = torch.tensor(norm.std).reshape(1, -1, 1, 1)
    x = (raw - mean) / std
    config = qat.QatConfig(normalisation=norm, input_range=(0.0, 255.0))
    model = qat.prepare(net, x[:2], config)
    qat.calibrate(model, [x])
    rows = qat.quantization_of(model.eval())
    first = rows[0]
    assert first.name == "input_normalisation"
    assert first.input.scale == (1.0,) and first.input.zero_point == (-128,)
    np.testing.assert_array_equal(first.weight.reshape(-1), [127, 127, 127])
    np.testing.assert_allclose(first.weight_scale * 127, 1 / np.array(norm.std), rtol=1e-6)
    assert not any(
        n.startswith("network.input_normalisation")
        for n, p in model.named_parameters()
        if p.requires_grad
    )
    model.raw_inputs(True)
    from_raw = model(raw)
    model.raw_inputs(False)
    # The raw values come back as integers exactly, whatever float32 made of (x - m) / s * s + m.
    assert torch.equal(model(x), from_raw)


@pytest.mark.parametrize("shape", [(12,), (6, 10)])
def test_normalisation_of_features_and_series(shape: tuple[int, ...]) -> None:
    channels = shape[0]
    net = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 4)).eval()
    norm = Normalisation(tuple(np.arange(channels) * 0.5), tuple(1.0 + np.arange(channels) * 0.1))
    x = torch.randn(32, *shape, generator=torch.Generator().manual_seed(0))
    for io in ("int8", "float"):
        model = qat.prepare(net, x[:2], qat.QatConfig(normalisation=norm, io=io))
        qat.calibrate(model, [x])
        with torch.no_grad():
            difference = (net(x) - model.eval()(x)).abs().max() / net(x).abs().max()
        assert float(difference) < 0.05, (
            io
        )  # one coarse 8-bit step on raw values of very unlike channels
        assert model.classes[0].is_input


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Sorts(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(x, 1)


class Pads(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(x, (1, 1, 1, 1), "constant", 3.0)


@pytest.mark.parametrize(
    ("net", "error", "word"),
    [
        (Branches(), InputError, "cannot be traced"),
        (Sorts(), UnsupportedOperatorError, "cumsum"),
        (Pads(), UnsupportedOperatorError, "padding"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3, padding_mode="circular")),
            UnsupportedOperatorError,
            "circular",
        ),
        (nn.Sequential(nn.LSTM(8, 8)), UnsupportedOperatorError, "LSTM"),
        (nn.Sequential(nn.AvgPool2d(2, padding=1)), UnsupportedOperatorError, "average pooling"),
    ],
)
def test_what_int8_cannot_do_is_refused_by_name(net: nn.Module, error: type, word: str) -> None:
    x = (
        torch.zeros(1, 8, 8)
        if isinstance(net, nn.Sequential) and "LSTM" in word
        else torch.zeros(1, 3, 8, 8)
    )
    with pytest.raises(error, match=word) as caught:
        qat.prepare(net, x)
    assert caught.value.hint


def test_bad_inputs_are_refused() -> None:
    net = qat_nets.build("residual")
    with pytest.raises(InputError, match="does not run"):
        qat.prepare(net, torch.zeros(1, 5, 16, 16))
    with pytest.raises(InputError, match="normalisation"):
        qat.prepare(
            net,
            torch.zeros(1, 3, 16, 16),
            qat.QatConfig(normalisation=Normalisation((0.0,) * 4, (1.0,) * 4)),
        )
    model = qat.prepare(net, torch.zeros(1, 3, 16, 16))
    with pytest.raises(UsageError, match="not set"):
        qat.quantization_of(model)
    with pytest.raises(InputError, match="empty"):
        qat.calibrate(model, [])
    with pytest.raises(InputError, match="not finite"):
        qat.calibrate(model, [torch.full((1, 3, 16, 16), float("nan"))])
    with pytest.raises(UsageError, match="io"):
        qat.QatConfig(io="int4")
