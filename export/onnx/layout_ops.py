"""Operators that only move data, in their shortest form: chains of reshapes, transposes and slices are merged."""

from __future__ import annotations

import numpy as np

from .graph import Array, Graph, Node, make_node

RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def merge_reshapes(graph: Graph) -> bool:
    """Two reshaping operators in a row become one Reshape; an idle pair disappears later as identity."""
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes or node.op not in RESHAPES or node.domain:
            continue
        first = graph.producer(node.inputs[0])
        shape = graph.shape(node.outputs[0])
        if first is None or first.op not in RESHAPES or first.domain or shape is None:
            continue
        if graph.only_user(node.inputs[0]) is not node or 0 in shape:
            continue
        graph.remove(node)
        graph.remove(first)
        _add_reshape(graph, first.inputs[0], node.outputs[0], shape, node)
        changed = True
    return changed


def _add_reshape(
    graph: Graph, source: str, target: str, shape: tuple[int, ...], like: Node
) -> None:
    constant = graph.constant(f"{target}.shape", np.asarray(shape, np.int64))
    graph.add(make_node("Reshape", [source, constant], [target], like.name, like.scope))


def explicit_reshapes(graph: Graph) -> bool:
    """Reshape targets without 0 and -1: the static output shape itself."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "Reshape" and not n.domain]:
        shape = graph.shape(node.outputs[0])
        given = graph.constants.get(node.inputs[1])
        if shape is None or given is None or 0 in shape:
            continue
        if given.shape == (len(shape),) and tuple(given) == shape:
            node.set("allowzero", None)
            continue
        graph.set_input(
            node, 1, graph.constant(f"{node.outputs[0]}.shape", np.asarray(shape, np.int64))
        )
        node.set("allowzero", None)
        changed = True
    return changed


def simplify_transposes(graph: Graph) -> bool:
    """Transposes in a row are composed; one that moves axes of size 1 beside a reshape becomes a Reshape."""
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes or node.op != "Transpose" or node.domain:
            continue
        changed |= _compose(graph, node) or _as_reshape(graph, node)
    return changed


def _perm(graph: Graph, node: Node) -> list[int]:
    rank = graph.rank(node.inputs[0])
    return list(node.get("perm", list(range(rank))[::-1]))


def _compose(graph: Graph, node: Node) -> bool:
    first = graph.producer(node.inputs[0])
    if first is None or first.op != "Transpose" or first.domain or graph.rank(first.inputs[0]) < 0:
        return False
    inner, outer = _perm(graph, first), _perm(graph, node)
    graph.remove(node)
    merged = make_node("Transpose", [first.inputs[0]], node.outputs, node.name, node.scope)
    merged.set("perm", [inner[axis] for axis in outer])
    graph.add(merged)
    return True


def _as_reshape(graph: Graph, node: Node) -> bool:
    shape, result = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
    if shape is None or result is None:
        return False
    moved = [axis for axis in _perm(graph, node) if shape[axis] != 1]
    if moved != sorted(moved):
        return False
    before, after = graph.producer(node.inputs[0]), graph.only_user(node.outputs[0])
    beside = (before is not None and before.op in RESHAPES and graph.only_user(node.inputs[0])) or (
        after is not None and after.op in RESHAPES
    )
    if not beside:
        return False
    graph.remove(node)
    _add_reshape(graph, node.inputs[0], node.outputs[0], result, node)
    return True


def merge_slices(graph: Graph) -> bool:
    """Constant forward slices of different axes in a row become one; bounds are made explicit and positive."""
    changed = False
    for node in graph.sorted_nodes():
        if node not in graph.nodes or node.op != "Slice" or node.domain:
            continue
        own = _bounds(graph, node)
        if own is None:
            continue
        first = graph.producer(node.inputs[0])
        if first is not None and first.op == "Slice" and graph.only_user(node.inputs[0]) is node:
            earlier = _bounds(graph, first)
            if earlier is not None and not set(earlier) & set(own):
                graph.remove(node)
                graph.remove(first)
                _add_slice(graph, first.inputs[0], node, {**earlier, **own})
                changed = True
                continue
        changed |= _make_explicit(graph, node, own)
    return changed


def _bounds(graph: Graph, node: Node) -> dict[int, tuple[int, int, int]] | None:
    """axis -> (start, end, step) within the tensor; None for negative steps or bounds not known."""
    shape = graph.shape(node.inputs[0])
    if shape is None or any(name and name not in graph.constants for name in node.inputs[1:]):
        return None
    starts, ends = (graph.constants[name].reshape(-1) for name in node.inputs[1:3])
    axes = graph.constants[node.inputs[3]].reshape(-1) if node.input(3) else np.arange(len(starts))
    steps = (
        graph.constants[node.inputs[4]].reshape(-1) if node.input(4) else np.ones(len(starts), int)
    )
    found: dict[int, tuple[int, int, int]] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step <= 0:
            return None
        size = shape[int(axis)]
        low, high, _ = slice(int(start), int(end), int(step)).indices(size)
        found[int(axis) % len(shape)] = (low, max(low, high), int(step))
    return found


def _add_slice(
    graph: Graph, source: str, like: Node, bounds: dict[int, tuple[int, int, int]]
) -> None:
    axes = sorted(bounds)
    columns: list[Array] = [np.asarray([bounds[a][i] for a in axes], np.int64) for i in range(3)]
    parts = [columns[0], columns[1], np.asarray(axes, np.int64)]
    roles = ["starts", "ends", "axes"]
    if np.any(columns[2] != 1):
        parts.append(columns[2])
        roles.append("steps")
    target = like.outputs[0]
    names = [
        graph.constant(f"{target}.{role}", part) for role, part in zip(roles, parts, strict=True)
    ]
    graph.add(make_node("Slice", [source, *names], [target], like.name, like.scope))


def _make_explicit(graph: Graph, node: Node, bounds: dict[int, tuple[int, int, int]]) -> bool:
    axes = sorted(bounds)
    wanted = [[bounds[a][0] for a in axes], [bounds[a][1] for a in axes], axes]
    given = [graph.constants[name].reshape(-1).tolist() for name in node.inputs[1:4] if name]
    has_idle_steps = bool(node.input(4)) and bool(np.all(graph.constants[node.inputs[4]] == 1))
    if given == wanted and not has_idle_steps:
        return False
    graph.remove(node)
    _add_slice(graph, node.inputs[0], node, bounds)
    return True


def select_from_concat(graph: Graph) -> bool:
    """Taking one part of a Concat (as `outputs[:, -1]` of a recurrent layer does) reads that part itself."""
    changed = False
    for node in list(graph.nodes):
        if node.domain or node.op not in ("Gather", "Slice"):
            continue
        span = _contiguous_span(graph, node)
        part = None if span is None else _part_at(graph, node.inputs[0], *span)
        shape = graph.shape(node.outputs[0])
        if part is None or shape is None:
            continue
        graph.remove(node)
        _add_reshape(graph, part, node.outputs[0], shape, node)
        changed = True
    return changed


def _contiguous_span(graph: Graph, node: Node) -> tuple[int, int] | None:
    """First element and length of what `node` takes, if that is one run of the flattened input."""
    shape = graph.shape(node.inputs[0])
    if shape is None or 0 in shape:
        return None
    if node.op == "Gather":
        index = graph.constants.get(node.inputs[1])
        if index is None or index.size != 1:
            return None
        axis = int(node.get("axis", 0)) % len(shape)
        start = int(index.reshape(-1)[0]) % shape[axis]
        end = start + 1
    else:
        bounds = _bounds(graph, node)
        if bounds is None or len(bounds) != 1 or any(step != 1 for _, _, step in bounds.values()):
            return None
        axis, (start, end, _) = next(iter(bounds.items()))
    if any(n != 1 for n in shape[:axis]) or end <= start:
        return None
    inner = int(np.prod(shape[axis + 1 :]))
    return start * inner, (end - start) * inner


def _part_at(graph: Graph, name: str, start: int, length: int) -> str | None:
    """The input of a Concat behind reshapes that holds exactly this run of elements."""
    node = graph.producer(name)
    while node is not None and node.op in RESHAPES and not node.domain:
        node = graph.producer(node.inputs[0])
    if node is None or node.op != "Concat" or node.domain:
        return None
    shape = graph.shape(node.outputs[0])
    if shape is None or any(n != 1 for n in shape[: int(node.get("axis")) % len(shape)]):
        return None
    position = 0
    for part in node.inputs:
        size = graph.shape(part)
        if size is None:
            return None
        count = int(np.prod(size))
        if position == start and count == length:
            return part
        position += count
    return None


def gather_nd_to_gather(graph: Graph) -> bool:
    """GatherND with one index per row is Gather along the first axis."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "GatherND" and not n.domain]:
        indices = graph.constants.get(node.inputs[1])
        if indices is None or node.get("batch_dims", 0) or indices.shape[-1] != 1:
            continue
        graph.remove(node)
        rows = graph.constant(f"{node.outputs[0]}.indices", indices[..., 0])
        graph.add(make_node("Gather", [node.inputs[0], rows], node.outputs, node.name, node.scope))
        changed = True
    return changed


def static_sequences(graph: Graph) -> bool:
    """SplitToSequence read by constant positions is Split; SequenceConstruct that is joined again is Concat."""
    changed = False
    for node in [n for n in graph.nodes if n.op == "SplitToSequence" and not n.domain]:
        changed |= _split_sequence(graph, node)
    for node in [n for n in graph.nodes if n.op == "ConcatFromSequence" and not n.domain]:
        source = graph.producer(node.inputs[0])
        if source is None or source.op != "SequenceConstruct" or node.get("new_axis", 0):
            continue
        graph.remove(node)
        joined = make_node("Concat", source.inputs, node.outputs, node.name, node.scope)
        joined.set("axis", node.get("axis"))
        graph.add(joined)
        changed = True
    return changed


def _split_sequence(graph: Graph, node: Node) -> bool:
    users = graph.users(node.outputs[0])
    shape = graph.shape(node.inputs[0])
    positions = [graph.constants.get(user.inputs[1]) for user in users if user.op == "SequenceAt"]
    known = [int(p.reshape(-1)[0]) for p in positions if p is not None]
    if shape is None or len(known) != len(users) or not node.get("keepdims", 1):
        return False
    axis = int(node.get("axis", 0)) % len(shape)
    sizes = _split_sizes(graph, node, shape[axis])
    if sizes is None:
        return False
    names = [graph.fresh(f"{node.outputs[0]}_{index}") for index in range(len(sizes))]
    for user, position in zip(users, known, strict=True):
        graph.remove(user)
        graph.add(make_node("Identity", [names[position]], user.outputs, user.name, user.scope))
    graph.remove(node)
    split = graph.constant(f"{node.outputs[0]}.split", np.asarray(sizes, np.int64))
    graph.add(make_node("Split", [node.inputs[0], split], names, node.name, node.scope, axis=axis))
    return True


def _split_sizes(graph: Graph, node: Node, total: int) -> list[int] | None:
    given = graph.constants.get(node.input(1)) if node.input(1) else np.asarray(1)
    if given is None:
        return None
    if given.ndim == 1:
        return [int(n) for n in given]
    size = int(given)
    return [min(size, total - start) for start in range(0, total, size)]
