"""Inner tensors are what their operator wrote, even where a later kernel works in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from edgepress.export.onnx.hub import from_onnx
from edgepress.export.tflite import to_tflite
from edgepress.runtime.session import open_session
from onnx import TensorProto, helper, numpy_helper


def residual() -> bytes:
    """output = conv(input) + input: ADD may write over the convolution's result."""
    weight = np.random.default_rng(0).standard_normal((4, 4, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "w"], ["c"], name="conv"),
            helper.make_node("Add", ["c", "input"], ["output"], name="add"),
        ],
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("engine", ["tflite", "litert"])
def test_the_operand_of_an_addition_survives_it(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "residual.tflite"
    path.write_bytes(to_tflite(from_onnx(residual())))
    session = open_session(path, engine)
    x = np.random.default_rng(1).standard_normal((1, 8, 8, 4)).astype(np.float32)
    (output,) = session.run([x])
    (name,) = [t.name for t in session._model.main.tensors if t.name.startswith("c")]
    inner = session.intermediate([name])[name]
    np.testing.assert_allclose(inner + x, output, rtol=1e-5, atol=1e-5)
