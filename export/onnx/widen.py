"""Half, bfloat16 and double models become float32: how weights are stored is the exporter's choice."""

from __future__ import annotations

import numpy as np

from .constants import constant_nodes_to_initializers
from .graph import Graph


def to_float32(graph: Graph) -> bool:
    """Turn every float16, bfloat16 and float64 tensor of the graph into float32, in place; True if 16-bit ones did."""
    import onnx

    others = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}
    constant_nodes_to_initializers(graph)
    seen: set[int] = set()
    for name in [*graph.inputs, *graph.outputs]:
        if graph.dtypes.get(name) in others:
            seen.add(graph.dtypes[name])
            graph.dtypes[name] = onnx.TensorProto.FLOAT
    for name, values in graph.constants.items():
        dtype = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
        if dtype in others:
            seen.add(dtype)
            graph.constants[name] = values.astype(np.float32)
    for node in graph.nodes:
        for key in ("to", "dtype", "output_dtype"):
            if key in node.attributes and node.get(key) in others:
                seen.add(node.get(key))
                node.set(key, onnx.TensorProto.FLOAT)
        if node.op == "ConstantOfShape" and "value" in node.attributes:
            value = onnx.numpy_helper.to_array(node.attributes["value"].t)
            if node.attributes["value"].t.data_type in others:
                node.set("value", onnx.numpy_helper.from_array(value.astype(np.float32)))
    return bool(seen - {onnx.TensorProto.DOUBLE})
