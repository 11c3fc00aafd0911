"""Recognise products of signs in a graph and store them as packed one-bit functions.

A layer qualifies if its constant weights have one magnitude per output channel and its input holds +-1 only. What
follows it per channel (scales, batch normalisation, bias) becomes the function's scale and bias, so the sum of
signs stays an exact integer until one multiplication. `pack_binary` must run before scales are folded into
weights: the float sum of scaled signs rounds, and a sum that should be 0 would flip a bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .functions import declare, pack_signs
from .functions import pack_codes as pack_codes_of
from .graph import Array, Graph, Node, make_node
from .judge import OWN_DOMAIN

_CARRIES_SIGNS = frozenset(
    {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Identity", "Slice"}
)


@dataclass
class _Product:
    """A convolution or dense layer over signs: W = signs * magnitude per output channel."""

    node: Node
    source: str
    signs: Array
    scale: Array
    bias: Array
    spatial: int


def pack_binary(graph: Graph) -> bool:
    """Replace every product of signs in `graph` by `BinaryConv` or `BinaryGemm`; True if there was one."""
    found = False
    for node in graph.sorted_nodes():
        if node in graph.nodes and (product := _product(graph, node)) is not None:
            _absorb(graph, product)
            _replace(graph, product)
            found = True
    return found


def pack_codes(graph: Graph) -> bool:
    """Replace dense layers whose weights are s times -2, -1, 0 or 1 by `TernaryGemm`; True if there was one."""
    found = False
    for node in graph.sorted_nodes():
        weight = _weight(graph, node) if not node.domain and node.op in ("Gemm", "MatMul") else None
        if weight is None or node.input(2) or not (weight != 0).any():
            continue
        unit = float(np.abs(weight[weight != 0]).min())
        codes = weight / np.float32(unit)
        if np.isin(codes, (-2, -1, 0, 1)).all():
            _replace_codes(graph, node, codes, unit)
            found = True
    return found


def _replace_codes(graph: Graph, node: Node, codes: Array, unit: float) -> None:
    name, base = node.outputs[0], node.scope or node.outputs[0]
    graph.remove(node)
    inputs = [
        node.input(0),
        graph.constant(f"{base}_codes", pack_codes_of(codes)),
        graph.constant(f"{base}_shape", np.asarray(codes.shape, np.int64)),
    ]
    value = name if unit == 1 else graph.fresh(f"{name}_product")
    made = make_node("TernaryGemm", inputs, [value], name=node.name, scope=node.scope)
    made.domain = OWN_DOMAIN
    graph.add(made)
    if unit != 1:
        scale = graph.constant(f"{base}_unit", np.float32(unit))
        graph.add(make_node("Mul", [value, scale], [name], scope=node.scope))
    declare(graph, "TernaryGemm")


def binary_nodes(graph: Graph) -> list[Node]:
    """Packed layers of a graph, in order."""
    return [n for n in graph.sorted_nodes() if n.domain == OWN_DOMAIN and n.op.startswith("Binary")]


# --------------------------------------------------------------------- recognise


def _product(graph: Graph, node: Node) -> _Product | None:
    if node.domain or node.op not in ("Conv", "Gemm", "MatMul"):
        return None
    weight = _weight(graph, node)
    source, factor = _without_scale(graph, node.input(0))
    if weight is None or not holds_signs(graph, source):
        return None
    magnitude = np.abs(weight.reshape(len(weight), -1))
    if not (magnitude == magnitude[:, :1]).all() or node.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    bias = graph.constants.get(node.input(2)) if node.input(2) else np.zeros(len(weight))
    if bias is None or bias.size not in (1, len(weight)):
        return None
    return _Product(
        node,
        source,
        np.where(weight < 0, -1, 1).astype(np.int8),
        magnitude[:, 0].astype(np.float64) * factor,
        np.broadcast_to(bias.reshape(-1).astype(np.float64), (len(weight),)).copy(),
        weight.ndim - 2 if node.op == "Conv" else 0,
    )


def _weight(graph: Graph, node: Node) -> Array | None:
    """Constant float weights with outputs first, None if the layer has no such weights."""
    weight = graph.constants.get(node.input(1))
    if weight is None or weight.dtype != np.float32:
        return None
    if node.op == "MatMul":
        return weight.T if weight.ndim == 2 else None
    if node.op == "Gemm":
        plain = not node.get("transA", 0) and node.get("alpha", 1.0) == node.get("beta", 1.0) == 1.0
        return (weight if node.get("transB", 0) else weight.T) if plain else None
    return weight


def _without_scale(graph: Graph, name: str) -> tuple[str, float]:
    """(value, s) where `name` is value * s with one number s, else (name, 1)."""
    node = graph.producer(name)
    if node is None or node.domain or node.op != "Mul":
        return name, 1.0
    for index in (0, 1):
        values = graph.constants.get(node.input(index))
        if values is not None and values.size == 1:
            return node.input(1 - index), float(values.reshape(-1)[0])
    return name, 1.0


def holds_signs(graph: Graph, name: str) -> bool:
    """True if every element of value `name` is +1 or -1 (the zeros of a convolution's own padding apart)."""
    values = graph.constants.get(name)
    if values is not None:
        return bool(values.size and np.isin(values, (-1, 1)).all())
    node = graph.producer(name)
    if node is None or node.domain:
        return False
    if node.op == "Where":
        return _is_sign(graph, node) is not None
    if node.op == "Pad":
        return _pads_with_signs(graph, node) and holds_signs(graph, node.input(0))
    if node.op == "Concat":
        return all(holds_signs(graph, part) for part in node.inputs)
    if node.op in _CARRIES_SIGNS:
        return holds_signs(graph, node.input(0))
    return False


def _is_sign(graph: Graph, node: Node) -> str | None:
    """x of Where(x < 0, -1, 1) or Where(x >= 0, 1, -1); None for anything else."""
    test = graph.producer(node.input(0))
    if test is None or test.op not in ("Less", "GreaterOrEqual"):
        return None
    expected = (-1.0, 1.0) if test.op == "Less" else (1.0, -1.0)
    zero = graph.constants.get(test.input(1))
    found = [graph.constants.get(name) for name in node.inputs[1:3]]
    if zero is None or (zero != 0).any() or any(v is None for v in found):
        return None
    same = all(bool((v == e).all()) for v, e in zip(found, expected, strict=True) if v is not None)
    return test.input(0) if same else None


def _pads_with_signs(graph: Graph, node: Node) -> bool:
    value = graph.constants.get(node.input(2))
    plain = node.get("mode", "constant") == "constant"
    return plain and value is not None and bool(np.isin(value, (-1, 1)).all())


# ----------------------------------------------------------------------- absorb


def _absorb(graph: Graph, product: _Product) -> None:
    """Take per-channel arithmetic behind the layer into its scale and bias."""
    while (user := graph.only_user(product.node.outputs[0])) is not None:
        if not _take(graph, product, user):
            return
        name = user.outputs[0]
        graph.remove(user)
        graph.rename_output(product.node, 0, name)


def _take(graph: Graph, product: _Product, user: Node) -> bool:
    """True if `user` is an affine step per output channel; then scale and bias hold it."""
    if user.domain:
        return False
    if user.op == "BatchNormalization":
        constants = [graph.constants.get(name) for name in user.inputs[1:5]]
        if any(c is None for c in constants):
            return False
        gamma, beta, mean, var = (c.astype(np.float64) for c in constants if c is not None)
        factor = gamma / np.sqrt(var + user.get("epsilon", 1e-5))
        product.scale, product.bias = product.scale * factor, (product.bias - mean) * factor + beta
        return True
    if user.op not in ("Add", "Mul", "Sub", "Div"):
        return False
    index = user.inputs.index(product.node.outputs[0])
    values = _per_channel(graph, product, user.input(1 - index))
    if values is None or (index == 1 and user.op in ("Sub", "Div")):
        return False
    if user.op in ("Add", "Sub"):
        product.bias = product.bias + (values if user.op == "Add" else -values)
        return True
    values = values if user.op == "Mul" else 1.0 / values
    product.scale, product.bias = product.scale * values, product.bias * values
    return True


def _per_channel(graph: Graph, product: _Product, name: str) -> Array | None:
    """A constant as one float64 per output channel, None if it varies otherwise."""
    values = graph.constants.get(name)
    if values is None:
        return None
    count, rank = len(product.signs), graph.rank(product.node.outputs[0])
    if values.size == 1:
        return np.full(count, float(values.reshape(-1)[0]))
    shape = (1,) * (rank - values.ndim) + values.shape
    axis = rank - 1 - product.spatial
    if len(shape) != rank or shape[axis] != count or values.size != count:
        return None
    return values.reshape(-1).astype(np.float64)


# ---------------------------------------------------------------------- replace


def _replace(graph: Graph, product: _Product) -> None:
    node = product.node
    op = "BinaryConv" if node.op == "Conv" else "BinaryGemm"
    source = _before_sign(graph, product.source)
    ones = (1,) * product.spatial
    base = node.scope or node.outputs[0]
    inputs = [
        source,
        graph.constant(f"{base}_signs", pack_signs(product.signs)),
        graph.constant(f"{base}_shape", np.asarray(product.signs.shape, np.int64)),
        graph.constant(f"{base}_scale", product.scale.astype(np.float32).reshape(-1, *ones)),
        graph.constant(f"{base}_bias", product.bias.astype(np.float32).reshape(-1, *ones)),
    ]
    attributes = {}
    if op == "BinaryConv":
        attributes = {
            "strides": node.get("strides", list(ones)),
            "pads": node.get("pads", [0] * (2 * product.spatial)),
            "dilations": node.get("dilations", list(ones)),
            "group": node.get("group", 1),
        }
    name = node.outputs[0]
    graph.remove(node)
    made = make_node(op, inputs, [name], name=node.name, scope=node.scope, **attributes)
    made.domain = OWN_DOMAIN
    graph.add(made)
    declare(graph, op)


def _before_sign(graph: Graph, name: str) -> str:
    """The real value whose signs the function takes itself; `name` where signs come another way."""
    node = graph.producer(name)
    if node is None or node.domain:
        return name
    if node.op == "Where":
        return _is_sign(graph, node) or name
    if node.op not in ("Pad", *_CARRIES_SIGNS):
        return name
    # Moving and picking values commutes with their signs; a Pad's fill is +-1, its own sign.
    inner = _before_sign(graph, node.input(0))
    if inner == node.input(0):
        return name
    moved = graph.fresh(f"{name}_real")
    copy = make_node(node.op, [inner, *node.inputs[1:]], [moved], scope=node.scope)
    copy.attributes = dict(node.attributes)
    graph.add(copy)
    return moved


# ------------------------------------------------------------------------ count


def shares(hub: Any) -> dict[int, tuple[int, int]]:
    """Bit width -> (numbers, bytes) of everything a hub stores to compute with: packed weights, real and int8 ones.

    Bytes are computed from the widths, rounded up per tensor; shapes and other int64 constants are left out.
    """
    graph = Graph.read(hub)
    packed = {n.input(1): n for n in graph.nodes if n.domain == OWN_DOMAIN}
    found: dict[int, tuple[int, int]] = {}
    for name, values in graph.constants.items():
        bits, count = values.dtype.itemsize * 8, values.size
        if name in packed:
            node = packed[name]
            count = int(np.prod(graph.constants[node.input(2)]))
            bits = 2 if node.op == "TernaryGemm" else 1
        elif bits == 64 or values.dtype == bool:
            continue
        had = found.get(bits, (0, 0))
        found[bits] = (had[0] + count, had[1] + (count * bits + 7) // 8)
    return dict(sorted(found.items()))
