"""QONNX files: quantizers by their definition, and two trained networks as packed graph, TFLite and thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx.binary import shares
from edgepress.export.onnx.binary_expand import expand
from edgepress.export.onnx.check import open_reference, run
from edgepress.export.onnx.compact import compact
from edgepress.export.onnx.integer_chain import integer_chain
from edgepress.export.onnx.qonnx import expand_quantizers, has_quantizers
from edgepress.export.onnx.qonnx_proof import exchanged
from edgepress.export.onnx.to_qonnx import to_qonnx
from edgepress.export.tflite import to_tflite
from edgepress.runtime.errors import EdgepressError, InputError
from edgepress.runtime.session import open_session, run_real
from onnx import TensorProto, helper, numpy_helper
from support.binary_hubs import HubMaker, inputs_of, lce_session
from support.data import need_data
from support.lowering import make_hub
from support.quantized import quantize
from torch import nn


def _quantizer(op: str, constants: dict[str, Any], opset: int = 9, **attributes: Any) -> Any:
    node = helper.make_node(op, ["x", *constants], ["y"], domain="onnx.brevitas", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 101])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 101])],
        [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("onnx.brevitas", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=6)


X = np.linspace(-3, 3, 101, dtype=np.float32)[None]


def _run(model: Any) -> np.ndarray:
    plain = expand_quantizers(model)
    assert not has_quantizers(plain)
    onnx.checker.check_model(plain)
    return np.asarray(open_reference(plain).run(None, {"x": X})[0])


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_bipolar(scale: float) -> None:
    found = _run(_quantizer("BipolarQuant", {"s": scale}))
    assert np.array_equal(found, np.where(X >= 0, scale, -scale))
    assert found[0, 50] == scale  # x = 0


@pytest.mark.parametrize("opset", [9, 13])
@pytest.mark.parametrize(
    ("signed", "narrow", "low", "high"), [(1, 1, -1, 1), (1, 0, -2, 1), (0, 0, 0, 3), (0, 1, 0, 2)]
)
def test_quant_of_two_bits(signed: int, narrow: int, low: int, high: int, opset: int) -> None:
    constants = {"s": 0.5, "z": 1.0, "b": 2.0}
    found = _run(_quantizer("Quant", constants, opset, signed=signed, narrow=narrow))
    expected = (np.clip(np.round(X / 0.5 + 1), low, high) - 1) * 0.5
    assert np.array_equal(found, expected.astype(np.float32))


def test_what_is_not_understood_is_refused() -> None:
    with pytest.raises(EdgepressError, match="rounding mode HALF"):
        _run(_quantizer("Quant", {"s": 1, "z": 0, "b": 2}, rounding_mode="HALF"))
    with pytest.raises(EdgepressError, match="Trunc"):
        _run(_quantizer("Trunc", {"s": 1}))
    model = _quantizer("BipolarQuant", {"s": 1})
    model.graph.node[0].input[1] = "x"
    with pytest.raises(InputError, match="scale of BipolarQuant"):
        _run(model)


def _brevitas_net() -> Any:
    """Real stem, a binary convolution with scales per channel, a binary dense layer with one scale."""
    import brevitas.nn as qnn
    from brevitas.core.quant import BinaryQuant
    from brevitas.core.scaling import ScalingImplType
    from brevitas.inject.enum import ScalingPerOutputType, StatsOp
    from brevitas.quant.binary import (
        SignedBinaryActPerTensorConst,
        SignedBinaryWeightPerTensorConst,
    )

    class PerChannel(SignedBinaryWeightPerTensorConst):  # type: ignore[misc]
        tensor_quant = BinaryQuant
        scaling_impl_type = ScalingImplType.STATS
        scaling_stats_op = StatsOp.AVE
        scaling_per_output_type = ScalingPerOutputType.CHANNEL

    sign = {"act_quant": SignedBinaryActPerTensorConst}
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        qnn.QuantIdentity(**sign),
        qnn.QuantConv2d(8, 12, 3, padding=1, bias=False, weight_quant=PerChannel),
        nn.BatchNorm2d(12),
        qnn.QuantIdentity(**sign),
        nn.Flatten(),
        qnn.QuantLinear(12 * 36, 5, bias=True, weight_quant=SignedBinaryWeightPerTensorConst),
    )


def test_binary_layers_of_brevitas(tmp_path: Path) -> None:
    from brevitas.export import export_qonnx

    net = _brevitas_net()
    for _ in range(3):
        net(torch.randn(8, 1, 6, 6))
    x, path = torch.randn(1, 1, 6, 6), tmp_path / "net.onnx"
    export_qonnx(net.eval(), args=x, export_path=str(path), dynamo=False, opset_version=17)
    hub = hubs.from_onnx(path)
    kinds = [n.op_type for n in hub.graph.node]
    assert kinds == ["Conv", "BinaryConv", "Flatten", "BinaryGemm"]
    with torch.no_grad():
        expected = net(x).numpy()
    found = _answers(compact(hub), x.numpy())
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


# ------------------------------------------------------- trained networks, 5,000 images


def _images() -> tuple[np.ndarray, np.ndarray]:
    data = np.load(need_data("mnist/mnist_test_even.npz"))
    return (data["x_test"][:, None] / 255).astype(np.float32), data["y_test"]


def _answers(model: Any, x: np.ndarray) -> np.ndarray:
    session = open_reference(model, optimise=True)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in x])


@pytest.mark.parametrize(
    ("name", "right", "bits", "operator"),
    [("1w1a", 4653, 1, "BinaryGemm"), ("2w2a", 4831, 2, "TernaryGemm")],
)
def test_trained_networks_give_the_same_everywhere(
    name: str, right: int, bits: int, operator: str, tmp_path: Path
) -> None:
    hub = hubs.from_onnx(need_data(f"models/qonnx/mnist_tfc_{name}.qonnx.onnx"))
    packed = compact(hub)
    assert [n.op_type for n in hub.graph.node if n.domain] == [operator] * 4
    widths = shares(hub)
    assert widths[bits] == (59_008, 59_008 * bits // 8)
    allowed = sum(n for _, n in widths.values()) + 2048 + 120 * len(hub.graph.node)
    assert len(packed.SerializeToString()) <= allowed
    x, labels = _images()
    answers = _answers(packed, x)
    assert int((answers.argmax(1) == labels).sum()) == right and len(x) == 5000
    assert np.array_equal(integer_chain(hub).run(x), answers)
    path = tmp_path / "net.tflite"
    path.write_bytes(
        to_tflite(expand(hub), precision="weight-only", metadata=hubs.read_metadata(hub))
    )
    session = open_session(path)
    found = np.concatenate([run_real(session, [row[None]])[0] for row in x])
    assert np.array_equal(found.argmax(1), answers.argmax(1))
    if bits == 1:
        lce = lce_session(hub, tmp_path)
        assert lce.artifact.file_bytes <= widths[1][1] + widths[32][1] + 2048 + 120 * 16
        found = np.concatenate([run_real(lce, [row[None]])[0] for row in x])
        assert np.array_equal(found, answers)  # not only the predictions: every output
        assert int(np.asarray(integer_chain(hub).stages[0].staircase.direction).min()) == -1  # type: ignore[union-attr]


# ----------------------------------------------------------------------- export


def test_packed_layers_come_back_from_qonnx_bit_for_bit() -> None:
    maker = HubMaker((1, 40, 6, 6)).conv((33, 40, 3, 3), pads=[1] * 4, strides=[2, 2])
    maker.node("PRelu", np.full((33, 1, 1), 0.3, np.float32)).conv((4, 33, 3, 3))
    hub = maker.node("Flatten", axis=1).dense(3, 4).hub()
    made = to_qonnx(hub)
    kinds = [node.op_type for node in made.graph.node if node.domain]
    assert kinds == ["BipolarQuant"] * 6
    assert {node.domain for node in made.graph.node} == {"", "qonnx.custom_op.general"}
    assert not made.functions and has_quantizers(made)
    again = hubs.from_onnx(made.SerializeToString())
    shapes = [[n.op_type for n in model.graph.node] for model in (hub, again)]
    assert shapes[0] == shapes[1] == ["BinaryConv", "PRelu", "BinaryConv", "Flatten", "BinaryGemm"]
    x = inputs_of(hub)
    assert np.array_equal(run(hub, {"x": x})[0], run(again, {"x": x})[0])
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in made.graph.initializer}
    (weight,) = (v for v in stored.values() if v.shape == (33, 40, 3, 3))
    assert weight.dtype == np.float32 and set(np.unique(weight)) == {-1.0, 1.0}


@pytest.mark.parametrize("name", ["1w1a", "2w2a"])
def test_trained_networks_come_back_from_qonnx(name: str) -> None:
    hub = hubs.from_onnx(need_data(f"models/qonnx/mnist_tfc_{name}.qonnx.onnx"))
    data, remarks = exchanged(hub, hubs.read_metadata(hub))
    assert "bit for bit on 3 of 3" in remarks[0]
    x = _images()[0][:200]
    assert np.array_equal(_answers(hubs.from_onnx(data), x), _answers(hub, x))


def test_int8_pairs_become_quantizers_of_eight_bits() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", pads=[1] * 4)]
    hub = make_hub(nodes, {"x": (1, 3, 5, 5)}, ["y"], {"w": weight, "b": weight[:, 0, 0, 0]})
    values = np.random.default_rng(1).normal(size=(1, 3, 5, 5)).astype(np.float32)
    quantized = quantize(hub, [{"x": values}])
    made = to_qonnx(quantized)
    quants = [node for node in made.graph.node if node.op_type == "Quant"]
    assert len(quants) == 3  # input, weight, output
    assert not {"QuantizeLinear", "DequantizeLinear"} & {n.op_type for n in made.graph.node}
    found = run(hubs.from_onnx(made.SerializeToString()), {"x": values})[0]
    assert np.abs(found - run(quantized, {"x": values})[0]).max() < 1e-5


def test_plain_floats_are_no_qonnx() -> None:
    hub = HubMaker((1, 4)).node("Relu").hub()
    with pytest.raises(EdgepressError, match="neither one-bit nor quantized"):
        to_qonnx(hub)
