"""Products over zeros and ones become products over signs, which can be packed: x = (s + 1) / 2.

    sum w x = sum (w / 2) s + sum w / 2        x = 1 where v > c:   s = sgn(v - c'), c' the float behind c

So DoReFa's one-bit inputs (Zhou et al. 2016: 0 and 1) need no kernel of their own. A border of 0 is a border of -1,
which is one bit, too. The sum of signs is exact; what follows it is rounded once more than before.
"""

from __future__ import annotations

import numpy as np

from .graph import Array, Graph, Node, make_node

_CARRIES = frozenset({"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Pad"})
_PRODUCTS = ("Conv", "Gemm", "MatMul")


def signs_from_levels(graph: Graph) -> bool:
    """Rewrite every value of zeros and ones of which products with one magnitude per output are all that reads it."""
    found = False
    for node in graph.sorted_nodes():
        if node in graph.nodes and (test := _test(graph, node)) is not None:
            readers = _readers(graph, node.outputs[0])
            if readers:
                _rewrite(graph, node, test, readers)
                found = True
    return found


def _test(graph: Graph, node: Node) -> Node | None:
    """The comparison with a constant whose truth `node` casts to float, None for other nodes."""
    if node.domain or node.op != "Cast" or node.get("to") != 1:
        return None
    test = graph.producer(node.input(0))
    if test is None or test.domain or test.op not in ("Greater", "GreaterOrEqual"):
        return None
    bound = graph.constants.get(test.input(1))
    scalar = bound is not None and bound.size == 1 and bound.dtype == np.float32
    return test if scalar else None


def _readers(graph: Graph, name: str) -> list[Node] | None:
    """Nodes that hand the value on and products that read it; None if something else reads it."""
    users = graph.users(name)
    if not users or name in graph.outputs:
        return None
    found: list[Node] = []
    for user in users:
        if user.domain or user.input(0) != name:
            return None
        if user.op in _PRODUCTS:
            if _one_magnitude(graph, user) is None:
                return None
            found.append(user)
            continue
        behind = _readers(graph, user.outputs[0]) if user.op in _CARRIES else None
        if not behind or not _fills_with_levels(graph, user):
            return None
        found += [user, *behind]
    return found


def _one_magnitude(graph: Graph, node: Node) -> Array | None:
    """Weights [outputs, products] with one magnitude per output; None for others."""
    weight = graph.constants.get(node.input(1))
    if weight is None or weight.dtype != np.float32 or node.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    if node.op == "Gemm":
        if node.get("transA", 0) or not node.get("alpha", 1.0) == node.get("beta", 1.0) == 1.0:
            return None
        weight = weight if node.get("transB", 0) else weight.T
    elif node.op == "MatMul":
        if weight.ndim != 2:
            return None
        weight = weight.T
    rows = weight.reshape(len(weight), -1)
    size = np.abs(rows)
    return rows if (size == size[:, :1]).all() else None


def _fills_with_levels(graph: Graph, node: Node) -> bool:
    """A Pad puts a constant 0 or 1 around; other nodes put nothing."""
    if node.op != "Pad":
        return True
    value = graph.constants.get(node.input(2)) if node.input(2) else np.zeros(1)
    plain = node.get("mode", "constant") == "constant"
    return plain and value is not None and bool(np.isin(value, (0, 1)).all())


def _rewrite(graph: Graph, cast: Node, test: Node, readers: list[Node]) -> None:
    base, name = cast.scope or cast.outputs[0], cast.outputs[0]
    signs = _signs(graph, base, test)
    graph.shapes[signs] = graph.shapes[name]
    graph.replace_uses(name, signs)
    graph.remove(cast)
    if not graph.users(test.outputs[0]) and test.outputs[0] not in graph.outputs:
        graph.remove(test)
    for node in readers:
        if node.op == "Pad":
            value = graph.constants[node.input(2)] if node.input(2) else np.zeros(())
            level = np.asarray(2 * value - 1, np.float32)
            graph.set_input(node, 2, graph.constant(f"{base}_border", level))
        elif node.op in _PRODUCTS:
            _halve(graph, node)


def _signs(graph: Graph, base: str, test: Node) -> str:
    """The value -1 where the test fails, 1 where it holds."""
    bound = np.float32(graph.constants[test.input(1)].reshape(()))
    if test.op == "Greater":
        bound = np.nextafter(bound, np.float32(np.inf))
    names = [graph.fresh(f"{base}_{text}") for text in ("above", "negative", "sign")]
    numbers = [graph.constant(f"{base}_number", np.float32(v)) for v in (bound, 0, -1, 1)]
    graph.add(make_node("Sub", [test.input(0), numbers[0]], [names[0]], scope=test.scope))
    graph.add(make_node("Less", [names[0], numbers[1]], [names[1]], scope=test.scope))
    ends = [names[1], numbers[2], numbers[3]]
    graph.add(make_node("Where", ends, [names[2]], scope=test.scope))
    graph.dtypes[names[2]] = 1
    return names[2]


def _halve(graph: Graph, node: Node) -> None:
    """Half the weights, and half their sum added behind; borders of 0 become borders of -1."""
    rows, name = _one_magnitude(graph, node), node.outputs[0]
    assert rows is not None
    base, rank = node.scope or name, graph.rank(name)
    half = graph.constants[node.input(1)] * np.float32(0.5)
    graph.set_input(node, 1, graph.constant(f"{base}_half", half))
    pads = node.get("pads", []) if node.op == "Conv" else []
    if any(pads):
        axes = len(pads) // 2
        amounts = np.asarray([0, 0, *pads[:axes], 0, 0, *pads[axes:]], np.int64)
        around = graph.fresh(f"{base}_around")
        ends = [
            graph.constant(f"{base}_pads", amounts),
            graph.constant(f"{base}_border", np.float32(-1)),
        ]
        graph.add(make_node("Pad", [node.input(0), *ends], [around], scope=node.scope))
        graph.set_input(node, 0, around)
        node.set("pads", [0] * len(pads))
    shape = (-1, *(1,) * (rank - 2)) if node.op == "Conv" else (-1,)
    offset = (rows.sum(1, dtype=np.float64) / 2).astype(np.float32).reshape(shape)
    product = graph.fresh(f"{base}_product")
    readers = graph.users(name)
    graph.rename_output(node, 0, product)
    made = make_node(
        "Add", [product, graph.constant(f"{base}_offset", offset)], [name], scope=node.scope
    )
    graph.add(made)
    graph.shapes[name], graph.dtypes[name] = graph.shapes[product], graph.dtypes[product]
    for reader in readers:
        for index, value in enumerate(reader.inputs):
            if value == product:
                graph.set_input(reader, index, name)
