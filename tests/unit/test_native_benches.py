"""Reading the MLPerf Tiny networks as hubs, and how the benches of exported C judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.export.c.lower import lower
from edgepress.runtime.errors import ParityError, UnsupportedOperatorError
from edgepress.runtime.session import open_session
from edgepress.tools.bench.lite_hub import hub_of
from edgepress.tools.bench.native_instructions import proven_vectors
from edgepress.tools.bench.native_parity import Row, _judged
from edgepress.tools.bench.native_sizes import ArenaRow
from support import c_models, ptq
from support.data import need_data

STEPS = {"kws_dscnn_int8": 2, "vww_mobilenetv1_025_int8": 2, "ad_fcae_int8": 4}
"""By how much LiteRT may depart: it rounds in another way, and layers add up."""


@pytest.mark.parametrize("name", STEPS)
def test_a_trained_network_computes_what_its_file_computes(name: str, tmp_path: Path) -> None:
    file = need_data(f"models/mlperf_tiny/{name}.tflite")
    mine = open_session(c_models.write(hub_of(file), tmp_path))
    theirs = open_session(file, "litert")
    rng, shape = np.random.default_rng(0), mine.artifact.inputs[0].shape
    for _ in range(4):
        x = rng.integers(-128, 128, shape).astype(np.int8)
        a, b = (s.run([x])[0].astype(np.int64) for s in (mine, theirs))
        assert np.abs(a.reshape(-1) - b.reshape(-1)).max() <= STEPS[name]


@pytest.mark.parametrize(
    ("name", "macs"),
    [("kws_dscnn", 2_664_792), ("ic_resnet8", 12_505_748), ("vww_mobilenetv1_025", 7_491_972)],
)
def test_macs_are_those_published(name: str, macs: int) -> None:
    """Softmax counts two an element here and there, the mean over a plane one."""
    file = need_data(f"models/mlperf_tiny/{name}_int8.tflite")
    assert sum(call.macs for call in lower(hub_of(file)).program.calls) == macs


def test_float_files_are_read_too(tmp_path: Path) -> None:
    file = need_data("models/mlperf_tiny/ad_fcae_float.tflite")
    mine, theirs = open_session(c_models.write(hub_of(file), tmp_path)), open_session(file)
    x = np.random.default_rng(0).normal(size=mine.artifact.inputs[0].shape).astype(np.float32)
    np.testing.assert_allclose(mine.run([x])[0], theirs.run([x])[0], rtol=1e-4, atol=1e-4)


def test_other_operators_are_refused() -> None:
    file = need_data("models/tflm/micro_speech_int8.tflite")
    with pytest.raises(UnsupportedOperatorError, match="reshape"):
        hub_of(file)


def test_a_departure_from_the_integer_reference_is_told(tmp_path: Path) -> None:
    """The folder of one network, the reference of another."""
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path)
    samples = ptq.samples("residual", 1, 5)
    assert len(proven_vectors(ptq.quantized_hub("residual"), folder, samples).inputs) == 1
    wrong = ptq.quantized_hub("residual")
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(wrong)
    weights = next(t for t in changed.graph.initializer if t.data_type == 3 and t.dims)
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(-values // 2, weights.name))
    with pytest.raises(ParityError, match="depart from the integer reference"):
        proven_vectors(changed, folder, samples)


@pytest.mark.parametrize(
    ("precision", "found", "departing"),
    [("int8", 1.5, 1), ("float", 1 + 2e-6, 0), ("float", 1.0001, 1), ("float", np.nan, 1)],
)
def test_values_are_judged_by_their_precision(precision: str, found: float, departing: int) -> None:
    row = Row("net", precision, "generic", "host", 1, 0, 0, 0.0, 0.0)
    judged = _judged(row, [[np.array([1.0, found])]], [[np.array([1.0, 1.0])]], 0.0)
    assert (judged.values, judged.departing) == (2, departing)


def test_an_arena_may_take_five_per_cent_more_than_the_head() -> None:
    assert ArenaRow("KWS", "cortex-m4", 16_800, 16_000, 800, 16_000).reaches_goal
    assert not ArenaRow("KWS", "cortex-m4", 16_801, 16_000, 800, 16_000).reaches_goal
