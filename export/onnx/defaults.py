"""Attributes that only repeat what the operator does anyway are left out: smaller files, one form to read."""

from __future__ import annotations

from functools import cache
from typing import Any

from .graph import OPSET, Graph


def drop_defaults(graph: Graph) -> bool:
    """Remove attributes whose value is the default of opset 21's schema."""
    changed = False
    for node in graph.nodes:
        if node.domain:
            continue
        for name, value in list(node.attributes.items()):
            default = _defaults(node.op).get(name)
            if default is not None and _same(value, default):
                node.set(name, None)
                changed = True
    return changed


@cache
def _defaults(op: str) -> dict[str, Any]:
    import onnx

    if not onnx.defs.has(op, max_inclusive_version=OPSET, domain=""):
        return {}
    schema = onnx.defs.get_schema(op, OPSET, "")
    return {
        name: attribute.default_value
        for name, attribute in schema.attributes.items()
        if attribute.default_value.type
    }


def _same(value: Any, default: Any) -> bool:
    fields = ("f", "i", "s")
    return value.type == default.type and any(
        value.HasField(field)
        and default.HasField(field)
        and getattr(value, field) == getattr(default, field)
        for field in fields
    )
