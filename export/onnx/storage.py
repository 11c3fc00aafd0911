"""Smaller ONNX files of a float hub: float16 weights, int8 weights, or int8 weights with integer dense layers.

    fp16         weights as float16, a Cast to float32 behind each. A graph that computes in float16 throughout
                 would need float16 inputs or casts at every border and has few CPU kernels; this one is half
                 the size, keeps float32 inputs and outputs, and every engine folds the casts at load.
    weight-only  weights as int8, one scale per output channel, a DequantizeLinear behind each; computes in float.
    dynamic      as weight-only, but dense layers and ungrouped convolutions quantize their input as they run
                 (DynamicQuantizeLinear) and multiply integers (MatMulInteger, ConvInteger). Depthwise and
                 grouped convolutions are left at weight-only: one range for all channels ruins them.

Constants with fewer than 128 elements stay float32, as in the TFLite files: what would be written beside them
costs more bytes than it saves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...compress.quantization.qparams import QParams, symmetric
from ...runtime.errors import InputError
from .graph import Array, Graph, Node, make_node
from .infer import infer
from .metadata import finish, read_metadata

SMALLEST_COMPRESSED = 128
"""Constants with fewer elements stay float32."""

_CHANNEL_AXES: dict[str, dict[int, int]] = {
    "Conv": {1: 0},
    "ConvTranspose": {1: 1},
    "MatMul": {1: -1, 0: -2},
    "Gather": {0: 0},
}
"""Operator -> input that holds weights -> axis along which scales run. Gemm depends on transB."""

_GATES = {"LSTM": (3, 1), "GRU": (2, 1), "RNN": (1,)}
"""Recurrent operator -> gates in each piece that a written-out layer multiplies at once (`recurrent.py`)."""


def to_fp16(hub: Any) -> Any:
    """A float hub whose weights are float16 in the file; computes in float32, float32 inputs and outputs.

    Raises:
        InputError: a weight does not fit float16, or the hub is quantized.
    """
    graph = _open(hub, "fp16")
    for name, values in list(graph.constants.items()):
        if values.dtype == np.float32 and values.size >= SMALLEST_COMPRESSED:
            _halve(graph, name, values)
    return _finish(graph, hub, "fp16")


def to_weight_only(hub: Any) -> Any:
    """A float hub whose layer weights are int8 per output channel in the file; computes in float32.

    Raises:
        InputError: the hub is quantized already.
    """
    graph = _open(hub, "weight-only")
    _compress_weights(graph)
    return _finish(graph, hub, "weight-only")


def to_dynamic(hub: Any) -> Any:
    """A float hub with int8 weights whose dense layers and plain convolutions compute on integers.

    `advice` says where that is a bad idea.

    Raises:
        InputError: the hub is quantized already.
    """
    graph = _open(hub, "dynamic")
    quantized: dict[str, tuple[str, str, str]] = {}
    for node in graph.sorted_nodes():
        rewrite = _DYNAMIC.get(node.op) if not node.domain else None
        if rewrite is not None and _compressible(graph, node, 1):
            rewrite(graph, node, quantized)
    _compress_weights(graph)
    return _finish(graph, hub, "dynamic")


def advice(hub: Any, precision: str) -> tuple[str, ...]:
    """What a user should know before a float hub is stored in this precision; empty if nothing."""
    if precision != "dynamic":
        return ()
    large = {
        t.name for t in hub.graph.initializer if np.prod(t.dims, initial=1.0) >= SMALLEST_COMPRESSED
    }
    plain = [n for n in hub.graph.node if n.op_type == "Conv" and n.input[1] in large]
    grouped = [n.name for n in plain if _groups(n) > 1]
    notes = []
    if grouped:
        notes.append(
            f"depthwise or grouped convolutions ({', '.join(grouped[:3])}{', ...' * (len(grouped) > 3)}) lose much "
            "accuracy with one dynamic range for all channels: in ONNX their weights are only stored as int8; "
            "static int8 is the better choice for this model"
        )
    elif plain:
        notes.append(
            "convolutions quantized as they run are rarely faster than float; static int8 is the better choice"
        )
    return tuple(notes)


def _groups(proto: Any) -> int:
    return next((a.i for a in proto.attribute if a.name == "group"), 1)


def _open(hub: Any, precision: str) -> Graph:
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in hub.graph.node):
        raise InputError(
            f"the model is quantized already, it cannot be stored as {precision}",
            hint="give the float model",
        )
    return Graph.read(hub)


def _finish(graph: Graph, hub: Any, precision: str) -> Any:
    infer(graph)
    return finish(graph, replace(read_metadata(hub), precision=precision))


# ------------------------------------------------------------------- storing constants


def _halve(graph: Graph, name: str, values: Array) -> None:
    """Store `name` as float16; a Cast gives the float32 values under the old name."""
    from onnx import TensorProto

    largest = float(np.abs(values).max())
    if largest > float(np.finfo(np.float16).max):
        raise InputError(
            f"a weight of {largest:g} does not fit float16",
            where=f"constant {name!r}",
            hint="export as float32 or scale the layer",
        )
    del graph.constants[name]
    stored = graph.constant(f"{name}.h", values.astype(np.float16))
    graph.add(make_node("Cast", [stored], [name], f"{name}.f", to=TensorProto.FLOAT))


def _compress_weights(graph: Graph) -> None:
    """Every large float weight that is left becomes int8 behind a DequantizeLinear."""
    for node in graph.sorted_nodes():
        for index, axis in _weights_of(node).items():
            if _compressible(graph, node, index):
                _dequantize(graph, node.inputs[index], axis)
        for index in (1, 2) if node.op in _GATES and not node.domain else ():
            if _compressible(graph, node, index):
                _dequantize_gates(graph, node.inputs[index], _GATES[node.op])


def _weights_of(node: Node) -> dict[int, int]:
    if node.domain:
        return {}
    if node.op == "Gemm":
        return {1: 0 if node.get("transB", 0) else 1}
    return _CHANNEL_AXES.get(node.op, {})


def _compressible(graph: Graph, node: Node, index: int) -> bool:
    values = graph.constants.get(node.input(index))
    return values is not None and values.dtype == np.float32 and values.size >= SMALLEST_COMPRESSED


def _dequantize(graph: Graph, name: str, axis: int) -> None:
    """Store `name` as int8 with scales along `axis`; a DequantizeLinear gives floats under the old name."""
    values = graph.constants.pop(name)
    params, integers = _per_channel(values, axis % values.ndim)
    stored = graph.constant(f"{name}.q", integers)
    scale = graph.constant(f"{name}.s", np.asarray(params.scale, np.float32))
    graph.add(
        make_node("DequantizeLinear", [stored, scale], [name], f"{name}.dq", axis=params.axis)
    )


def _dequantize_gates(graph: Graph, name: str, gates: tuple[int, ...]) -> None:
    """Weights of a recurrent layer [directions, gates x hidden, inputs], stored as the TFLite file has them.

    There every direction has scales of its own, and a piece that is too small to compress stays float.
    """
    values = graph.constants[name]
    hidden = values.shape[1] // sum(gates)
    if max(gates) * hidden * values.shape[2] < SMALLEST_COMPRESSED:
        return
    del graph.constants[name]
    ends = np.cumsum(gates) * hidden
    directions = []
    for d in range(len(values)):
        parts = [
            _piece(graph, f"{name}.{d}.{n}", values[d : d + 1, end - count * hidden : end])
            for n, (end, count) in enumerate(zip(ends, gates, strict=True))
        ]
        directions.append(_joined(graph, parts, f"{name}.{d}", 1) if len(parts) > 1 else parts[0])
    _joined(graph, directions, name, 0)


def _piece(graph: Graph, name: str, values: Array) -> str:
    if values.size < SMALLEST_COMPRESSED:
        return graph.constant(name, np.ascontiguousarray(values))
    graph.constants[name] = values
    _dequantize(graph, name, 1)
    return name


def _joined(graph: Graph, parts: list[str], name: str, axis: int) -> str:
    graph.add(make_node("Concat", parts, [name], f"{name}.join", axis=axis))
    return name


def _per_channel(values: Array, axis: int) -> tuple[QParams, Array]:
    others = tuple(a for a in range(values.ndim) if a != axis)
    params = symmetric(np.abs(values).max(axis=others), axis=axis)
    return params, params.quantize(values).astype(np.int8)


# ------------------------------------------------------------------- dynamic layers

Quantized = dict[str, tuple[str, str, str]]


def _quantized_input(graph: Graph, name: str, quantized: Quantized) -> tuple[str, str, str]:
    """(uint8 values, scale, zero point) of an activation, made once."""
    if name not in quantized:
        outputs = [graph.fresh(f"{name}.{part}") for part in ("u8", "us", "uz")]
        graph.add(make_node("DynamicQuantizeLinear", [name], outputs, graph.fresh(f"{name}.dyn")))
        quantized[name] = (outputs[0], outputs[1], outputs[2])
    return quantized[name]


def _dense(graph: Graph, node: Node, quantized: Quantized) -> None:
    """Gemm or MatMul: MatMulInteger with one weight scale per column."""
    weight = graph.constants[node.inputs[1]]
    if weight.ndim != 2 or node.inputs[0] in graph.constants:
        return
    if node.op == "Gemm":
        if node.get("transA", 0) or node.get("alpha", 1.0) != 1.0 or node.get("beta", 1.0) != 1.0:
            return
        weight = weight.T if node.get("transB", 0) else weight
    params, integers = _per_channel(weight, 1)
    source, scale, zero = _quantized_input(graph, node.inputs[0], quantized)
    stored = graph.constant(f"{node.inputs[1]}.q", np.ascontiguousarray(integers))
    product = make_node("MatMulInteger", [source, stored, zero], [""], f"{node.name}.int")
    bias = node.input(2) if node.op == "Gemm" else ""
    _scaled(graph, node, product, scale, np.asarray(params.scale, np.float32), bias)


def _conv(graph: Graph, node: Node, quantized: Quantized) -> None:
    """An ungrouped convolution: ConvInteger with one weight scale per output channel."""
    weight = graph.constants[node.inputs[1]]
    bias = node.input(2)
    if node.get("group", 1) != 1 or (bias and bias not in graph.constants):
        return
    params, integers = _per_channel(weight, 0)
    source, scale, zero = _quantized_input(graph, node.inputs[0], quantized)
    stored = graph.constant(f"{node.inputs[1]}.q", integers)
    product = make_node("ConvInteger", [source, stored, zero], [""], f"{node.name}.int")
    product.attributes = dict(node.attributes)
    shape = (1, -1, *[1] * (weight.ndim - 2))
    if bias:
        bias = graph.constant(f"{bias}.c", graph.constants[bias].reshape(shape))
    _scaled(graph, node, product, scale, np.asarray(params.scale, np.float32).reshape(shape), bias)


def _scaled(
    graph: Graph, node: Node, product: Node, scale: str, weight_scale: Array, bias: str
) -> None:
    """Put `product`, brought back to real numbers, and the bias in the node's place."""
    from onnx import TensorProto

    graph.remove(node)
    stem = node.name
    names = {part: graph.fresh(f"{stem}.{part}") for part in ("i32", "f32", "ws", "ps")}
    product.outputs[0] = names["i32"]
    graph.constants[names["ws"]] = weight_scale
    graph.add(product)
    graph.add(
        make_node("Cast", [names["i32"]], [names["f32"]], f"{stem}.cast", to=TensorProto.FLOAT)
    )
    graph.add(make_node("Mul", [scale, names["ws"]], [names["ps"]], f"{stem}.scales"))
    target = graph.fresh(f"{stem}.lin") if bias else node.outputs[0]
    graph.add(make_node("Mul", [names["f32"], names["ps"]], [target], f"{stem}.scaled"))
    if bias:
        graph.add(make_node("Add", [target, bias], node.outputs, stem, node.scope))


_DYNAMIC: dict[str, Callable[[Graph, Node, Quantized], None]] = {
    "Gemm": _dense,
    "MatMul": _dense,
    "Conv": _conv,
}
