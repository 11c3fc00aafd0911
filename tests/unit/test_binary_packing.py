"""Packed functions: bits, exactness in onnxruntime at every optimisation level, what is recognised, file size."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgepress.compress import zoo
from edgepress.compress.binarization.binarize import binarize
from edgepress.compress.binarization.records import BinarizeConfig
from edgepress.devices.layers import layer_table
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx.binary import shares
from edgepress.export.onnx.binary_expand import expand
from edgepress.export.onnx.binary_levels import signs_from_levels
from edgepress.export.onnx.binary_links import fold_links
from edgepress.export.onnx.check import run
from edgepress.export.onnx.compact import compact
from edgepress.export.onnx.functions import pack_codes, pack_signs, unpack_codes, unpack_signs
from edgepress.export.onnx.graph import Graph
from edgepress.export.onnx.infer import infer
from edgepress.runtime.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from support.lowering import make_hub
from torch import nn


@given(st.integers(1, 70), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_signs_and_codes_come_back(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signs, codes = rng.choice([-1, 1], (count, 3)), rng.integers(-2, 2, (count, 3))
    assert np.array_equal(unpack_signs(pack_signs(signs), (count, 3)), signs)
    assert np.array_equal(unpack_codes(pack_codes(codes), (count, 3)), codes)
    assert len(pack_signs(signs)) == -(-count * 3 // 8) and len(pack_codes(codes)) == -(
        -count * 3 // 4
    )


def test_bit_one_is_minus_one_least_significant_first() -> None:
    assert pack_signs(np.array([-1, 1, 1, 1, 1, 1, 1, 1, -1])).tolist() == [1, 1]
    assert pack_codes(np.array([-1, 0, 1, -2, 1])).tolist() == [0b10010011, 1]
    with pytest.raises(InputError, match="one bit"):
        pack_signs(np.array([1, 0]))
    with pytest.raises(InputError, match="two bits"):
        pack_codes(np.array([2]))


class Net(nn.Module):
    """Every kind of layer that packs: 2-D with stride and groups, 1x1, dense; sizes that end inside a byte."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv, self.norm1 = nn.Conv2d(6, 10, 3, 2, 1, groups=2), nn.BatchNorm2d(10)
        self.point, self.norm2 = nn.Conv2d(10, 5, 1, bias=False), nn.BatchNorm2d(5)
        self.dense, self.norm3, self.out = nn.Linear(80, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm0(self.stem(x)))
        x = torch.relu(self.norm1(self.conv(x)))
        x = torch.relu(self.norm2(self.point(x)))
        return self.out(torch.relu(self.norm3(self.dense(x.flatten(1)))))


def _binary(**options: Any) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    made = binarize(Net(), torch.zeros(2, 3, 8, 8), BinarizeConfig(**options))
    for _ in range(3):
        made.train()(torch.randn(16, 3, 8, 8))
    made.eval()
    return made, hubs.from_torch(made, [(1, 3, 8, 8)], binary=True)


def _operators(hub: Any) -> list[str]:
    return [n.op_type for n in hub.graph.node if n.op_type.startswith("Binary")]


CASES = [("react", 0), ("bnn", -1), ("xnorpp", 1), ("recu", 1), ("irnet", 1)]


@pytest.mark.parametrize(("name", "border"), CASES)
def test_the_packed_graph_is_the_torch_model(name: str, border: int) -> None:
    made, hub = _binary(operator=name, border=border)
    assert _operators(hub) == ["BinaryConv", "BinaryConv", "BinaryGemm"]
    assert shares(hub)[1] == (6 * 5 * 9 + 50 + 560, 34 + 7 + 70)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        expected = made(x).numpy()
    for model in (hub, compact(hub), expand(hub)):
        for optimise in (False, True):
            found = run(model, {"input": x.numpy()}, optimise)[0]
            assert np.allclose(found, expected, rtol=0, atol=2e-6)


def test_ties_stay_ties_when_the_engine_optimises() -> None:
    """Norms at rest make sums of exactly 0 decide: a scale folded into the weights would flip them."""
    torch.manual_seed(0)
    made = binarize(zoo.build("resnet8"), torch.zeros(2, 3, 32, 32)).eval()
    hub = hubs.from_torch(made, [(1, 3, 32, 32)], binary=True)
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = made(x).numpy()
    assert np.abs(run(compact(hub), {"input": x.numpy()}, True)[0] - expected).max() < 1e-5


@pytest.mark.parametrize(("name", "border"), [("adabin", 1), ("adabin-code", 0)])
def test_what_is_no_product_of_signs_stays_real(name: str, border: int) -> None:
    """AdaBin's two values have an offset, and what stands at its borders is neither of them."""
    made, hub = _binary(operator=name, border=border)
    assert not _operators(hub) and 1 not in shares(hub)


@pytest.mark.parametrize("border", [0, 1])
def test_zeros_and_ones_become_signs(border: int) -> None:
    made, hub = _binary(operator="dorefa-paper", border=border)
    assert _operators(hub) == ["BinaryConv", "BinaryConv", "BinaryGemm"]
    for seed in range(3):
        x = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 3, 8, 8)).astype("f4"))
        with torch.no_grad():
            expected = made(x).numpy()
        for model in (hub, fold_links(hub)):
            found = run(model, {"input": x.numpy()})[0]
            assert np.allclose(found, expected, rtol=0, atol=2e-6)


def test_one_half_is_zero_and_the_next_float_is_one() -> None:
    nodes = [
        helper.make_node("Greater", ["x", "half"], ["g"]),
        helper.make_node("Cast", ["g"], ["b"], to=1),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    weight = np.array([[1.0, -1], [1, 1], [-1, 1], [1, -1]], np.float32)
    hub = make_hub(nodes, {"x": (1, 4)}, ["y"], {"half": np.float32(0.5), "w": weight})
    graph = Graph.read(hub)
    assert signs_from_levels(graph) and not signs_from_levels(graph)
    above = np.nextafter(np.float32(0.5), np.float32(1))
    x = np.array([[0.5, above, -0.0, 3]], np.float32)
    infer(graph)
    right = run(hub, {"x": x})[0]
    assert right.tolist() == [[2, 0]] and np.array_equal(run(graph.write(), {"x": x})[0], right)


@pytest.mark.parametrize("name", ["xnor-paper", "xnorpp-paper"])
def test_runtime_scales_stand_behind_the_packed_layer(name: str) -> None:
    made, hub = _binary(operator=name)
    assert len(_operators(hub)) == 3
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        assert np.allclose(run(hub, {"input": x.numpy()})[0], made(x).numpy(), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def resnet20() -> Any:
    torch.manual_seed(0)
    made = binarize(zoo.build("resnet20"), torch.zeros(2, 3, 32, 32), BinarizeConfig("bnn")).eval()
    return hubs.from_torch(made, [(1, 3, 32, 32)], binary=True)


def test_the_file_is_its_bits_and_little_more(resnet20: Any) -> None:
    """bits / 8 + the real rest + 2 KiB + 120 bytes per node."""
    for hub in (resnet20, _binary()[1]):
        size = len(compact(hub).SerializeToString())
        assert size <= sum(n for _, n in shares(hub).values()) + 2048 + 120 * len(hub.graph.node)


def test_the_layer_table_counts_bits_and_binary_products(resnet20: Any) -> None:
    hub = resnet20
    table = layer_table(compact(hub))
    assert table.binary_macs == 40_108_032
    assert table.macs - table.binary_macs == 442_368 + 640 + 4096  # stem, classifier, mean
    assert shares(hub)[1] == (267_264, 33_408)
    row = next(r for r in table.layers if r.operator == "edgepress.BinaryConv")
    assert (row.weight_bits, row.activation_bits, row.binary_macs) == (1, 1, 32 * 32 * 16 * 144)
    assert row.bit_operations == row.macs and row.parameters == 16 * 144 + 32
    assert row.weight_bytes == 16 * 144 // 8 + 128


def test_the_expanded_graph_holds_int8_signs_and_no_functions() -> None:
    _, hub = _binary()
    plain = expand(hub)
    assert not plain.functions and {n.domain for n in plain.graph.node} == {""}
    weights = [
        t
        for t in plain.graph.initializer
        if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1
    ]
    assert len(weights) == 3
    for tensor in weights:
        assert set(np.unique(onnx.numpy_helper.to_array(tensor))) == {-1, 1}
    assert expand(plain) is plain
