"""Hub ModelProto -> neutral graph: constants read and folded, activations fused, Q/DQ absorbed.

`build(model)` never changes the model. Steps: read nodes, shapes and constants; fuse Relu / Clip into
the operator before them; let `absorb.py` turn Q/DQ pairs into parameters of values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...compress.quantization.qparams import QParams
from ...runtime.errors import InputError, UnsupportedOperatorError
from .absorb import Absorber, Int8Test
from .neutral import Array, Graph, Node, Value
from .parameters import read_parameters

FUSING = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div"}) | {
    "MaxPool",
    "AveragePool",
}
"""Operators that a following Relu / Clip becomes part of."""

_CLIPS = {(0.0, np.inf): "RELU", (0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}


def build(model: Any, int8_operators: Mapping[str, Int8Test], io: str = "int8") -> Graph:
    """Neutral graph of a hub model.

    Args:
        model: onnx.ModelProto, opset 21, static shapes, value_info for every tensor.
        int8_operators: ONNX operator -> test whether its lowering can compute on integers.
        io: "int8" lets quantized inputs and outputs be int8, "float" keeps them float32.

    Raises:
        InputError: a shape is unknown or dynamic, a constant holds NaN, Q/DQ is used as TFLite cannot.
    """
    reader = _Reader(model)
    nodes = _fuse(reader.nodes, reader.constants, set(reader.outputs))
    return Absorber(
        nodes=nodes,
        constants=reader.constants,
        types=reader.types,
        inputs=reader.inputs,
        outputs=reader.outputs,
        int8_operators=int8_operators,
        io=io,
        input_layouts=reader.input_layouts,
    ).run()


class _Reader:
    """Nodes, constants and tensor types of an ONNX graph as plain Python values."""

    def __init__(self, model: Any):
        if model.graph.sparse_initializer:
            raise InputError("sparse initializers are not supported", hint="store them densely")
        self.types = _tensor_types(model)
        self.constants: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self._aliases: dict[str, str] = {}
        for tensor in model.graph.initializer:
            self._add_constant(tensor.name, _array(tensor))
        self.inputs = [i.name for i in model.graph.input if i.name not in self.constants]
        self.outputs = [o.name for o in model.graph.output]
        self.input_layouts = _input_layouts(model)
        for index, proto in enumerate(model.graph.node):
            self._read(proto, index)
        self.outputs = [self._aliases.get(name, name) for name in self.outputs]

    def _add_constant(self, name: str, data: Array, quantization: QParams | None = None) -> None:
        if data.dtype == np.float64:
            data = data.astype(np.float32)
        if data.dtype.kind == "f" and np.isnan(data).any():
            raise InputError(
                "a constant holds NaN", where=f"tensor {name!r}", hint="train or load it again"
            )
        if data.dtype.kind == "f" and data.size > 1 and not np.isfinite(data).all():
            raise InputError(
                "a constant holds infinite values", where=f"tensor {name!r}", hint="clip them"
            )
        self.constants[name] = Value(name, data.shape, data.dtype.name, data, quantization)

    def _read(self, proto: Any, index: int) -> None:
        inputs = tuple(self._aliases.get(name, name) for name in proto.input)
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        name = proto.name or f"{proto.op_type}_{index}"
        node = Node(name, proto.op_type, inputs, tuple(proto.output), _attributes(proto), domain)
        if domain == "" and self._folds(node):
            return
        self.nodes.append(node)

    def _folds(self, node: Node) -> bool:
        """True if the node is a constant or an alias and needs no operator."""
        if node.operator == "Constant":
            self._add_constant(node.outputs[0], _constant_attribute(node))
            return True
        if node.operator in ("Identity", "Dropout"):
            self._aliases[node.outputs[0]] = node.inputs[0]
            return True
        held = [self.constants.get(name) for name in node.inputs if name]
        if node.operator in _FOLDERS and held and all(held):
            _FOLDERS[node.operator](self, node)
            return True
        return False

    def _fold_cast(self, node: Node) -> None:
        from onnx import helper

        dtype = helper.tensor_dtype_to_np_dtype(node.attributes["to"])
        source = self.constants[node.inputs[0]]
        self._add_constant(node.outputs[0], source.real().astype(dtype))

    def _fold_quantize(self, node: Node) -> None:
        """Q of a constant: integers made here, half to even as onnxruntime makes them."""
        source = self.constants[node.inputs[0]]
        params, _ = read_parameters(node, self.constants)
        data = params.quantize(source.real()).astype(np.int8 if params.bits == 8 else np.int32)
        self._add_constant(node.outputs[0], data, params)

    def _fold_dequantize(self, node: Node) -> None:
        """DQ of a constant: the integers stay, the parameters come along."""
        source = self.constants[node.inputs[0]]
        if source.quantization is not None:
            self.constants[node.outputs[0]] = Value(
                node.outputs[0], source.shape, source.dtype, source.data, source.quantization
            )
            return
        params, unsigned = read_parameters(node, self.constants)
        data = source.real()
        if unsigned:
            data = (data.astype(np.int16) - 128).astype(np.int8)
        if data.dtype.name not in ("int8", "int32"):
            data = data.astype(np.int8)  # int4 and narrower are stored as int8
        self._add_constant(node.outputs[0], data, params)

    def _fold_clip(self, node: Node) -> None:
        source = self.constants[node.inputs[0]]
        bounds = [self.constants[n].real() if n else None for n in node.inputs[1:3]]
        low, high = [*bounds, None, None][:2]
        data = source.data
        if source.quantization is not None and low is not None and low.dtype == np.uint8:
            low, high = (None if b is None else b.astype(np.int16) - 128 for b in (low, high))
        clipped = np.clip(data, low, high).astype(source.dtype)  # type: ignore[arg-type]
        self._add_constant(node.outputs[0], clipped, source.quantization)


_FOLDERS = {
    "Cast": _Reader._fold_cast,
    "QuantizeLinear": _Reader._fold_quantize,
    "DequantizeLinear": _Reader._fold_dequantize,
    "Clip": _Reader._fold_clip,
}


def _fuse(nodes: list[Node], constants: Mapping[str, Value], outputs: set[str]) -> list[Node]:
    """Join Relu / Clip to the operator that alone feeds them (both without Q/DQ between)."""
    uses: dict[str, int] = {}
    for node in nodes:
        for name in node.inputs:
            uses[name] = uses.get(name, 0) + 1
    producer: dict[str, Node] = {}
    kept: list[Node] = []
    for node in nodes:
        before = producer.get(node.inputs[0]) if node.inputs else None
        name = fused_name(node, constants)
        if (
            name
            and before is not None
            and before.activation == "NONE"
            and uses[node.inputs[0]] == 1
            and node.inputs[0] not in outputs
        ):
            before.activation = name
            before.outputs = (node.outputs[0], *before.outputs[1:])
            producer[node.outputs[0]] = before
            continue
        kept.append(node)
        if node.operator in FUSING and node.domain == "":
            producer[node.outputs[0]] = node
    return kept


def fused_name(node: Node, constants: Mapping[str, Value]) -> str:
    """TFLite's name of a Relu or Clip with fitting constant bounds, "" for anything else."""
    if node.operator == "Relu" and node.domain == "":
        return "RELU"
    if node.operator != "Clip" or node.domain:
        return ""
    bounds = clip_bounds(node, constants)
    return "" if bounds is None else _CLIPS.get(bounds, "")


def clip_bounds(node: Node, constants: Mapping[str, Value]) -> tuple[float, float] | None:
    """(low, high) of a Clip, infinite where open; None if they are computed at run time."""
    bounds = [-np.inf, np.inf]
    for position, name in enumerate(node.inputs[1:3]):
        if name and name not in constants:
            return None
        if name:
            bounds[position] = float(constants[name].real().reshape(()))
    return bounds[0], bounds[1]


def _attributes(proto: Any) -> dict[str, Any]:
    from onnx import helper

    found = {}
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        found[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return found


def _constant_attribute(node: Node) -> Array:
    if "value" in node.attributes:
        return _array(node.attributes["value"])
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        for key in (name, f"{name}s"):
            if key in node.attributes:
                return np.asarray(node.attributes[key], dtype)
    raise UnsupportedOperatorError(
        "this kind of constant is not supported", where=f"Constant {node.name!r}"
    )


def _array(tensor: Any) -> Array:
    """numpy form of a TensorProto; raw float32, int8 and int32 data without a detour."""
    from onnx import TensorProto, numpy_helper

    plain = {TensorProto.FLOAT: "<f4", TensorProto.INT8: "i1", TensorProto.INT32: "<i4"}
    dtype = plain.get(tensor.data_type)
    if dtype and tensor.HasField("raw_data"):
        data = np.frombuffer(tensor.raw_data, dtype)
        if data.size == int(np.prod(tensor.dims, dtype=np.int64)):
            return data.reshape(tuple(tensor.dims))
        raise InputError("a constant is shorter than its shape", where=f"tensor {tensor.name!r}")
    array = np.asarray(numpy_helper.to_array(tensor))
    return array.astype(np.int8) if "int4" in array.dtype.name else array


def _tensor_types(model: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """tensor name -> (numpy dtype name, shape); shapes are inferred if the file lacks them."""
    graph = model.graph
    declared = [*graph.input, *graph.output, *graph.value_info]
    if len(declared) < len(graph.node):
        import onnx

        graph = onnx.shape_inference.infer_shapes(model, strict_mode=False).graph
        declared = [*graph.input, *graph.output, *graph.value_info]
    return {info.name: _tensor_type(info) for info in declared}


_DTYPES: dict[int, str] = {}


def _tensor_type(info: Any) -> tuple[str, tuple[int, ...]]:
    from onnx import helper

    kind = info.type.tensor_type
    if kind.elem_type not in _DTYPES:
        _DTYPES[kind.elem_type] = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    dims = kind.shape.dim
    shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
    return _DTYPES[kind.elem_type], shape


def _input_layouts(model: Any) -> tuple[str, ...]:
    """`input_layouts` of the edgepress metadata in the hub, if it has any."""
    from ...runtime.artifact import METADATA_KEY, FileMetadata

    for prop in model.metadata_props:
        if prop.key == METADATA_KEY:
            return FileMetadata.loads(prop.value).input_layouts
    return ()
