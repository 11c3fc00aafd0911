"""The dense packed chain of a hub as integers: weights, thresholds, nothing real between the first and last layer.

    chain = integer_chain(hub)        # BinaryGemm or TernaryGemm layers, one behind the other
    chain.run(inputs)                 # outputs for a batch; levels are int8, sums int32

Between two layers any arithmetic may stand that works value by value and rises or falls with the sum: it is run
for every sum there can be, and read off as thresholds (compress/binarization/thresholds.py). Networks with
convolutions fold in torch (compress/binarization/fold.py), and as a graph (binary_links.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compress.binarization.thresholds import NoThreshold, Staircase, probe
from ...runtime.errors import UnsupportedOperatorError
from .check import open_reference
from .functions import unpack_codes, unpack_signs
from .graph import Array, Graph, Node
from .judge import OWN_DOMAIN

DENSE = ("BinaryGemm", "TernaryGemm")


@dataclass(frozen=True)
class DenseStage:
    """One layer: integer weights [outputs, inputs], and how sums become the next layer's levels (None: the last)."""

    name: str
    weights: Array
    staircase: Staircase | None


@dataclass(frozen=True)
class Front:
    """What happens to raw inputs before the first integers: a session (None: nothing), then signs where wanted."""

    session: Any
    signs: bool

    def levels(self, row: Array) -> Array:
        """int8 levels of one sample."""
        values = row.astype(np.float32) if self.session is None else _run(self.session, row)
        levels = np.where(values < 0, -1, 1) if self.signs else values
        if not np.array_equal(levels, levels.astype(np.int8)):
            raise UnsupportedOperatorError(
                "the first layer takes values that are no small integers"
            )
        return levels.astype(np.int8)


@dataclass(frozen=True)
class Tail:
    """What happens to the last sums: scale and bias of the layer, then a session (None: nothing)."""

    scale: Array
    bias: Array
    session: Any

    def outputs(self, row: Array) -> Array:
        """Outputs of one sample's sums [1, outputs]."""
        values = _affine(row, self.scale, self.bias)
        return values if self.session is None else _run(self.session, values)


@dataclass(frozen=True)
class IntegerChain:
    """The real part in front, the integer stages, the real part behind."""

    front: Front
    stages: tuple[DenseStage, ...]
    tail: Tail

    def run(self, inputs: Array) -> Array:
        """Outputs of the first graph output for a batch of raw inputs; the batch is the first axis."""
        values = np.concatenate([self.front.levels(row[None]) for row in inputs])
        sums = np.zeros((0, 0), np.int32)
        for stage in self.stages:
            sums = values.astype(np.int32) @ stage.weights.T.astype(np.int32)
            if stage.staircase is not None:
                values = stage.staircase.apply(sums)
        return np.concatenate([self.tail.outputs(row[None]) for row in sums])


def integer_chain(hub: Any) -> IntegerChain:
    """The integer form of a hub whose packed layers are dense and follow one another.

    Raises:
        UnsupportedOperatorError: other packed layers, branches, or arithmetic between layers without a threshold.
    """
    graph = Graph.read(hub)
    layers = [n for n in graph.sorted_nodes() if n.domain == OWN_DOMAIN]
    if not layers or any(n.op not in DENSE for n in layers):
        raise UnsupportedOperatorError(
            "an integer chain is made of dense packed layers only",
            hint="networks with convolutions fold in torch: compress.binarization.fold",
        )
    reach = _input_reach(graph, layers[0])
    stages = []
    for node, following in zip(layers, [*layers[1:], None], strict=True):
        weights = weights_of(graph, node)
        bound = int(np.abs(weights).sum(1).max()) * reach
        staircase = None
        if following is not None:
            staircase = _between(hub, graph, node, following, bound)
            reach = max(abs(value) for value in staircase.values)
        stages.append(DenseStage(node.name or node.outputs[0], weights, staircase))
    front = Front(_part(hub, list(graph.inputs), layers[0].input(0)), layers[0].op == "BinaryGemm")
    last = layers[-1].outputs[0]
    tail = Tail(*_scale_and_bias(graph, layers[-1]), _part(hub, [last], graph.outputs[0]))
    return IntegerChain(front, tuple(stages), tail)


def weights_of(graph: Graph, node: Node) -> Array:
    """int8 [outputs, inputs] of a packed layer."""
    shape = tuple(int(n) for n in graph.constants[node.input(2)])
    unpack = unpack_codes if node.op == "TernaryGemm" else unpack_signs
    return unpack(graph.constants[node.input(1)], shape)


def _input_reach(graph: Graph, node: Node) -> int:
    """Largest magnitude of the first layer's inputs: 1 for signs, the clip's ends for others."""
    if node.op == "BinaryGemm":
        return 1
    source = graph.producer(node.input(0))
    ends = [
        v for n in (source.inputs if source else []) if (v := graph.constants.get(n)) is not None
    ]
    return int(max((float(np.abs(v).max()) for v in ends), default=2.0))


def _scale_and_bias(graph: Graph, node: Node) -> tuple[Array, Array]:
    """float32 [outputs] each; 1 and 0 for functions without."""
    if node.op == "TernaryGemm":
        return np.ones(1, np.float32), np.zeros(1, np.float32)
    scale, bias = (graph.constants[node.input(i)].reshape(-1) for i in (3, 4))
    return scale, bias


def _affine(sums: Array, scale: Array, bias: Array) -> Array:
    """What a packed function gives for integer sums, in its own float32 arithmetic."""
    return np.asarray(sums.astype(np.float32) * scale + bias, np.float32)


def _between(hub: Any, graph: Graph, node: Node, following: Node, bound: int) -> Staircase:
    """Levels of the next layer for every sum."""
    count = len(weights_of(graph, node))
    sums = np.repeat(np.arange(-bound, bound + 1)[:, None], count, 1)
    values = _affine(sums, *_scale_and_bias(graph, node))
    if following.input(0) != node.outputs[0]:
        part = _part(hub, [node.outputs[0]], following.input(0), len(sums))
        values = _run(part, values)
    levels = np.where(values < 0, -1, 1) if following.op == "BinaryGemm" else values
    try:
        if not np.array_equal(levels, np.round(levels)):
            raise NoThreshold("its input takes values that are no integers")
        return probe(levels.astype(np.int64), bound)
    except NoThreshold as error:
        raise UnsupportedOperatorError(
            f"no thresholds between '{node.name}' and '{following.name}': {error}",
            hint="run the packed graph instead",
        ) from error


def _part(hub: Any, inputs: list[str], output: str, batch: int = 1) -> Any:
    """A session of the nodes from `inputs` to `output`; None if there are none between."""
    import onnx.utils

    if inputs == [output]:
        return None
    typed = onnx.shape_inference.infer_shapes(hub)
    part = onnx.utils.Extractor(typed).extract_model(inputs, [output])
    for value in (*part.graph.input, *part.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del part.graph.value_info[:]
    return open_reference(part)


def _run(session: Any, values: Array) -> Array:
    name = session.get_inputs()[0].name
    return np.asarray(session.run(None, {name: values})[0])
