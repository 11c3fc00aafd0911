"""Gemm and MatMul to FULLY_CONNECTED (constant right side) and BATCH_MATMUL (two activations).

FULLY_CONNECTED holds its weight as [out, in] and works on the last axis, so the sequence of the axes in
front does not matter to it. An input that was flattened in memory order gets its weight columns
permuted to match (`Lowering.columns`) instead of a TRANSPOSE of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...compress.quantization.qparams import symmetric
from .context import Lowering, lite_quantization
from .layout import NEW, Order, identity, move_last
from .neutral import Array, Node, Value
from .weights import product_scales, store_bias, store_weight, weight_quantization

_HYBRID_VERSION = 3
_NO_BIAS = -1  # FULLY_CONNECTED takes none; unrolled cells would store zeros for every step
_LARGEST_BATCH_RANK = 5  # of BATCH_MATMUL


def gemm(low: Lowering, node: Node) -> None:
    """Lower a Gemm: y = alpha * A' B' + beta * C."""
    value = low.value(node.inputs[1])
    if value.data is None:
        _gemm_of_activations(low, node)
        return
    data = value.data if node.attributes.get("transB") else value.data.T
    channel = 0 if node.attributes.get("transB") else 1
    alpha = float(node.attributes.get("alpha", 1.0))
    if alpha != 1.0:
        value = Value(value.name, value.shape, "float32", value.real() * np.float32(alpha))
        assert value.data is not None  # noqa: S101 (just made)
        data = value.data if node.attributes.get("transB") else value.data.T
    if node.attributes.get("transA"):
        index, order = low.ordered(node.inputs[0], (1, 0)), identity(2)
    else:
        index, order = _rows(low, node.inputs[0])
    bias, addend = _gemm_bias(low, node, data.shape[0])
    _dense(low, node, value, data, channel, index, order, bias, addend)


def _gemm_bias(low: Lowering, node: Node, outputs: int) -> tuple[str, int | None]:
    """(name of a bias FULLY_CONNECTED takes, tensor to add otherwise)."""
    name = node.inputs[2] if len(node.inputs) > 2 else ""
    beta = float(node.attributes.get("beta", 1.0))
    if not name or beta == 0.0:
        return "", None
    value = low.value(name)
    fits = value.is_constant and value.shape in ((outputs,), (1, outputs), (1,), (1, 1), ())
    if beta == 1.0:
        return (name, None) if fits else ("", low.natural(name))
    data = low.constant_of(node, 2)
    if data is None:
        raise low.unsupported(node, "beta with a computed C", "fold beta into a Mul node")
    scaled = f"{name}/beta"
    low.graph.values[scaled] = Value(
        scaled, data.shape, "float32", (data * np.float32(beta)).astype(np.float32)
    )
    return (scaled, None) if fits else ("", low.natural(scaled))


def _gemm_of_activations(low: Lowering, node: Node) -> None:
    """A Gemm whose B is computed: BATCH_MATMUL, then ADD of C."""
    if any(float(node.attributes.get(key, 1.0)) != 1.0 for key in ("alpha", "beta")):
        raise low.unsupported(node, "alpha or beta with a computed B", "fold it into a Mul node")
    inputs = [low.ordered(name, identity(2)) for name in node.inputs[:2]]
    options = {
        "adj_x": bool(node.attributes.get("transA", 0)),
        "adj_y": bool(node.attributes.get("transB", 0)),
    }
    if len(node.inputs) < 3 or not node.inputs[2]:
        low.emit_result(node, "BATCH_MATMUL", inputs, identity(2), options)
        return
    product = low.temporary(node, "product", low.value(node.outputs[0]).shape)
    low.emit(node, "BATCH_MATMUL", inputs, [product], options)
    addend = low.natural(node.inputs[2])
    low.emit_result(node, "ADD", [product, addend], identity(2), activation="fused")


def _rows(low: Lowering, name: str) -> tuple[int, Order]:
    """A tensor whose last physical axis is the last logical one, and the order it lies in."""
    rank = len(low.value(name).shape)
    order = low.order_of(name)
    if rank == 2 and tuple(a for a in order if a != NEW) == (0, 1):
        return low.natural(name), (0, 1)  # axes of length 1 in front do not matter
    order = order if order[-1] == rank - 1 else move_last(order, rank - 1)
    return low.ordered(name, order), order


def _dense(
    low: Lowering,
    node: Node,
    value: Value,
    data: Array,
    channel: int,
    index: int,
    order: Order,
    bias_name: str,
    addend: int | None = None,
) -> None:
    """FULLY_CONNECTED with weight `data` [out, in]; `channel` is its per-channel axis in ONNX."""
    columns = low.columns.get(node.inputs[0])
    if columns is not None:
        data = data[:, columns]
    params = value.quantization
    if params is not None and params.axis is not None and params.axis % 2 != channel:
        raise low.unsupported(
            node, f"weight scales along axis {params.axis}", f"quantize along axis {channel}"
        )
    if node.int8 and low.fc_granularity == "tensor" and params is not None:
        weight, bias = _one_scale(low, node, value, data, bias_name, index)
    else:
        weight = store_weight(low, node, value, data, 0, hybrid="tensor")
        bias = (
            store_bias(low, node, bias_name, data.shape[0], index, weight)
            if bias_name
            else _NO_BIAS
        )
    keep = len(low.value(node.outputs[0]).shape) > 2
    options: dict[str, object] = {"keep_num_dims": keep}
    hybrid = not node.int8 and low.model.tensors[weight].dtype == "int8"
    version = _version(node.int8, hybrid, keep)
    inputs = [index, weight, bias]
    if addend is None:
        low.emit_result(
            node, "FULLY_CONNECTED", inputs, order, options, activation="fused", version=version
        )
        return
    product = low.temporary(node, "product", low.value(node.outputs[0]).shape)
    plain = {**options, "fused_activation_function": "NONE"}
    low.emit(node, "FULLY_CONNECTED", inputs, [product], plain, version)
    low.emit_result(node, "ADD", [product, addend], order, activation="fused")


def _version(int8: bool, hybrid: bool, keep: bool) -> int:
    """Lowest version: 4 takes int8, 3 int8 weights under float activations, 5 keeps dimensions."""
    version = 4 if int8 else _HYBRID_VERSION if hybrid else 1
    return max(version, 5) if keep else version


def _one_scale(
    low: Lowering, node: Node, value: Value, data: Array, bias_name: str, index: int
) -> tuple[int, int]:
    """Weight and bias brought from per-channel scales to one scale, for old and small runtimes."""
    quantization = weight_quantization(node, value, 0)
    scales = np.asarray(quantization.scale, np.float32)[:, None]
    real = data.astype(np.float32) * scales
    params = symmetric(np.abs(real).max())
    weight = low.constant(
        value.name, params.quantize(real).astype(np.int8), lite_quantization(params)
    )
    product_scales(low, index, weight)
    return weight, store_bias(low, node, bias_name, data.shape[0], index, weight)


def matmul(low: Lowering, node: Node) -> None:
    """Lower a MatMul."""
    value = low.value(node.inputs[1])
    if value.data is not None and value.data.ndim == 2 and len(low.value(node.inputs[0]).shape) > 1:
        index, order = _rows(low, node.inputs[0])
        _dense(low, node, value, value.data.T, 1, index, order, "")
        return
    shapes = [low.value(name).shape for name in node.inputs]
    rank = len(low.value(node.outputs[0]).shape)
    if min(len(shape) for shape in shapes) < 2:
        raise low.unsupported(node, "a vector operand", "unsqueeze it to a matrix")
    if rank > _LARGEST_BATCH_RANK:
        raise low.unsupported(
            node, f"a product of {rank} axes", "merge batch axes to have at most 5"
        )
    batch = low.value(node.outputs[0]).shape[:-2]
    lhs, adj_x = _matrix(low, node.inputs[0], batch)
    rhs, adj_y = _matrix(low, node.inputs[1], batch)
    options = {"adj_x": adj_x, "adj_y": adj_y}
    low.emit_result(node, "BATCH_MATMUL", [lhs, rhs], identity(rank), options)


def _matrix(low: Lowering, name: str, batch: tuple[int, ...]) -> tuple[int, bool]:
    """(tensor, whether its last two axes lie swapped): a swapped one is read by adj_x / adj_y.

    Constants are written out for the whole batch: tflite-runtime repeats them wrongly.
    """
    value = low.value(name)
    rank = len(value.shape)
    if value.data is not None and value.shape[:-2] != batch:
        data = np.broadcast_to(value.data, (*batch, *value.shape[-2:]))
        return low.constant(f"{name}/batch", data, lite_quantization(value.quantization)), False
    order = low.order_of(name)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if order == swapped:
        return low.natural(name), True
    return low.ordered(name, identity(rank)), False


def _gemm_fits(node: Node, values: Mapping[str, Value]) -> bool:
    """int8 if the weight is an integer constant, alpha = beta = 1 and C is a bias."""
    weight = values[node.inputs[1]]
    if not weight.is_constant or weight.dtype != "int8" or node.attributes.get("transA"):
        return False
    if any(float(node.attributes.get(key, 1.0)) != 1.0 for key in ("alpha", "beta")):
        return False
    outputs = weight.shape[0 if node.attributes.get("transB") else 1]
    return len(node.inputs) < 3 or not node.inputs[2] or _is_bias(values[node.inputs[2]], outputs)


def _is_bias(value: Value, outputs: int) -> bool:
    return value.is_constant and value.shape in ((outputs,), (1, outputs), (1,), (1, 1), ())


def _matmul_fits(node: Node, values: Mapping[str, Value]) -> bool:
    """int8 if both sides are integers; a batch of constant matrices needs one scale."""
    sides: Sequence[Value] = [values[name] for name in node.inputs]
    if any(side.quantization is None for side in sides):
        return False
    weight = sides[1]
    if weight.is_constant and len(weight.shape) == 2:
        return True
    return all(side.quantization is not None and side.quantization.axis is None for side in sides)


LOWERINGS = {"Gemm": gemm, "MatMul": matmul}

INT8 = {"Gemm": _gemm_fits, "MatMul": _matmul_fits}
