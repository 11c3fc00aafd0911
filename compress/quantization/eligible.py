"""Which nodes of a float hub compute on integers, and why the others do not.

A node is int8 if `rules.py` has a rule for its operator and the kernel can take this form of it: constant weights,
one divisor for all windows, bounds and slopes that are known. The TFLite writer asks the same again of every
node it meets; where it says no to what was planned here, the node computes in float between DEQUANTIZE and
QUANTIZE with the planned parameters.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.errors import UsageError
from .graph import GraphView, NodeView
from .rules import INT8_GAPS, OutputRule, by_onnx

LARGEST_TIED_CONSTANT = 1e4
"""A constant of a same-scale operator beyond this (a mask of -1e9, an infinite padding) leaves no room for values."""

ASKED = "kept float as asked"

MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"})
"""Operators that only rearrange: between float nodes they stay float."""


@dataclass(frozen=True)
class Split:
    """Nodes by name: those on integers, and the reasons of float ones (nodes without real values are in neither)."""

    int8: Mapping[str, NodeView]
    float_nodes: Mapping[str, str]


def split_nodes(view: GraphView, keep_float: Sequence[str] = ()) -> Split:
    """Decide for every node.

    Args:
        view: float hub.
        keep_float: node names, layer names (everything below "layer1.0") or globs.

    Raises:
        UsageError: an entry of `keep_float` names nothing in the model.
    """
    asked = kept_names(view, keep_float)
    reasons: dict[str, str] = {}
    int8: dict[str, NodeView] = {}
    for node in view.nodes:
        if not _has_real_values(view, node):
            continue
        reason = ASKED if node.name in asked else refusal(view, node)
        if reason is None:
            int8[node.name] = node
        else:
            reasons[node.name] = reason
    _share_fate(view, int8, reasons)
    _leave_moves_among_floats(view, int8, reasons)
    return Split(int8, reasons)


def kept_names(view: GraphView, wanted: Sequence[str]) -> set[str]:
    """Nodes that `wanted` names: exactly, as a layer that holds them, by glob, or by an output tensor."""
    found: set[str] = set()
    for entry in wanted:
        hits = {
            node.name
            for node in view.nodes
            if node.name == entry
            or node.name.startswith(f"{entry}.")
            or fnmatch.fnmatchcase(node.name, entry)
            or entry in node.outputs
        }
        if not hits:
            names = [node.name for node in view.nodes]
            near = difflib.get_close_matches(entry, names, 3, 0.4) or names[:3]
            raise UsageError(
                f"no layer is called {entry!r}",
                where="keep_float",
                hint=f"did you mean {', '.join(near)}?",
            )
        found |= hits
    return found


def _has_real_values(view: GraphView, node: NodeView) -> bool:
    return any(view.is_real(name) for name in (*node.inputs, *node.outputs) if name)


def refusal(view: GraphView, node: NodeView) -> str | None:
    """Why no int8 kernel computes this node; None if one does."""
    if node.domain:
        return f"{node.domain}::{node.op} is not a standard operator"
    rule = by_onnx(node.op)
    if rule is None and node.op not in ("Relu", "Clip"):
        return f"{node.op} has no int8 kernel"
    if rule is not None and rule.tflite in INT8_GAPS:
        return f"not every engine has an int8 kernel of {node.op}"
    if (
        rule is not None
        and rule.output is not OutputRule.UNQUANTIZED
        and not view.real_outputs(node)
    ):
        return f"{node.op} of values that are not real numbers"
    if not any(view.is_activation(name) for name in node.inputs) and node.op != "Gather":
        return "it reads no activation"
    special = _CONDITIONS.get(node.op)
    reason = special(view, node) if special else None
    return reason or _constants_fit(view, node, rule.output if rule else OutputRule.FREE)


def _constants_fit(view: GraphView, node: NodeView, rule: OutputRule) -> str | None:
    """Same-scale operators store their constants under the activations' scale: huge ones would swallow it."""
    if rule is not OutputRule.SAME_AS_INPUT:
        return None
    for _, name in view.real_inputs(node):
        values = view.constants.get(name)
        if values is None or not values.size:
            continue
        largest = float(np.abs(values).max())
        if not largest <= LARGEST_TIED_CONSTANT:
            return f"its constant {largest:g} would take up the whole int8 range"
    return None


def _layer(view: GraphView, node: NodeView) -> str | None:
    """Convolutions: constant weight and bias, one or two spatial axes."""
    if node.input(1) not in view.constants:
        return "its weight is computed at run time"
    if node.input(2) and node.input(2) not in view.constants:
        return "its bias is computed at run time"
    return None if len(view.shape(node.input(1))) in (3, 4) else "only 1-D and 2-D kernels exist"


def _gemm(view: GraphView, node: NodeView) -> str | None:
    if node.input(1) not in view.constants:
        return "its weight is computed at run time"
    attributes = node.attributes
    if attributes.get("transA") or any(attributes.get(k, 1.0) != 1.0 for k in ("alpha", "beta")):
        return "transA, alpha and beta have no int8 form"
    channels = view.shape(node.input(1))[0 if attributes.get("transB") else 1]
    if not node.input(2):
        return None
    shape = view.shape(node.input(2))
    fits = shape in ((channels,), (1, channels)) and node.input(2) in view.constants
    return None if fits else "its C is not one constant number per output"


def _matmul(view: GraphView, node: NodeView) -> str | None:
    if min(len(view.shape(name)) for name in node.inputs) < 2:
        return "a vector operand has no int8 form"
    return None


def _average_pool(view: GraphView, node: NodeView) -> str | None:
    """TFLite divides by the number of pixels under the window: padding must not change what is meant."""
    attributes = node.attributes
    if len(view.shape(node.inputs[0])) not in (3, 4):
        return "only 1-D and 2-D pooling exists"
    if attributes.get("ceil_mode"):
        return "ceil_mode has no int8 form"
    automatic = attributes.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    padded = any(attributes.get("pads", ())) or automatic
    if padded and not attributes.get("count_include_pad"):
        return "padded pixels do not count, which takes a correction in float"
    return None


def _constant_input(view: GraphView, node: NodeView) -> str | None:
    return None if node.input(1) in view.constants else "its slope is computed at run time"


def _clip(view: GraphView, node: NodeView) -> str | None:
    return None if view.clip_bounds(node) is not None else "its bounds are computed at run time"


def _resize(view: GraphView, node: NodeView) -> str | None:
    if node.attributes.get("mode", "nearest") not in ("nearest", "linear"):
        return f"mode {node.attributes['mode']} has no int8 form"
    return None if view.is_activation(node.inputs[0]) else "it reads no activation"


_CONDITIONS: dict[str, Callable[[GraphView, NodeView], str | None]] = {
    "Conv": _layer,
    "ConvTranspose": _layer,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "AveragePool": _average_pool,
    "PRelu": _constant_input,
    "Clip": _clip,
    "Resize": _resize,
}


def _share_fate(view: GraphView, int8: dict[str, NodeView], reasons: dict[str, str]) -> None:
    """A fused activation and the node it belongs to are one kernel: both int8 or both float."""
    for node in view.nodes:
        after = view.fused_activation(node)
        if after is None or (node.name in int8) == (after.name in int8):
            continue
        stays, goes = (after, node) if node.name in int8 else (node, after)
        reasons[goes.name] = f"computed together with {stays.name!r}"
        del int8[goes.name]


def _leave_moves_among_floats(
    view: GraphView, int8: dict[str, NodeView], reasons: dict[str, str]
) -> None:
    """Take out moves that no int8 node feeds or reads, until nothing changes."""
    changed = True
    while changed:
        changed = False
        for name in [n for n, node in int8.items() if node.op in MOVES]:
            node = int8[name]
            readers = [r for out in node.outputs for r, _ in view.consumers.get(out, [])]
            before = view.producer.get(node.inputs[0])
            near = [*readers, *([before] if before is not None else [])]
            if near and not any(other.name in int8 for other in near):
                reasons[name] = "between float nodes"
                del int8[name]
                changed = True
