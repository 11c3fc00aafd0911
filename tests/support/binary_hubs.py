"""Hubs of packed one-bit layers made by hand, and their outputs by onnxruntime and by the reference of LCE files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgepress.export.onnx.check import run
from edgepress.export.onnx.functions import declare, pack_signs
from edgepress.export.onnx.graph import Graph, make_node
from edgepress.export.onnx.infer import infer
from edgepress.export.onnx.judge import OWN_DOMAIN
from edgepress.export.tflite import to_tflite
from edgepress.runtime.artifact import FileMetadata
from edgepress.runtime.session import open_session, run_real


class HubMaker:
    """Adds one node after the other; `value` is the last value."""

    def __init__(self, shape: Sequence[int], seed: int = 0):
        self.graph, self.rng = Graph(), np.random.default_rng(seed)
        self.graph.inputs, self.value = ["x"], "x"
        self.graph.shapes["x"] = tuple(shape)
        self.graph.dtypes["x"] = onnx.TensorProto.FLOAT

    def constant(self, values: Any) -> str:
        return self.graph.constant("c", np.asarray(values))

    def node(self, op: str, *more: Any, **attributes: Any) -> HubMaker:
        """A standard operator on the last value; arrays become constants."""
        name = self.graph.fresh(op.lower())
        inputs = [self.value, *(self.constant(v) for v in more)]
        self.graph.add(make_node(op, inputs, [name], **attributes))
        self.value = name
        return self

    def conv(self, shape: Sequence[int], bias: float = 3.0, **attributes: Any) -> HubMaker:
        """A BinaryConv with random signs, scales of both signs, biases."""
        return self._packed("BinaryConv", shape, bias, (1,) * (len(shape) - 2), attributes)

    def dense(self, outputs: int, inputs: int, bias: float = 3.0) -> HubMaker:
        return self._packed("BinaryGemm", (outputs, inputs), bias, (), {})

    def _packed(
        self, op: str, shape: Sequence[int], bias: float, ones: tuple[int, ...], attributes: Any
    ) -> HubMaker:
        count, name = shape[0], self.graph.fresh("layer")
        axes = len(shape) - 2
        usual = {"strides": [1] * axes, "pads": [0] * 2 * axes, "dilations": [1] * axes, "group": 1}
        inputs = [
            self.value,
            self.constant(pack_signs(self.rng.choice([-1, 1], tuple(shape)))),
            self.constant(np.asarray(shape, np.int64)),
            self.constant(self.rng.normal(size=(count, *ones)).astype(np.float32)),
            self.constant((bias * self.rng.normal(size=(count, *ones))).astype(np.float32)),
        ]
        node = make_node(op, inputs, [name], **({**usual, **attributes} if ones else {}))
        node.domain = OWN_DOMAIN
        self.graph.add(node)
        declare(self.graph, op)
        self.value = name
        return self

    def norm(self, channels: int, axes: int = 2) -> HubMaker:
        """Mul and Add with factors of both signs and some zeros, one per channel."""
        factor = self.rng.normal(size=(channels, *(1,) * axes)).astype(np.float32)
        factor[::7] = 0
        offset = self.rng.normal(size=factor.shape).astype(np.float32)
        return self.node("Mul", factor).node("Add", offset)

    def hub(self) -> Any:
        self.graph.outputs = [self.value]
        infer(self.graph)
        model = self.graph.write()
        onnx.checker.check_model(model, full_check=False)
        return model


def inputs_of(hub: Any, seed: int = 0) -> np.ndarray:
    """Real values, some of them exactly 0 and -0."""
    shape = [d.dim_value for d in hub.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    x.reshape(-1)[::11], x.reshape(-1)[1::13] = 0.0, -0.0
    return x


def lce_session(hub: Any, folder: Path, **options: Any) -> Any:
    """The LCE file of a hub in the reference."""
    path = folder / "net.tflite"
    path.write_bytes(to_tflite(hub, binary="lce", metadata=FileMetadata(), **options))
    return open_session(path)


def both(hub: Any, folder: Path, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(onnxruntime's output for the hub, the reference's for its LCE file)."""
    x = inputs_of(hub, seed)
    return run(hub, {"x": x})[0], run_real(lce_session(hub, folder), [x])[0]
