"""Small ONNX graphs written as text, a graph pass applied to them, and the proof that nothing else changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from edgepress.export.onnx.check import assert_same, random_feeds, run
from edgepress.export.onnx.graph import Graph
from edgepress.export.onnx.infer import infer
from onnx import numpy_helper

from .lowering import run_onnx

Pass = Callable[[Graph], Any]


def parse(text: str, opset: int = 21, **constants: Any) -> onnx.ModelProto:
    """A model of `(float[1,3] x) => (float[1,3] y) { ... }` with arrays as initializers; nodes get names.

    Operators of other domains are written "domain.Op".
    """
    graph = onnx.parser.parse_graph(f"g {text}")
    for name, values in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type.lower()}{index}"
    domains = {"": opset, **{node.domain: 1 for node in graph.node if node.domain}}
    imports = [onnx.helper.make_opsetid(*item) for item in domains.items()]
    ir = 10 if opset >= 21 else 8
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=ir)


def read(model: onnx.ModelProto) -> Graph:
    """Working form with all shapes known."""
    graph = Graph.read(model)
    infer(graph)
    return graph


def rewrite(model: onnx.ModelProto, *passes: Pass, rtol: float = 1e-5, times: int = 1) -> Graph:
    """`passes` applied in turn; outputs proven equal on three random inputs, the model proven untouched."""
    before = model.SerializeToString(deterministic=True)
    graph = read(model)
    for _ in range(times):
        for apply in passes:
            apply(graph)
            infer(graph)
    after = graph.write()
    onnx.checker.check_model(after, full_check=True)
    for seed in range(3):
        feeds = random_feeds(model, seed)
        assert_same(run_onnx(model, feeds), run(after, feeds), graph.outputs, "the pass", rtol)
    assert model.SerializeToString(deterministic=True) == before
    return graph


def operators(graph: Graph) -> list[str]:
    """Operators in execution order."""
    return [node.op for node in graph.sorted_nodes()]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal float32 values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def floats(*values: float) -> np.ndarray:
    """A float32 vector."""
    return np.asarray(values, np.float32)


def ints(*values: int) -> np.ndarray:
    """An int64 vector."""
    return np.asarray(values, np.int64)
