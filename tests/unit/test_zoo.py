"""The zoo: published sizes and accuracies, traceable graphs, clear errors."""

from __future__ import annotations

import pytest
import torch
from edgepress.compress import datasets, zoo
from edgepress.compress.evaluation import evaluate
from edgepress.compress.weights import load_weights
from edgepress.devices.layers import layer_table
from edgepress.runtime.errors import UsageError
from support.data import data_root, need_data
from torch import fx, nn

PARAMETERS = {
    "resnet20": 269_722,  # with the weights' own file; 0.27 M in the paper
    "resnet32": 464_154,
    "resnet44": 658_586,  # 0.66 M in the paper
    "resnet56": 853_018,  # 0.85 M in the paper
    "har_gru": 8_407,
}
CONVOLUTIONS_AND_LINEAR = {"vgg_small": 4_656_512}
MLPERF_FILES = {
    "resnet8": "ic_resnet8_float",
    "ds_cnn": "kws_dscnn_float",
    "mobilenet_v1_025": "vww_mobilenetv1_025_float",
    "autoencoder": "ad_fcae_float",
}
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)


def _built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return zoo.build(name)


def _example(name: str) -> torch.Tensor:
    return torch.randn(2, *zoo.entry(name).input_shapes[0], generator=torch.Generator())


def _folded_parameters(model: nn.Module) -> int:
    """Weights of layers, and one bias per output: what is left when batch norm is folded."""
    layers = [m for m in model.modules() if isinstance(m, LAYERS)]
    return sum(layer.weight.numel() + layer.weight.shape[0] for layer in layers)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name: str) -> None:
    assert sum(p.numel() for p in _built(name).parameters()) == PARAMETERS[name]


def test_vgg_small_weights_are_the_published_ones() -> None:
    layers = [m for m in _built("vgg_small").modules() if isinstance(m, LAYERS)]
    assert sum(m.weight.numel() for m in layers) == CONVOLUTIONS_AND_LINEAR["vgg_small"]


@pytest.mark.parametrize("name", MLPERF_FILES)
def test_mlperf_networks_are_as_large_as_the_reference_files(name: str) -> None:
    file = need_data(f"models/mlperf_tiny/{MLPERF_FILES[name]}.tflite")
    assert _folded_parameters(_built(name)) == layer_table(file).parameters


@pytest.mark.parametrize("name", zoo.names())
def test_traced_by_fx_it_computes_the_same(name: str) -> None:
    model = _built(name).eval()
    traced = fx.symbolic_trace(model)
    example = _example(name)
    assert torch.equal(traced(example), model(example))


@pytest.mark.parametrize("name", zoo.names())
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = _built(name)
    model(_example(name)).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_every_default_task_feeds_the_published_shape() -> None:
    root = data_root()
    for name in zoo.names():
        entry = zoo.entry(name)
        if entry.default_task in ("", "toy", "watch-har") or root is not None:
            task = datasets.task(entry.default_task, root) if entry.default_task else None
            assert task is None or task.input_shapes == entry.input_shapes


def test_built_for_a_task_it_has_the_task_s_outputs() -> None:
    task = datasets.task("toy")
    assert zoo.build_for("resnet8", task)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    assert zoo.build_for("ds_cnn", task, classes=5, width=8).linear.out_features == 5


def test_a_network_for_another_kind_of_input_is_refused() -> None:
    with pytest.raises(UsageError, match="har_cnn takes inputs of 2 axes"):
        zoo.build_for("har_cnn", datasets.task("toy"))


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean resnet20"):
        zoo.build("resnet_20")


def test_an_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no option 'widht'.*\n.*classes, channels, width"):
        zoo.build("har_cnn", widht=3)
    with pytest.raises(UsageError, match="no activation 'gelu'"):
        zoo.build("vgg_small", activation="gelu")


@pytest.mark.parametrize(("name", "right"), [("resnet20", 915), ("resnet32", 928)])
def test_given_weights_reproduce_the_published_accuracy(name: str, right: int) -> None:
    """Of the 1,000 exact CIFAR-10 test images (91.5 % and 92.8 %)."""
    weights = need_data(f"models/cifar10_resnet/{name}_cifar10.npz")
    model = zoo.build(name)
    load_weights(model, weights)
    score = evaluate(model, datasets.task("cifar10", data_root()), "test")
    assert (score.samples, round(score.value * 10)) == (1000, right)
