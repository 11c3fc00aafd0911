"""The export step says in its receipt why a file holds a QUANTIZE that the model does not ask for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from edgepress.export.tflite import convert, to_tflite
from edgepress.runtime.artifact import FileMetadata
from edgepress.runtime.tflite_schema import read_model
from edgepress.tools.steps.export import file_bytes
from onnx import helper
from support.lowering import make_hub
from support.quantized import quantize


def joined() -> Any:
    """An int8 Concat whose inputs have different scales."""
    nodes = [
        helper.make_node("Mul", ["x", "big"], ["m"], name="mul"),
        helper.make_node("Concat", ["x", "m"], ["y"], name="join", axis=1),
    ]
    hub = make_hub(nodes, {"x": (1, 3, 4, 4)}, ["y"], {"big": np.float32(8.0)})
    values = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    return quantize(hub, [{"x": values}])


def recipe() -> Any:
    return SimpleNamespace(export=SimpleNamespace(io="int8", io_layout="nhwc"), passes=())


def test_the_reason_stands_beside_the_file() -> None:
    data, remarks = file_bytes(joined(), "int8", "tflite", recipe(), FileMetadata())
    names = [operator.name for operator in read_model(data).main.operators]
    assert names.count("QUANTIZE") == len(remarks) == 1
    assert remarks[0].startswith("QUANTIZE at ") and "Concat" in remarks[0]


def test_both_ways_of_converting_write_the_same_file() -> None:
    hub = joined()
    assert convert(hub).data == to_tflite(hub)
