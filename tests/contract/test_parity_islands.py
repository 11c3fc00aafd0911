"""The parity proof of int8 files with float parts: correct files pass, a wrong normalisation is named."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx import qdq
from edgepress.export.onnx.decompose import decompose
from edgepress.export.parity import verify
from edgepress.export.parity_lowering import orders_by_lowering
from edgepress.export.parity_records import Candidate, Outcome, ParityReport
from edgepress.export.tflite import to_tflite
from edgepress.runtime.artifact import FileMetadata
from edgepress.runtime.tflite_schema import read_model
from onnx import numpy_helper
from support import torch_nets
from support.commands import call
from support.lowering import ENGINES

torch.set_num_threads(1)
Sample = tuple[np.ndarray, ...]


def random_inputs(name: str, count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=torch_nets.NETS[name][1]).astype(np.float32),) for _ in range(count)]


@functools.cache
def hub_pair(name: str) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """(float, int8) hubs of a network with layer normalisations."""
    hub = hubs.from_torch(torch_nets.build(name), [torch_nets.NETS[name][1]])
    ready = decompose(hub, for_int8=True)
    planned = plan(ready, random_inputs(name, 8), PtqConfig(observer="minmax"))
    return hub, qdq.apply(ready, planned)


def proof(name: str, folder: Path, engine: str, written: onnx.ModelProto) -> ParityReport:
    """The int8 file made of `written` against the int8 ONNX file as planned."""
    hub, quantized = hub_pair(name)
    twin, file = folder / f"{name}.onnx", folder / f"{name}.tflite"
    twin.write_bytes(quantized.SerializeToString())
    file.write_bytes(to_tflite(written, metadata=FileMetadata()))
    candidates = [twin, Candidate(file, engine)]
    return verify(hub, candidates, random_inputs(name, 12), layer_samples=3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["vit", "encoder"])
def test_a_correct_file_passes_and_every_layer_is_judged(
    name: str, engine: str, tmp_path: Path
) -> None:
    report = proof(name, tmp_path, engine, hub_pair(name)[1])
    assert report.passed, [r.reason for r in report.outputs if r.outcome is Outcome.FAIL]
    assert report.departs == {} and report.notes == ()
    judged = {row.layer for row in report.layers if row.outcome is Outcome.PASS}
    assert sum("norm" in layer for layer in judged) >= 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "layer"), [("vit", "norm1"), ("encoder", "layer.norm2")])
def test_a_wrong_layer_normalisation_fails_and_is_named(
    name: str, layer: str, engine: str, tmp_path: Path
) -> None:
    wrong = with_changed_scale(hub_pair(name)[1], layer)
    report = proof(name, tmp_path, engine, wrong)
    assert not report.passed
    assert report.departs == {f"{name}.tflite ({engine})": layer}
    failed = {row.layer for row in report.layers if row.outcome is Outcome.FAIL}
    assert failed == {layer}  # what comes after it is fed with the file's own values


def with_changed_scale(model: onnx.ModelProto, layer: str) -> onnx.ModelProto:
    """A copy in which one channel of a layer normalisation is scaled by twice as much."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    node = next(n for n in copy.graph.node if n.op_type == "LayerNormalization" and layer in n.name)
    tensor = next(t for t in copy.graph.initializer if t.name == node.input[1])
    values = numpy_helper.to_array(tensor).copy()
    values[1] *= 2
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return copy


def test_the_lowering_is_believed_only_where_it_makes_the_same_graph() -> None:
    _, vit = hub_pair("vit")
    _, other = hub_pair("encoder")
    for io_layout in ("nhwc", "nchw"):
        file = read_model(to_tflite(vit, io_layout=io_layout), "vit.tflite")
        assert orders_by_lowering(file, [other], "int8") == {}
        found = orders_by_lowering(file, [other, vit], "int8")
        assert found["patches"] == (0, 2, 3, 1) and found["norm1"] == (0, 1, 2)


# ---------------------------------------------------------------- by command


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the zoo's vision transformer: a series as long as it is wide, so that shapes tell no order."""
    folder = tmp_path_factory.mktemp("vit_tiny")
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32)).astype(np.float32)
    np.savez(folder / "inputs.npz", x=images / 255)
    quick = ("--observer", "minmax", "--calibration-samples", "8", "--precision", "float32,int8")
    given = ("--random-weights", "--calibration", folder / "inputs.npz", "--out", folder)
    done = call("export", "vit_tiny", *quick, *given)
    assert done.code == 0, done.err
    return folder


def verified(folder: Path, *files: str) -> tuple[int, Any]:
    inputs = ("--inputs", folder / "inputs.npz", "--samples", "4", "--json")
    done = call(
        "verify", "vit_tiny", *(folder / f for f in files), "--random-weights", *inputs, "-q"
    )
    return done.code, done.document


def test_the_command_passes_correct_files_and_judges_the_normalisations(exported: Path) -> None:
    names = [f"vit_tiny.{p}.{f}" for p in ("float32", "int8") for f in ("onnx", "tflite")]
    code, document = verified(exported, *names)
    assert code == 0 and document["passed"] and document["notes"] == []
    judged = {
        (row["candidate"], row["layer"])
        for row in document["layers"]
        if row["outcome"] == "pass" and "norm" in row["layer"]
    }
    assert {(f"vit_tiny.{p}.tflite", "blocks.2.norm1") for p in ("float32", "int8")} <= judged


def test_the_command_names_a_wrong_normalisation(exported: Path) -> None:
    right = hubs.load(exported / "vit_tiny.int8.onnx")
    wrong = with_changed_scale(right, "blocks.2.norm1")
    metadata = hubs.read_metadata(right)
    (exported / "wrong.tflite").write_bytes(to_tflite(wrong, metadata=metadata))
    code, document = verified(exported, "vit_tiny.int8.onnx", "wrong.tflite")
    assert code == 1 and not document["passed"]
    assert set(document["departs"].values()) == {"blocks.2.norm1"}
