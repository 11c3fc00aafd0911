"""A streaming model: one step of a convolution over the last samples, and a running sum of what it gives."""

from __future__ import annotations

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

CHANNELS, OUT, TAPS = 3, 4, 5
SHAPES = {"x": [1, CHANNELS, 1], "past": [1, CHANNELS, TAPS - 1], "total": [1, OUT, 1]}


def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(OUT, CHANNELS, TAPS)).astype(np.float32)


def step_model(states: dict[str, str] | None) -> bytes:
    """A convolution over the last samples, and a running sum of what it gives."""
    nodes = [
        helper.make_node("Concat", ["past", "x"], ["window"], axis=2),
        helper.make_node("Conv", ["window", "w"], ["y"], kernel_shape=[TAPS]),
        helper.make_node("Slice", ["window", "one", "end", "axis"], ["past_out"]),
        helper.make_node("Add", ["total", "y"], ["total_out"]),
    ]
    constants = {"w": weights()}
    constants |= {k: np.array([v], np.int64) for k, v in {"one": 1, "end": TAPS, "axis": 2}.items()}
    float_value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)  # noqa: E731
    graph = helper.make_graph(
        nodes,
        "step",
        [float_value(name, shape) for name, shape in SHAPES.items()],
        [
            float_value("y", [1, OUT, 1]),
            float_value("past_out", SHAPES["past"]),
            float_value("total_out", SHAPES["total"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    if states is not None:
        model.metadata_props.add(key="edgepress.states", value=json.dumps(states))
    return bytes(model.SerializeToString())


PAIRS = {"past": "past_out", "total": "total_out"}


def stream(count: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=SHAPES["x"]).astype(np.float32) for _ in range(count)]
