"""Sizes and data in the words of a report."""

from __future__ import annotations

from typing import Any

import pytest
from edgepress.tools.report.views import ratio, size_change, where_scored
from edgepress.tools.steps.export import Exported, size_notes, unrolled
from onnx import helper


@pytest.mark.parametrize(
    ("times", "size", "words"),
    [
        (3.5, "3.5x smaller", "3.5x smaller than a.onnx"),
        (0.25, "4x larger", "4x larger than a.onnx"),
        (1.0, "same size", "same size as a.onnx"),
        (None, "", ""),
    ],
)
def test_a_file_that_grew_is_called_larger(times: float | None, size: str, words: str) -> None:
    artifact: dict[str, Any] = {"smaller_than": "a.onnx"}
    if times is not None:
        artifact["times_smaller"] = times
    assert (size_change(artifact), ratio(artifact)) == (size, words)


def test_receipts_call_it_so_too() -> None:
    rows = [
        Exported("a.float32.onnx", "float32", "onnx", "", 1000),
        Exported("a.int8.onnx", "int8", "onnx", "", 2500),
        Exported("a.fp16.onnx", "fp16", "onnx", "", 500),
    ]
    larger, smaller = size_notes(rows)
    assert larger == "a.int8.onnx: 2500 bytes, 2.50x larger than a.float32.onnx"
    assert smaller == "a.fp16.onnx: 500 bytes, 2.00x smaller than a.float32.onnx"


@pytest.mark.parametrize(
    ("data", "split"), [("toy", "toy/test"), ("mine:task", "waves/test"), (None, "waves/test")]
)
def test_the_data_is_named_once(data: str | None, split: str) -> None:
    assert where_scored({"data": data, "split": split, "samples": 5}) == f"{split}, 5 samples"
    told = {"data": "toy", "split": "test", "samples": 5, "seed": 1}
    assert where_scored(told) == "toy/test, 5 samples, seed 1"


def test_recurrent_layers_are_said_to_be_unrolled() -> None:
    nodes = [helper.make_node(kind, ["x"], [kind]) for kind in ("GRU", "Relu", "LSTM")]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    assert unrolled(model) == [
        "int8: GRU and LSTM unrolled step by step: files grow with the series' length"
    ]
    del model.graph.node[0], model.graph.node[1]
    assert unrolled(model) == []
