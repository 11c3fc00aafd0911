"""Fully connected layers in one form: Gemm(x, W, b) with transB=1 and a bias vector, everything else split off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .graph import Array, Graph, Node, make_node


@dataclass(frozen=True)
class Weight:
    """A constant operand, plain or behind a DequantizeLinear (`node`), and the name of its values."""

    values: str
    node: Node | None = None


def constant_operand(graph: Graph, name: str) -> Weight | None:
    """`name` as a constant or a dequantized constant, else None."""
    if name in graph.constants:
        return Weight(name)
    node = graph.producer(name)
    if node is None or node.op != "DequantizeLinear" or node.domain:
        return None
    if all(source in graph.constants for source in node.inputs if source):
        return Weight(node.inputs[0], node)
    return None


def matmul_to_gemm(graph: Graph) -> bool:
    """MatMul of a rank-2 value with a constant becomes Gemm(transB=1), taking a bias Add along."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "MatMul" and not n.domain]:
        if graph.rank(node.inputs[0]) != 2 or graph.rank(node.inputs[1]) != 2:
            continue
        if constant_operand(graph, node.inputs[0]) or not constant_operand(graph, node.inputs[1]):
            continue
        graph.remove(node)
        weight = transposed(graph, node.inputs[1])
        gemm = make_node(
            "Gemm", [node.inputs[0], weight], list(node.outputs), node.name, node.scope
        )
        gemm.set("transB", 1)
        graph.add(gemm)
        changed = True
    return _take_bias(graph) or changed


def transposed(graph: Graph, name: str) -> str:
    """A rank-2 constant (or dequantized constant) transposed, for a reader that was just taken out.

    Where nobody else reads it the values are replaced, else they get a name of their own.
    """
    operand = constant_operand(graph, name)
    assert operand is not None
    values = np.ascontiguousarray(graph.constants[operand.values].T)
    readers = [user for user in graph.users(operand.values) if user is not operand.node]
    only_here = not readers and not graph.users(name)
    if only_here:
        graph.constants[operand.values] = values
        stored = operand.values
    else:
        stored = graph.constant(f"{operand.values}.transposed", values)
    if operand.node is None:
        return stored
    old = operand.node
    output = graph.fresh(f"{old.outputs[0]}.transposed")
    new = make_node("DequantizeLinear", [stored, *old.inputs[1:]], [output], "", old.scope)
    new.attributes.update(old.attributes)
    if graph.constants[old.inputs[1]].ndim == 1 and graph.constants[old.inputs[1]].size > 1:
        new.set("axis", 1 - old.get("axis", 1) % 2)
    graph.add(new)
    if only_here:
        graph.remove(old)
    return output


def _take_bias(graph: Graph) -> bool:
    """Gemm without bias followed by Add of a vector: the vector becomes the bias."""
    changed = False
    for add in [n for n in graph.nodes if n.op == "Add" and not n.domain]:
        for index in (0, 1):
            gemm = graph.producer(add.inputs[index])
            other = add.inputs[1 - index]
            if gemm is None or gemm.op != "Gemm" or len(gemm.inputs) > 2 or gemm.domain:
                continue
            shape = graph.shape(gemm.outputs[0])
            if shape is None or graph.only_user(gemm.outputs[0]) is not add:
                continue
            bias = _as_vector(graph, other, shape[-1], len(shape))
            if bias is None:
                continue
            graph.remove(add)
            graph.set_input(gemm, 2, bias)
            graph.rename_output(gemm, 0, add.outputs[0])
            changed = True
            break
    return changed


def _as_vector(graph: Graph, name: str, size: int, rank: int) -> str | None:
    """`name` as a constant vector of `size` values, None if it is none or would widen the result."""
    operand = constant_operand(graph, name)
    if operand is None:
        return None
    values = graph.constants[operand.values]
    if values.size not in (1, size) or values.ndim > rank:
        return None
    if values.ndim and values.shape[-1] != values.size:
        return None
    if values.shape == (size,):
        return name
    if operand.node is not None:
        return None
    return graph.constant(f"{name}.bias", np.broadcast_to(values.reshape(-1), (size,)).copy())


def normalise_gemm(graph: Graph) -> bool:
    """Gemm attributes alpha, beta, transA and transB=0 are worked into constants or split off as nodes."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "Gemm" and not n.domain]:
        changed |= _normalise_one(graph, node)
    return changed


def _normalise_one(graph: Graph, node: Node) -> bool:
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    trans_a, trans_b = int(node.get("transA", 0)), int(node.get("transB", 0))
    operand = constant_operand(graph, node.inputs[1])
    bias_ok = _bias_is_vector(graph, node)
    if operand and trans_b and not trans_a and alpha == 1.0 and beta == 1.0 and bias_ok:
        return False
    target, scope = node.outputs[0], node.scope
    bias = node.input(2)
    graph.remove(node)
    left = node.inputs[0]
    if trans_a:
        left = _insert(graph, "Transpose", [left], f"{target}.input", scope, perm=[1, 0])
    if operand is None:
        return _as_matmul(graph, node, left, alpha, beta)
    right = node.inputs[1] if trans_b else transposed(graph, node.inputs[1])
    if alpha != 1.0 and operand.node is None:
        scaled = (graph.constants[right] * np.float32(alpha)).astype(graph.constants[right].dtype)
        right, alpha = graph.constant(right, scaled), 1.0
    shape = graph.shape(target)
    vector = None
    if bias and shape is not None and alpha == 1.0:
        scaled_bias = _scaled(graph, bias, beta)
        vector = _as_vector(graph, scaled_bias, shape[-1], 2) if scaled_bias else None
    gemm_output = (
        target if (alpha == 1.0 and (vector or not bias)) else graph.fresh(f"{target}.product")
    )
    gemm = make_node(
        "Gemm", [left, right, *([vector] if vector else [])], [gemm_output], node.name, scope
    )
    gemm.set("transB", 1)
    graph.add(gemm)
    if gemm_output != target:
        _scale_and_add(graph, gemm_output, alpha, beta, "" if vector else bias, target, scope)
    return True


def _bias_is_vector(graph: Graph, node: Node) -> bool:
    bias, shape = node.input(2), graph.shape(node.outputs[0])
    if not bias:
        return True
    return shape is not None and _is_constant_vector(graph, bias, shape[-1])


def _is_constant_vector(graph: Graph, name: str, size: int) -> bool:
    operand = constant_operand(graph, name)
    return operand is not None and graph.constants[operand.values].shape == (size,)


def _scaled(graph: Graph, name: str, factor: float) -> str | None:
    operand = constant_operand(graph, name)
    if operand is None or (operand.node is not None and factor != 1.0):
        return None
    if factor == 1.0:
        return name
    values: Array = graph.constants[name]
    return graph.constant(name, (values * np.float32(factor)).astype(values.dtype))


def _as_matmul(graph: Graph, node: Node, left: str, alpha: float, beta: float) -> bool:
    """A Gemm of two computed values is MatMul, and Mul and Add where needed."""
    target, scope, right = node.outputs[0], node.scope, node.inputs[1]
    if node.get("transB", 0):
        right = _insert(graph, "Transpose", [right], f"{target}.weight", scope, perm=[1, 0])
    bias = node.input(2)
    plain = alpha == 1.0 and not bias
    product = target if plain else graph.fresh(f"{target}.product")
    graph.add(make_node("MatMul", [left, right], [product], node.name, scope))
    if not plain:
        _scale_and_add(graph, product, alpha, beta, bias, target, scope)
    return True


def _scale_and_add(
    graph: Graph, product: str, alpha: float, beta: float, bias: str, target: str, scope: str
) -> None:
    if alpha != 1.0:
        factor = graph.constant(f"{target}.alpha", np.float32(alpha))
        scaled = graph.fresh(f"{target}.scaled") if bias else target
        graph.add(make_node("Mul", [product, factor], [scaled], "", scope))
        product = scaled
    if bias:
        if beta != 1.0:
            factor = graph.constant(f"{target}.beta", np.float32(beta))
            bias = _insert(graph, "Mul", [bias, factor], f"{target}.bias", scope)
        graph.add(make_node("Add", [product, bias], [target], "", scope))


def _insert(
    graph: Graph, op: str, inputs: list[str], base: str, scope: str, perm: list[int] | None = None
) -> str:
    name = graph.fresh(base)
    graph.add(make_node(op, inputs, [name], "", scope, perm=perm))
    return name
