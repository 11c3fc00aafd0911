"""Small ONNX files for tests of sessions and layer tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray],
    *,
    kinds: Mapping[str, int] | None = None,
    domains: Sequence[str] = (),
    functions: Sequence[Any] = (),
) -> onnx.ModelProto:
    """An opset-21 model without inferred shapes; float32 borders unless `kinds` says else."""
    types = dict(kinds or {})
    graph = helper.make_graph(
        list(nodes),
        "g",
        [
            helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), s)
            for n, s in inputs.items()
        ],
        [helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), None) for n in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=list(functions))


def save(made: onnx.ModelProto, path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a model, with `metadata_props`."""
    for key, value in (metadata or {}).items():
        made.metadata_props.add(key=key, value=value)
    path.write_bytes(made.SerializeToString())
    return path


def affine_model(shape: Sequence[Any] = (1, 2), scale: float = 2.0) -> onnx.ModelProto:
    """y = scale * x + 1."""
    nodes = [
        helper.make_node("Mul", ["x", "s"], ["m"], "scale"),
        helper.make_node("Add", ["m", "one"], ["y"], "shift"),
    ]
    constants = {"s": np.float32(scale), "one": np.float32(1)}
    return model(nodes, {"x": shape}, ["y"], constants)


def int8_borders(scale: float = 0.5, zero_point: int = -3) -> onnx.ModelProto:
    """int8 -> DequantizeLinear -> x2 -> QuantizeLinear -> int8 with twice the scale."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["xf"]),
        helper.make_node("Mul", ["xf", "two"], ["yf"]),
        helper.make_node("QuantizeLinear", ["yf", "sy", "zx"], ["y"]),
    ]
    constants = {
        "sx": np.float32(scale),
        "sy": np.float32(2 * scale),
        "zx": np.int8(zero_point),
        "two": np.float32(2),
    }
    kinds = {"x": TensorProto.INT8, "y": TensorProto.INT8}
    return model(nodes, {"x": [1, 4]}, ["y"], constants, kinds=kinds)


def _node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, outputs, outputs[0], **attributes)


def qdq_conv(bits: int = 8) -> onnx.ModelProto:
    """Conv in Q/DQ form with a Relu, int8 weights per channel and an int32 bias."""
    kind = TensorProto.INT4 if bits == 4 else TensorProto.INT8
    nodes = [
        _node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        _node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        _node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        _node("DequantizeLinear", ["b", "sb", "zb"], ["bd"], axis=0),
        _node("Conv", ["xd", "wd", "bd"], ["c"]),
        _node("Relu", ["c"], ["r"]),
        _node("QuantizeLinear", ["r", "s", "z"], ["rq"]),
        _node("DequantizeLinear", ["rq", "s", "z"], ["y"]),
    ]
    constants = {
        "s": np.float32(0.1),
        "z": np.int8(0),
        "sw": np.ones(4, np.float32),
        "sb": np.ones(4, np.float32),
        "b": np.ones(4, np.int32),
        "zb": np.zeros(4, np.int32),
    }
    made = model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants)
    made.graph.initializer.append(helper.make_tensor("w", kind, [4, 2, 3, 3], [1] * 72))
    made.graph.initializer.append(helper.make_tensor("zw", kind, [4], [0] * 4))
    return made
