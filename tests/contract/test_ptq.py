"""Plan -> Q/DQ hub -> TFLite: every number verbatim, and engines, reference and float model agree as they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.calibrate import Runner
from edgepress.compress.quantization.integer import IntegerModel
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.compress.quantization.records import QuantPlan
from edgepress.export.lint import lint
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx.qdq import apply
from edgepress.export.parity import verify
from edgepress.export.parity_records import Candidate, Outcome, Rule
from edgepress.export.tflite import to_tflite
from edgepress.runtime.tflite_schema import read_model
from support import ptq

EXTRA_QUANTIZE = {"gated": 1}
"""Nets in which a tensor is needed under two sets of parameters: the gate in a multiplication and a concatenation."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ptq")


@pytest.fixture(scope="module", params=ptq.NETS)
def files(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Path, Path]:
    name = request.param
    hub = ptq.quantized_hub(name)
    tflite = folder / f"{name}.tflite"
    tflite.write_bytes(to_tflite(hub, metadata=hubs.read_metadata(hub)))
    return name, hubs.save(hub, folder / f"{name}.onnx"), tflite


def test_onnx_and_tflite_agree_in_both_engines(files: tuple[str, Path, Path]) -> None:
    name, onnx_file, tflite = files
    candidates = [onnx_file, Candidate(tflite, "tflite"), Candidate(tflite, "litert")]
    report = verify(ptq.float_hub(name), candidates, ptq.samples(name, 48, 7))
    judged = [row for row in report.outputs if row.rule is Rule.INT8]
    assert len(judged) == 2  # both engines against the ONNX file
    assert all(row.outcome is Outcome.PASS for row in judged), [r.reason for r in judged]
    assert report.passed, report.departs


def test_int8_is_close_to_float(files: tuple[str, Path, Path]) -> None:
    name, onnx_file, _ = files
    outputs = [value.name for value in ptq.float_hub(name).graph.output]
    right, found = (
        np.concatenate(
            [v[outputs[0]] for v in Runner(m, outputs).run_all(ptq.samples(name, 64, 9))]
        )
        for m in (ptq.float_hub(name), hubs.load(onnx_file))
    )
    noise = np.square(found - right).mean() / np.square(right).mean()
    assert noise < 10**-2.5, noise  # 25 dB: eight bits through ten layers
    agreement = (found.argmax(1) == right.argmax(1)).mean()
    assert agreement >= 0.9, agreement  # random weights: many near-ties


def test_every_parameter_of_the_file_is_the_plans(files: tuple[str, Path, Path]) -> None:
    name, _, tflite = files
    found = {
        (tensor.dtype, float(scale), zero)
        for tensor in read_model(tflite.read_bytes(), "").subgraphs[0].tensors
        if (held := tensor.quantization) is not None
        for scale, zero in zip(np.float32(held.scale), held.zero_point, strict=True)
    }
    known = planned_parameters(ptq.planned(name))
    assert found <= known, sorted(found - known)[:3]
    assert len(found) > 5


def planned_parameters(planned: QuantPlan) -> set[tuple[str, float, int]]:
    """(dtype, scale, zero point) of everything a plan quantizes, channel by channel."""
    held = [("int8", q) for q in planned.activations.values()]
    held += [("int8", q) for q, _ in planned.requantize.values()]
    for constant in planned.constants.values():
        held.append(("int8" if constant.qparams.bits == 8 else "int32", constant.qparams))
    return {
        (kind, float(scale), zero)
        for kind, q in held
        for scale, zero in zip(np.float32(q.scale), q.zero_point, strict=True)
    }


def test_integers_of_weights_and_biases_are_the_plans(files: tuple[str, Path, Path]) -> None:
    name, _, tflite = files
    stored = {
        (tensor.dtype, np.sort(tensor.values().reshape(-1)).tobytes())
        for tensor in read_model(tflite.read_bytes(), "").subgraphs[0].tensors
        if tensor.is_constant and tensor.quantization is not None
    }
    for key, constant in ptq.planned(name).constants.items():
        if constant.values.ndim == 0 or "grouped" in key:
            continue  # paddings are no tensors of their own, groups are cut into parts
        dtype = "int8" if constant.qparams.bits == 8 else "int32"
        wanted = np.sort(constant.values.astype(dtype).reshape(-1)).tobytes()
        assert (dtype, wanted) in stored, key


def test_file_obeys_the_int8_rules(files: tuple[str, Path, Path]) -> None:
    name, _, tflite = files
    assert [str(finding) for finding in lint(tflite)] == []
    quantizers = [o.name for o in read_model(tflite.read_bytes(), "").subgraphs[0].operators]
    assert "DEQUANTIZE" not in quantizers
    assert quantizers.count("QUANTIZE") == EXTRA_QUANTIZE.get(name, 0)


@pytest.mark.parametrize("rounding", ["single", "float", "double"])
@pytest.mark.parametrize("name", ptq.NETS)
def test_reference_engine_is_within_a_step_of_onnxruntime_per_layer(
    name: str, rounding: str
) -> None:
    """Each layer of the reference reads what onnxruntime's previous layers gave: errors do not add up."""
    hub = onnx.shape_inference.infer_shapes(ptq.quantized_hub(name))
    made = [n.output[0] for n in hub.graph.node if n.op_type == "QuantizeLinear"]
    reference, runner = IntegerModel(hub), Runner(hub, made)
    for sample in ptq.samples(name, 3, 11):
        wanted = runner.run(sample)
        found = reference.run_tensors(sample, rounding, given=wanted)
        assert set(found) == set(made)
        for tensor in made:
            difference = np.abs(found[tensor] - wanted[tensor].astype(np.int64))
            assert difference.max() <= 1, (tensor, difference.max())


@pytest.mark.parametrize("name", ptq.NETS)
def test_reference_engine_agrees_with_onnxruntime_end_to_end(name: str) -> None:
    hub = ptq.quantized_hub(name)
    outputs = [value.name for value in hub.graph.output]
    runner, reference = Runner(hub, outputs), IntegerModel(hub)
    same = []
    for sample in ptq.samples(name, 16, 12):
        right = runner.run(sample)[outputs[0]]
        found = reference.run(sample, "single")[0]
        step = ptq.planned(name).activations[outputs[0]].scale[0]
        close = np.abs(found - right) <= 2.001 * step
        assert close.mean() >= 0.9
        same.append(found.argmax() == right.argmax() or close.all())
    assert np.mean(same) >= 0.99


def test_kept_layer_computes_in_float_and_the_rest_in_int8(tmp_path: Path) -> None:
    config = PtqConfig(observer="minmax", keep_float=("layer1.0.conv2",))
    hub = ptq.float_hub("residual")
    made = plan(hub, ptq.samples("residual", 16, 1), config)
    quantized = apply(hub, made)
    path = tmp_path / "kept.tflite"
    path.write_bytes(to_tflite(quantized, metadata=hubs.read_metadata(quantized)))
    model = read_model(path.read_bytes(), "").subgraphs[0]
    names = {t.index: t.dtype for t in model.tensors}
    convolutions = [names[o.inputs[0]] for o in model.operators if o.name == "CONV_2D"]
    assert sorted(convolutions) == ["float32"] + ["int8"] * (len(convolutions) - 1)
    report = verify(
        hub, [hubs.save(quantized, tmp_path / "kept.onnx"), path], ptq.samples("residual", 16, 5)
    )
    assert report.passed


def test_one_scale_dense_layers_lose_no_parity(tmp_path: Path) -> None:
    hub, samples = ptq.float_hub("depthwise"), ptq.samples("depthwise", 16, 1)
    made = plan(hub, samples, PtqConfig(observer="minmax", fc_granularity="tensor"))
    assert len(made.constants["classifier.weight"].qparams.scale) == 1
    assert len(made.constants["features.0.weight"].qparams.scale) == 8
    quantized = apply(hub, made)
    tflite = tmp_path / "one.tflite"
    tflite.write_bytes(to_tflite(quantized, metadata=hubs.read_metadata(quantized)))
    report = verify(hub, [hubs.save(quantized, tmp_path / "one.onnx"), tflite], samples)
    assert report.passed
