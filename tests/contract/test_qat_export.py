"""brevitas == hub in onnxruntime == TFLite: every number verbatim, and what they compute within the parity contract."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgepress.compress.quantization import qat
from edgepress.export.onnx import brevitas_import
from edgepress.export.tflite import to_tflite
from edgepress.export.verbatim import compare
from edgepress.runtime.artifact import Normalisation
from edgepress.runtime.errors import InputError
from edgepress.runtime.tflite_schema import read_model
from support import qat_nets

torch.set_num_threads(1)

SAMPLES = 64


def normalisation(channels: int) -> Normalisation:
    return Normalisation(
        tuple(0.25 * i for i in range(channels)), tuple(1.0 + 0.125 * i for i in range(channels))
    )


@functools.cache
def trained(name: str, normalised: bool = True) -> tuple[Any, Any]:
    """A net after a few steps of training with quantizers, and its hub."""
    net = qat_nets.build(name)
    x = qat_nets.batch(name, SAMPLES)
    config = qat.QatConfig(normalisation=normalisation(x.shape[1]) if normalised else None)
    model = qat.prepare(net, x[:2], config)
    qat.calibrate(model, [x[:32], x[32:]])
    qat.schedule(model, 6)
    optimiser = torch.optim.Adam(model.train().parameters(), 1e-3)
    with torch.no_grad():
        wanted = net(x)
    for _ in range(6):
        loss = (model(x) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    qat.finalize(model, [x])
    return model, brevitas_import.from_brevitas(model)


def raw_and_outputs(name: str, model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Raw inputs as the file takes them, and what the brevitas model gives for them."""
    x = qat_nets.batch(name, SAMPLES, seed=5)
    with torch.no_grad():
        wanted = model(x).numpy()
    given = model.config.normalisation
    if given is None:
        return x.numpy(), wanted
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, std = (np.float32(v).reshape(shape) for v in (given.mean, given.std))
    return (x.numpy() * std + mean).astype(np.float32), wanted


def step_of_output(model: Any) -> float:
    name = next(g.name for g in model.classes if g.is_output)
    rows = {row.name: row for row in qat.quantization_of(model) if row.weight is None}
    return rows[name].output.scale[0]


@pytest.mark.parametrize("name", qat_nets.NETS)
def test_hub_holds_every_number_and_computes_the_same(name: str) -> None:
    model, hub = trained(name)
    onnx.checker.check_model(hub, full_check=True)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in hub.graph.initializer}
    makers = {n.output[0]: n for n in hub.graph.node}
    layers = {n.name: n for n in hub.graph.node if n.op_type in ("Conv", "ConvTranspose", "Gemm")}
    rows = [row for row in qat.quantization_of(model) if row.weight is not None]
    assert set(layers) == {row.name for row in rows}
    for row in rows:
        pairs = [(row.weight, row.weight_scale), (row.bias, row.bias_scale)]
        for source, (values, scale) in zip(layers[row.name].input[1:], pairs, strict=True):
            dequantize = makers[source]
            assert dequantize.op_type == "DequantizeLinear"
            np.testing.assert_array_equal(stored[dequantize.input[0]], values)
            np.testing.assert_array_equal(stored[dequantize.input[1]].reshape(-1), scale)
            assert not stored[dequantize.input[2]].any()
    session = onnxruntime.InferenceSession(hub.SerializeToString())
    raw, wanted = raw_and_outputs(name, model)
    found = np.concatenate([session.run(None, {"input": x[None]})[0] for x in raw])
    steps = np.abs(found - wanted) / step_of_output(model)
    # The same float32 operations in another order: a sum may fall on the other side of a tie.
    assert steps.max() < 1.01 and (steps < 0.01).mean() >= 0.99


@pytest.mark.parametrize("name", ["residual", "depthwise", "concat"])
def test_tflite_holds_every_number_without_an_extra_quantize(name: str) -> None:
    model, hub = trained(name)
    report = compare(qat.quantization_of(model), to_tflite(hub))
    assert {match.name: match.differences for match in report.layers if match.differences} == {}
    assert len(report.layers) == len(model.layers())
    assert report.missing == report.unexpected == ()
    assert report.quantize == ()
    assert report.same


@pytest.mark.parametrize("name", ["gated", "shuffle", "series", "in_place"])
def test_other_nets_are_verbatim_too(name: str) -> None:
    model, hub = trained(name, normalised=False)
    report = compare(qat.quantization_of(model), to_tflite(hub))
    assert {match.name: match.differences for match in report.layers if match.differences} == {}
    assert report.missing == report.unexpected == ()
    assert len(report.quantize) == len(model.requantized) == (1 if name == "gated" else 0)


def test_compare_sees_a_changed_number() -> None:
    model, hub = trained("concat")
    rows = qat.quantization_of(model)
    other = onnx.ModelProto()
    other.CopyFrom(hub)
    for tensor in other.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        if values.dtype == np.int8 and values.ndim == 4 and values.shape[0] == 12:
            values[0, 0, 0, 0] ^= 1
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    report = compare(rows, to_tflite(other))
    assert [m.name for m in report.layers if m.differences == ("weights",)] == ["d"]
    assert not report.same


@pytest.mark.parametrize("engine", ["tflite", "litert"])
@pytest.mark.parametrize("name", ["residual", "depthwise", "concat"])
def test_tflite_computes_within_the_parity_contract(name: str, engine: str, tmp_path: Any) -> None:
    from edgepress.runtime.session import open_session

    model, hub = trained(name)
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(to_tflite(hub))
    session = open_session(path, engine)
    raw, wanted = raw_and_outputs(name, model)
    spec_in, spec_out = session.artifact.inputs[0], session.artifact.outputs[0]
    assert spec_in.dtype == spec_out.dtype == "int8"
    found = []
    for x in raw:
        q = np.rint(x / np.float32(spec_in.scale)) + spec_in.zero_point
        q = np.clip(q, -128, 127).astype(np.int8).transpose(1, 2, 0)[None]
        found.append(session.run([q])[0][0])
    steps = np.abs(
        np.array(found, np.float64) - np.rint(wanted / spec_out.scale) - spec_out.zero_point
    )
    # Kernels requantize with integer multipliers, brevitas in float32: a step here or there per layer.
    assert (steps <= 2).mean() >= 0.995
    assert (np.argmax(found, 1) == wanted.argmax(1)).mean() >= 0.95


def test_same_model_same_bytes_and_the_model_is_unchanged() -> None:
    model, hub = trained("concat")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    again = brevitas_import.from_brevitas(model)
    assert again.SerializeToString(deterministic=True) == hub.SerializeToString(deterministic=True)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.training


def test_a_plain_brevitas_module_comes_in_too() -> None:
    import brevitas.nn as qnn
    from brevitas.quant import (
        Int8ActPerTensorFloat,
        Int8WeightPerChannelFloat,
        Int32Bias,
        Uint8ActPerTensorFloat,
    )

    torch.manual_seed(0)
    layer = {"weight_quant": Int8WeightPerChannelFloat, "bias_quant": Int32Bias}
    model = torch.nn.Sequential(
        qnn.QuantIdentity(Int8ActPerTensorFloat, return_quant_tensor=True),
        qnn.QuantConv2d(3, 8, 3, padding=1, **layer),
        qnn.QuantReLU(Uint8ActPerTensorFloat, return_quant_tensor=True),
        qnn.QuantConv2d(8, 4, 3, **layer),
        qnn.QuantIdentity(Int8ActPerTensorFloat),
    )
    x = torch.randn(16, 3, 8, 8)
    model.train()(x)
    model.eval()
    hub = brevitas_import.from_brevitas(model, [(1, 3, 8, 8)])
    session = onnxruntime.InferenceSession(hub.SerializeToString())
    with torch.no_grad():
        wanted = model(x).numpy()
    found = np.concatenate([session.run(None, {"input": v[None]})[0] for v in x.numpy()])
    scale = float(model[4].act_quant.scale())
    assert np.abs(found - wanted).max() < 1.01 * scale
    lite = read_model(to_tflite(hub)).main
    assert [op.name for op in lite.operators] == ["CONV_2D", "CONV_2D"]
    relu = lite.tensors[lite.operators[0].outputs[0]].quantization
    assert relu is not None and relu.zero_point == (-128,)  # uint8 0 shifted
    assert relu.scale == (float(np.float32(model[2].act_quant.scale().detach())),)


def test_what_brevitas_cannot_export_is_one_clear_error() -> None:
    import brevitas.nn as qnn
    from brevitas.quant import Int8WeightPerChannelFloat

    model = torch.nn.Sequential(qnn.QuantConv2d(3, 4, 3, weight_quant=Int8WeightPerChannelFloat))
    with pytest.raises(InputError, match="input shapes"):
        brevitas_import.from_brevitas(model)
    with pytest.raises(InputError, match="export"):
        brevitas_import.from_brevitas(model, [(1, 5, 8, 8)])
