"""The parity proof on small networks: what agrees passes, what does not is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.export.parity import verify
from edgepress.export.parity_records import Candidate, Outcome, ParityReport, Rule
from edgepress.export.tflite import to_tflite
from edgepress.runtime.artifact import FileMetadata
from edgepress.runtime.errors import InputError, UsageError
from onnx import helper, numpy_helper
from support.lowering import ENGINES, make_hub, run_onnx
from support.small_hub import hub, int8, samples


def changed(
    model: onnx.ModelProto, name: str, edit: Callable[[np.ndarray], np.ndarray]
) -> onnx.ModelProto:
    """A copy with one constant edited."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name == name:
            values = edit(numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(numpy_helper.from_array(values, name))
    return copy


def bump(values: np.ndarray) -> np.ndarray:
    values.reshape(-1)[5] += values.dtype.type(1)
    return values


def lite(model: onnx.ModelProto, folder: Path, name: str = "m.tflite", **options: Any) -> Path:
    path = folder / name
    path.write_bytes(to_tflite(model, metadata=FileMetadata(), **options))
    return path


def failures(report: ParityReport) -> list[str]:
    rows = [*report.outputs, *report.layers]
    return [getattr(r, "layer", "") or r.against for r in rows if r.outcome is Outcome.FAIL]


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_float_file_passes_output_by_output_and_layer_by_layer(
    engine: str, layout: str, tmp_path: Path
) -> None:
    model = hub()
    candidate = Candidate(lite(model, tmp_path, io_layout=layout), engine)
    report = verify(model, [candidate], samples(), layer_samples=2)
    assert report.passed and report.departs == {}
    (output,) = report.outputs
    assert (output.rule, output.samples, output.agreement) == (Rule.FLOAT, 6, 1.0)
    assert 0 <= output.distance.relative < 1e-5
    assert {"relu1", "pool", "relu2", "y"} <= {row.layer for row in report.layers}
    assert report.layer_samples == 2
    # Flattened as it lies in memory: no order of axes compares it with ONNX, so it is left out.
    assert "flat" not in {row.layer for row in report.layers}
    assert [
        n
        for n in report.notes
        if n.startswith("m.tflite: 'flat' (1, 96) is not compared by itself")
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "layer"), [("w1", "relu1"), ("w2", "relu2"), ("w3", "y")])
def test_one_changed_weight_fails_and_its_layer_is_named(
    engine: str, name: str, layer: str, tmp_path: Path
) -> None:
    model = hub()
    path = lite(changed(model, name, bump), tmp_path)
    report = verify(model, [Candidate(path, engine)], samples())
    assert not report.passed
    assert report.departs == {f"m.tflite ({engine})": layer}
    assert layer in failures(report)
    # The layers behind it are fed with the file's own values, so they are not blamed.
    assert [x for x in failures(report) if x not in (layer, "reference")] == []


@pytest.mark.parametrize("engine", ENGINES)
def test_an_int8_file_is_within_steps_of_its_onnx_twin(engine: str, tmp_path: Path) -> None:
    model = hub()
    quantized = int8(model)
    twin = tmp_path / "m.int8.onnx"
    twin.write_bytes(quantized.SerializeToString())
    path = lite(quantized, tmp_path)
    report = verify(model, [twin, Candidate(path, engine)], samples(24))
    assert report.passed, failures(report)
    rules = {(row.candidate, row.against): row.rule for row in report.outputs}
    assert rules == {
        ("m.int8.onnx", "reference"): Rule.REPORTED,  # its cost is a matter of accuracy
        ("m.tflite", "reference"): Rule.REPORTED,
        ("m.tflite", "m.int8.onnx"): Rule.INT8,
    }
    steps = next(row.distance for row in report.outputs if row.rule is Rule.INT8)
    assert steps.step and steps.steps["3+"] == 0 and steps.mean_steps < 0.6


@pytest.mark.parametrize("engine", ENGINES)
def test_an_int8_file_with_one_changed_weight_fails(engine: str, tmp_path: Path) -> None:
    quantized = int8(hub())

    def far(values: np.ndarray) -> np.ndarray:
        values[0] = -values[0]
        return values

    twin = tmp_path / "m.int8.onnx"
    twin.write_bytes(quantized.SerializeToString())
    path = lite(changed(quantized, "w2_int", far), tmp_path)
    report = verify(hub(), [twin, Candidate(path, engine)], samples(24))
    assert not report.passed
    assert report.departs == {f"m.tflite ({engine})": "relu2"}


def test_a_reference_file_and_a_callable_say_the_same(tmp_path: Path) -> None:
    model = hub()
    stored = tmp_path / "m.onnx"
    stored.write_bytes(model.SerializeToString())
    by_file = verify(stored, [lite(model, tmp_path)], samples(), layers=False)
    by_call = verify(
        lambda values: run_onnx(model, {"x": values[0]}),
        [lite(model, tmp_path)],
        samples(),
        layers=False,
        reference_label="mine",
    )
    assert by_file.passed and by_call.passed
    assert (by_file.reference, by_call.reference) == ("m.onnx", "mine")
    assert by_call.outputs[0].distance.max_abs == pytest.approx(
        by_file.outputs[0].distance.max_abs, abs=1e-6
    )


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    model = hub()
    paths = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        paths.append(lite(model, tmp_path / folder))
    report = verify(model, paths, samples(2), layers=False)
    assert [row.candidate for row in report.outputs] == ["one/m.tflite", "two/m.tflite"]


def test_half_precision_is_held_to_its_own_limit(tmp_path: Path) -> None:
    model = hub()
    report = verify(model, [lite(model, tmp_path, precision="fp16")], samples(), layers=False)
    (row,) = report.outputs
    assert report.passed and row.rule is Rule.FP16
    assert 1e-6 < row.distance.relative < 1e-2


# ---------------------------------------------------------------- errors


def test_no_inputs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no inputs to compare on"):
        verify(hub(), [lite(hub(), tmp_path)], [])


def test_wrong_shapes_and_number_of_inputs(tmp_path: Path) -> None:
    path = lite(hub(), tmp_path)
    (x,) = samples(1)[0]
    with pytest.raises(InputError, match=r"input 'x' has shape \(1, 3, 12, 11\)"):
        verify(hub(), [path], [(x[..., :11],)])
    with pytest.raises(InputError, match="2 inputs given, the model takes 1") as caught:
        verify(hub(), [path], [(x, x)])
    assert "one array per input, in this order: x" in str(caught.value.hint)
    with pytest.raises(InputError, match=r"input 'x' takes \[1, 12, 12, 3\] NHWC"):
        verify(lambda _: [np.zeros((1, 5))], [path], [(x[..., :11],)])


def test_another_number_of_outputs(tmp_path: Path) -> None:
    path = lite(hub(), tmp_path)
    with pytest.raises(InputError, match="1 outputs, two has 2"):
        verify(lambda _: [np.zeros((1, 5))] * 2, [path], samples(1), reference_label="two")


def test_another_shape_of_output_is_infinitely_far(tmp_path: Path) -> None:
    report = verify(lambda _: [np.zeros((1, 6))], [lite(hub(), tmp_path)], samples(1), layers=False)
    assert not report.passed and report.outputs[0].distance.max_abs == float("inf")


def test_wrong_engines_and_files(tmp_path: Path) -> None:
    stored = tmp_path / "m.onnx"
    stored.write_bytes(hub().SerializeToString())
    with pytest.raises(UsageError, match="tflite does not run ONNX files"):
        verify(hub(), [Candidate(stored, "tflite")], samples(1))
    with pytest.raises(UsageError, match="onnxruntime does not run tflite files"):
        verify(hub(), [Candidate(lite(hub(), tmp_path), "onnxruntime")], samples(1))
    stored.write_bytes(stored.read_bytes()[:200])
    with pytest.raises(InputError):
        verify(hub(), [stored], samples(1))
    with pytest.raises(InputError, match="cannot read"):
        verify(hub(), [tmp_path / "absent.tflite"], samples(1))


# ---------------------------------------------------------------- files of others


def foreign(model: onnx.ModelProto, folder: Path) -> Path:
    """A file that says nothing of its axes, as other converters write them: channels last."""
    path = folder / "foreign.tflite"
    path.write_bytes(to_tflite(model))
    return path


def test_a_file_that_states_no_axes_is_fed_as_its_shapes_tell(tmp_path: Path) -> None:
    model = hub()
    report = verify(model, [foreign(model, tmp_path)], samples(2))
    assert report.passed and len(report.layers) > 3


def test_a_tflite_file_is_the_reference_of_another(tmp_path: Path) -> None:
    model = hub()
    path = foreign(model, tmp_path)
    report = verify(path, [lite(model, tmp_path)], samples(2))
    assert report.passed and report.reference == "foreign.tflite"
    wrong = lite(changed(model, "w2", bump), tmp_path)
    assert not verify(path, [wrong], samples(2)).passed


def test_axes_that_shapes_leave_open_are_asked_about(tmp_path: Path) -> None:
    pool = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 1])
    model = make_hub([pool], {"x": (1, 4, 4, 4)}, ["y"], {})
    values = [(np.random.default_rng(0).normal(size=(1, 4, 4, 4)).astype(np.float32),)]
    path = foreign(model, tmp_path)
    with pytest.raises(InputError, match="does not say which"):
        verify(model, [path], values)
    assert verify(model, [Candidate(path, layout="nhwc")], values).passed
    assert not verify(model, [Candidate(path, layout="nchw")], values).passed
    assert verify(Candidate(path, layout="nhwc"), [Candidate(path, layout="nhwc")], values).passed


def test_a_remark_stands_once_for_all_engines(tmp_path: Path) -> None:
    path = lite(hub(), tmp_path)
    report = verify(hub(), [Candidate(path, engine) for engine in ENGINES], samples(1))
    assert len(report.notes) == len(set(report.notes)) == 1
