"""Readable, unique, repeatable names: torch's module paths where known, the file's own names elsewhere.

A node is called like the value it writes: "layer1.0.conv1", "layer1.0.relu". Graph inputs and outputs keep
their names; a node that writes a graph output is still called by its place in the model.
"""

from __future__ import annotations

import ast
from collections import Counter

from .graph import Graph, Node

_ROLES = {
    ("Reshape", 1): "shape",
    ("Expand", 1): "shape",
    ("Conv", 1): "weight",
    ("ConvTranspose", 1): "weight",
    ("Gemm", 1): "weight",
    ("MatMul", 1): "weight",
    ("Conv", 2): "bias",
    ("ConvTranspose", 2): "bias",
    ("Gemm", 2): "bias",
    ("PRelu", 1): "slope",
    ("ReduceMean", 1): "axes",
    ("Squeeze", 1): "axes",
    ("Unsqueeze", 1): "axes",
    ("Pad", 1): "pads",
    ("Slice", 1): "starts",
    ("Slice", 2): "ends",
    ("Slice", 3): "axes",
    ("Slice", 4): "steps",
    ("Gather", 1): "indices",
    ("Split", 1): "split",
}


def name_by_module(graph: Graph, parameters: frozenset[str]) -> None:
    """Rename nodes, values and constants after torch's modules; `parameters` keep their names."""
    nodes = graph.sorted_nodes()
    paths = [module_path(node.scope) for node in nodes]
    count = Counter(paths)
    prefixes = _prefixes({*paths, *(name.rpartition(".")[0] for name in parameters)})
    taken = {*graph.inputs, *graph.outputs}
    wanted: list[str] = []
    for node, path in zip(nodes, paths, strict=True):
        alone = path and count[path] == 1 and path not in prefixes
        wanted.append(_unique(path if alone else _join(path, node.op.lower()), taken))
    _rename_all(graph, nodes, wanted)
    _rename_constants(graph, nodes, parameters)


def _prefixes(paths: set[str]) -> set[str]:
    """Paths that have another path below them."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition(".")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition(".")[0]
    return found


def module_path(scope: str) -> str:
    """Module path of a node: from the exporter's list of scopes, or from a traced name like /layer1/conv/Conv."""
    if scope.startswith("["):
        try:
            scopes = ast.literal_eval(scope)
        except (ValueError, SyntaxError):
            return ""
        return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) >= 2 else ""
    path, last = "", ""
    for part in [p for p in scope.split("/") if p][:-1]:
        if last and (part == last or part.startswith(f"{last}.")):
            path = path[: len(path) - len(last)] + part
        else:
            path = f"{path}.{part}" if path else part
        last = part
    return path


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _unique(name: str, taken: set[str]) -> str:
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    taken.add(candidate)
    return candidate


def _rename_all(graph: Graph, nodes: list[Node], names: list[str]) -> None:
    """Give nodes and the values they write their names; a first round avoids collisions on the way."""
    final: list[tuple[Node, int, str]] = []
    for node, name in zip(nodes, names, strict=True):
        node.name = name
        for index, output in enumerate(node.outputs):
            if output and output not in graph.outputs:
                final.append((node, index, name if index == 0 else f"{name}.{index}"))
    for number, (node, index, _) in enumerate(final):
        graph.rename_output(node, index, f"\0{number}")
    for node, index, name in final:
        graph.rename_output(node, index, name if _free(graph, name) else graph.fresh(name))


def _free(graph: Graph, name: str) -> bool:
    return name not in graph.constants and graph.producer(name) is None


def _rename_constants(graph: Graph, nodes: list[Node], parameters: frozenset[str]) -> None:
    done = set(parameters)
    for node in nodes:
        for index, name in enumerate(node.inputs):
            if name not in graph.constants or name in done:
                continue
            role = _ROLES.get((node.op, index), "constant")
            values = graph.constants.pop(name)
            new = f"{node.name}.{role}"
            new = new if _free(graph, new) and new not in graph.inputs else graph.fresh(new)
            graph.constants[new] = values
            graph.replace_uses(name, new)
            done.add(new)


def name_by_file(graph: Graph) -> None:
    """Keep the names a file came with; unnamed or doubly named nodes take the name of what they write."""
    taken: set[str] = set()
    for node in graph.sorted_nodes():
        node.name = _unique(node.name or next(name for name in node.outputs if name), taken)
