"""torch -> hub: folded, named, repeatable, proven equal; the module stays as it was, what cannot be is refused."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgepress.export.onnx import torch_export
from edgepress.export.onnx.hub import (
    from_onnx,
    from_torch,
    load,
    read_metadata,
    save,
    with_normalisation,
)
from edgepress.runtime.artifact import Normalisation
from edgepress.runtime.errors import InputError, ParityError, UsageError
from support.lowering import run_onnx
from support.qat_nets import Residual
from torch import Tensor, nn

torch.set_num_threads(1)


class Two(nn.Module):
    """Two inputs, a tuple and a dict of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.dense = nn.Linear(5, 4)

    def forward(self, image: Tensor, vector: Tensor) -> Any:
        a, b = self.conv(image).mean((2, 3)), self.dense(vector)
        return a + b, {"gate": torch.sigmoid(a), "raw": b}


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return self.act(x + self.layer(y, y, y, need_weights=False)[0])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.lstm = nn.LSTM(12, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.gru(x.transpose(1, 2))
        y, (h, _) = self.lstm(y)
        return self.head(y[:, -1] + h[-1])


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x - 1


def trained(build: Any, seed: int = 0) -> nn.Module:
    """A module whose batch normalisations have seen something."""
    torch.manual_seed(seed)
    model = build()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


@functools.cache
def residual() -> tuple[nn.Module, onnx.ModelProto]:
    model = trained(Residual)
    return model, from_torch(model, [(1, 3, 16, 16)])


def outputs(model: nn.Module, *inputs: np.ndarray) -> list[np.ndarray]:
    return torch_export.run_torch(model, [torch.from_numpy(x) for x in inputs])


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_batch_normalisation_is_folded_and_nodes_are_called_like_modules() -> None:
    model, hub = residual()
    names = {node.name: node.op_type for node in hub.graph.node}
    assert "BatchNormalization" not in names.values()
    assert names["conv1"] == names["layer1.0.conv2"] == "Conv" and names["linear"] == "Gemm"
    constants = {t.name for t in hub.graph.initializer}
    assert {"conv1.weight", "conv1.bias", "layer1.1.conv1.weight", "linear.bias"} <= constants
    x = noise(1, 3, 16, 16)
    (wanted,), (found,) = outputs(model, x), run_onnx(hub, {"input": x})
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_form_of_the_hub() -> None:
    _, hub = residual()
    onnx.checker.check_model(hub, full_check=True)
    assert hub.ir_version == 10 and [(o.domain, o.version) for o in hub.opset_import] == [("", 21)]
    shown = {v.name: v for v in [*hub.graph.value_info, *hub.graph.output]}
    for node in hub.graph.node:
        for name in node.output:
            dims = shown[name].type.tensor_type.shape.dim
            assert all(d.dim_value > 0 for d in dims), name
    names = [node.name for node in hub.graph.node]
    assert len(set(names)) == len(names)
    assert read_metadata(hub).extra["exporter"] == "dynamo"


def test_a_hub_taken_in_again_stays_as_it_is() -> None:
    """Normalisation has reached its fixed point: same nodes, names, constants and shapes."""
    for hub in (residual()[1], from_torch(trained(Attention), [(1, 6, 8)])):
        again = from_onnx(hub.SerializeToString())
        assert list(again.graph.node) == list(hub.graph.node)
        assert list(again.graph.initializer) == list(hub.graph.initializer)
        assert list(again.graph.value_info) == list(hub.graph.value_info)


def test_same_model_same_bytes() -> None:
    _, hub = residual()
    again = from_torch(trained(Residual), [(1, 3, 16, 16)])
    assert again.SerializeToString(deterministic=True) == hub.SerializeToString(deterministic=True)


def test_the_module_keeps_mode_weights_and_gradients() -> None:
    model = trained(Residual)
    model.train()
    model.layer1.eval()
    modes = [m.training for m in model.modules()]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.conv1.weight.grad = torch.ones_like(model.conv1.weight)
    from_torch(model, [(1, 3, 16, 16)])
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert model.conv1.weight.grad is not None and bool((model.conv1.weight.grad == 1).all())


@pytest.mark.parametrize(
    ("build", "shape"),
    [(Attention, (1, 6, 8)), (Recurrent, (1, 3, 7))],
    ids=["attention", "recurrent"],
)
def test_attention_and_recurrence(build: Any, shape: tuple[int, ...]) -> None:
    model = trained(build)
    hub = from_torch(model, [shape])
    kinds = {node.op_type for node in hub.graph.node}
    if build is Attention:
        assert {"LayerNormalization", "Gelu", "Softmax"} <= kinds
    else:
        assert {"GRU", "LSTM"} <= kinds
    x = noise(*shape)
    np.testing.assert_allclose(run_onnx(hub, {"input": x})[0], outputs(model, x)[0], atol=2e-5)


def test_several_inputs_and_outputs() -> None:
    model = trained(Two)
    hub = from_torch(model, [(1, 3, 6, 6), (1, 5)])
    assert [i.name for i in hub.graph.input] == ["input_0", "input_1"]
    assert [o.name for o in hub.graph.output] == ["output_0", "output_1", "output_2"]
    image, vector = noise(1, 3, 6, 6), noise(1, 5)
    found = run_onnx(hub, {"input_0": image, "input_1": vector})
    for a, b in zip(found, outputs(model, image, vector), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_asked_names_are_given_even_where_a_module_has_them() -> None:
    model = trained(Two)
    names = {"input_names": ["conv", "x"], "output_names": ["dense", "gate", "raw"]}
    hub = from_torch(model, [(1, 3, 6, 6), (1, 5)], **names)
    assert [i.name for i in hub.graph.input] == names["input_names"]
    assert [o.name for o in hub.graph.output] == names["output_names"]
    with pytest.raises(UsageError, match="3 different output names"):
        from_torch(model, [(1, 3, 6, 6), (1, 5)], output_names=["a", "a", "b"])


@pytest.mark.parametrize(("channels", "shape"), [(3, (1, 3, 16, 16)), (1, (1, 3, 16, 16))])
def test_the_hub_takes_raw_values(channels: int, shape: tuple[int, ...]) -> None:
    mean, std = (120.0, 80.0, 100.0)[:channels], (60.0, 50.0, 40.0)[:channels]
    model, plain = residual()
    normalisation = Normalisation(mean, std)
    hub = from_torch(model, [shape], normalisation=normalisation)
    assert hub.graph.node[0].name == "input_normalisation"
    assert read_metadata(hub).normalisation == Normalisation(mean, std, folded=True)
    raw = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    tail = (-1, 1, 1) if channels > 1 else (1, 1, 1)
    value = (raw - np.reshape(mean, tail)) / np.reshape(std, tail)
    wanted = outputs(model, value.astype(np.float32))[0]
    np.testing.assert_allclose(run_onnx(hub, {"input": raw})[0], wanted, atol=1e-4)
    assert "input_normalisation" not in {
        n.name for n in plain.graph.node
    }  # the given hub is untouched


def test_normalisation_of_vectors_and_of_the_wrong_size() -> None:
    model = trained(lambda: nn.Linear(4, 2))
    hub = from_torch(model, [(1, 4)], normalisation=Normalisation((1.0, 2.0, 3.0, 4.0), (2.0,)))
    assert [n.op_type for n in hub.graph.node] == ["Mul", "Add", "Gemm"]
    raw = noise(1, 4)
    wanted = outputs(model, ((raw - np.float32([1, 2, 3, 4])) / 2).astype(np.float32))[0]
    np.testing.assert_allclose(run_onnx(hub, {"input": raw})[0], wanted, atol=1e-5)
    for bad in (((1.0, 2.0), (1.0,)), ((1.0,), (0.0,)), ((float("nan"),), (1.0,))):
        with pytest.raises(UsageError):
            with_normalisation(hub, Normalisation(*bad))
    with pytest.raises(UsageError, match="axis 0"):
        with_normalisation(hub, Normalisation((0.0,), (1.0,), axis=0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    model = trained(Residual)
    with torch.no_grad():
        model.layer1[0].conv2.weight[0, 0, 0, 0] = value
    with pytest.raises(InputError, match="layer1.0.conv2.weight.*(NaN|infinite)"):
        from_torch(model, [(1, 3, 16, 16)])


def test_inputs_are_made_where_the_model_lies() -> None:
    assert torch_export.device_of(nn.Linear(2, 2, device="meta")).type == "meta"
    assert torch_export.device_of(nn.BatchNorm1d(2, affine=False, device="meta")).type == "meta"
    assert torch_export.device_of(nn.ReLU()).type == "cpu"


def test_a_branch_on_the_data_is_refused() -> None:
    with pytest.raises(InputError, match="depends on the data"):
        from_torch(Branching(), [(1, 4)])


def test_inputs_that_do_not_fit_are_one_message() -> None:
    with pytest.raises(InputError, match="inputs of shape"):
        from_torch(trained(Residual), [(1, 5, 16, 16)])


def test_tracing_takes_over_where_torch_export_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(model: Any, inputs: Any) -> Any:
        raise RuntimeError("no such operator")

    model, usual = residual()
    monkeypatch.setattr(torch_export, "_dynamo", fails)
    hub = from_torch(model, [(1, 3, 16, 16)])
    assert read_metadata(hub).extra["exporter"] == "torchscript"
    same = {(n.name, n.op_type) for n in hub.graph.node} & {
        (n.name, n.op_type) for n in usual.graph.node
    }
    assert ("layer1.0.conv2", "Conv") in same and ("linear", "Gemm") in same
    x = noise(1, 3, 16, 16)
    np.testing.assert_allclose(run_onnx(hub, {"input": x})[0], outputs(model, x)[0], atol=2e-5)
    monkeypatch.setattr(torch_export, "_torchscript", fails)
    with pytest.raises(InputError, match="cannot export.*no such operator"):
        from_torch(model, [(1, 3, 16, 16)])


def test_a_wrong_conversion_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch_export._dynamo

    def wrong(model: Any, inputs: Any) -> Any:
        with torch.no_grad():
            model.bias += 1e-3
        return real(model, inputs)

    monkeypatch.setattr(torch_export, "_dynamo", wrong)
    with pytest.raises(ParityError, match="differs from the reference"):
        from_torch(trained(lambda: nn.Linear(4, 2)), [(1, 4)])


def test_saved_and_loaded_byte_for_byte(tmp_path: Any) -> None:
    _, hub = residual()
    first = save(hub, tmp_path / "a.onnx")
    assert load(first).SerializeToString() == hub.SerializeToString()
    assert save(load(first), tmp_path / "b.onnx").read_bytes() == first.read_bytes()
