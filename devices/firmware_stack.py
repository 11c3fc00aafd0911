"""The most stack that a program can use, from the compiler's own call graph.

GCC writes for each object a graph (`-fcallgraph-info=su`) with the frame of each function and whom it calls. The
deepest path from a function is a bound, unless something on it cannot be known: a recursion, a call through a pointer,
a frame whose size is only known at run time, or a function compiled elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NODE = re.compile(r'node: \{ title: "([^"]*)" label: "([^"]*)"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"')
_FRAME = re.compile(r"(\d+) bytes \(([a-z,]+)\)")
INDIRECT = "__indirect_call"


@dataclass
class CallGraph:
    """Frames in bytes by function (None: not bounded) and calls."""

    frames: dict[str, int | None] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class StackBound:
    """`bytes`, or None and why not; `path` from the first function to the deepest one."""

    bytes: int | None
    reason: str = ""
    path: tuple[str, ...] = ()


def read_call_graph(texts: Iterable[str]) -> CallGraph:
    """The graphs of several objects as one; functions of one object only are called FILE:NAME in them."""
    graph = CallGraph()
    for text in texts:
        for title, label in _NODE.findall(text):
            frame = _FRAME.search(label)
            if frame:
                bounded = "dynamic" not in frame[2] or "bounded" in frame[2]
                graph.frames[title] = int(frame[1]) if bounded else None
        for source, target in _EDGE.findall(text):
            graph.calls.setdefault(source, set()).add(target)
    return graph


def stack_bound(graph: CallGraph, function: str) -> StackBound:
    """The deepest path from `function`."""
    finished: dict[str, StackBound] = {}
    return _bound(graph, function, (), finished)


_DEEPEST = 500


def _bound(
    graph: CallGraph, name: str, above: tuple[str, ...], finished: dict[str, StackBound]
) -> StackBound:
    if name in finished:
        return finished[name]
    reason = _unknown(graph, name, above)
    if reason:
        return StackBound(None, reason)
    deepest = StackBound(0)
    for called in sorted(graph.calls.get(name, ())):
        below = _bound(graph, called, (*above, name), finished)
        if below.bytes is None:
            return below
        if below.bytes > (deepest.bytes or 0):
            deepest = below
    total = (graph.frames[name] or 0) + (deepest.bytes or 0)
    finished[name] = StackBound(total, path=(name, *deepest.path))
    return finished[name]


def _unknown(graph: CallGraph, name: str, above: tuple[str, ...]) -> str:
    """Why the stack below `name` is not bounded, or ""."""
    if name == INDIRECT:
        return f"{above[-1]} calls through a pointer"
    if name in above:
        return f"{name} calls itself"
    if name not in graph.frames:
        by = f", called by {above[-1]}," if above else ""
        return f"the frame of {name}{by} is not known: it was compiled elsewhere"
    if graph.frames[name] is None:
        return f"the frame of {name} has a size known only at run time"
    return f"{name} lies too deep" if len(above) > _DEEPEST else ""
