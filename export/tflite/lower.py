"""Lowers the neutral graph of a hub model to a `LiteModel`: the driver and the context families use.

How an operator family registers. A file `ops_<family>.py` defines

    LOWERINGS: dict[str, Callable[[Lowering, Node], None]]     # ONNX operator -> function
    INT8: dict[str, Int8Test]                                  # those that can compute on integers

and is named in `_FAMILIES` below. `INT8[operator](node, values)` says whether this node can (use
`always` if it always can); where it says no, the node gets float32 inputs and outputs, with
DEQUANTIZE and QUANTIZE put around it by the graph. Nodes of other domains (custom operators) come
through `lower(..., custom={("edgepress", "BinaryConv"): function})`.

Inside a lowering function `(low, node)`:

    value = low.value(name)                 shape and dtype in ONNX terms, parameters, constant data
    data = low.constant_of(node, 1)         numpy array of a constant input in ONNX layout, or None
    low.order_of(name)                      the axis order (layout.py) in which a value lies now
    index = low.ordered(name, order)        its tensor in that order; TRANSPOSE / RESHAPE only if needed
    index = low.natural(name)               its tensor as it lies: for operators that do not mind
    index = low.integers([1, 64])           an int32 constant (shapes, axes, paddings)
    index = low.constant(name, array, q)    any other constant, already in TFLite's layout
    index = low.temporary(node, "pad", shape, like=name)       an unnamed intermediate tensor
    low.emit_result(node, "RESHAPE", [index, ...], order, {...})   emit the operator that makes output 0
    low.emit(node, "PAD", [...], [...], {...})                 emit any operator
    low.reshape_into(node, index, made)                        RESHAPE (SQUEEZE to a scalar), chains joined
    low.alias(node.outputs[0], index, order)                   output shares an existing tensor
    raise low.unsupported(node, "what", "what to do")

A layout-agnostic operator reads `natural`, writes the same order (`low.order_of(name)`). One that
depends on the sequence of axes asks `ordered`. `operands.moved` reads an input of an operator that
moves or selects values (constants under the node's parameters), `ops_elementwise.operand` one that is
broadcast, `broadcast.emit_broadcast` emits within the ranks that engines broadcast.
A logical axis a lies at `layout.physical_axis(order, a, rank)`.

int8 rules. `emit` checks every operator against compress/quantization/rules.py: SAME operators must
have equal parameters on all int8 tensors, FIXED ones the fixed output. Use
`low.input_as(node, name, order, low.quantization(node.outputs[0]))` to read an input under the
output's parameters (one QUANTIZE is put in where they differ, and recorded with its reason), and
`emit_result(..., produced=QParams)` where the kernel makes parameters of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from ...runtime.errors import UnsupportedOperatorError, UsageError
from . import graph as hub_graph
from .absorb import Int8Test
from .borders import place_inputs, place_outputs
from .context import Lowering
from .ir import LiteModel
from .layout import Order
from .lce_graph import LCE, rewrite
from .neutral import BORDER, Node
from .prune import prune

Function = Callable[[Lowering, Node], None]

BINARY_FORMS = ("int8", "lce")

PRECISIONS = ("auto", "float32", "fp16", "int8", "dynamic", "weight-only")

FAMILIES = (
    "ops_activation",
    "ops_compare",
    "ops_conv",
    "ops_conv_transpose",
    "ops_dense",
    "ops_elementwise",
    "ops_join",
    "ops_lce",
    "ops_math",
    "ops_norm",
    "ops_padding",
    "ops_pool",
    "ops_quantize",
    "ops_reduce",
    "ops_resize",
    "ops_shape",
    "ops_slice",
    "ops_space",
)
"""Modules with a table of lowerings, by name: importing them imports onnx."""


def _families() -> tuple[ModuleType, ...]:
    return tuple(import_module(f".{name}", __package__) for name in FAMILIES)


@dataclass(frozen=True)
class Lowered:
    """A `LiteModel` and what a caller may want to know about it.

    Attributes:
        model: ready for `write`.
        extra_quantize: (tensor, reason) of every QUANTIZE the hub's operators do not ask for themselves.
        notes: (tensor, remark) of other decisions.
        orders: tensor name -> axis order, for comparing intermediate values with ONNX.
        input_layouts, output_layouts: axis names as `TensorSpec.layout` has them ("" if plain).
        precision: the precision that was made ("auto" resolved).
    """

    model: LiteModel
    extra_quantize: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...]
    orders: Mapping[str, Order]
    input_layouts: tuple[str, ...]
    output_layouts: tuple[str, ...]
    precision: str


def lower(
    hub: Any,
    *,
    precision: str = "auto",
    io: str = "int8",
    io_layout: str = "nhwc",
    fc_granularity: str = "channel",
    custom: Mapping[tuple[str, str], Function] | None = None,
    binary: str = "int8",
) -> Lowered:
    """Lower a hub model (onnx.ModelProto; never changed) to TFLite's operators.

    Args:
        hub: opset 21, static shapes; quantized if it holds Q/DQ pairs.
        precision: "auto" (int8 if the hub is quantized, weight-only if its weights alone are, else
            float32), "float32", "fp16", "int8",
            "dynamic" (int8 weights, float activations) or "weight-only" (int8 weights, dequantized).
        io: "int8" or "float" inputs and outputs of a quantized hub.
        io_layout: "nhwc" (channels last at the borders) or "nchw" (as torch has it).
        fc_granularity: "channel" or "tensor": scales of FULLY_CONNECTED weights.
        custom: lowerings of nodes of other domains by (domain, operator).
        binary: what packed one-bit layers become: "int8" (built-in operators over +-1), or "lce" (the custom
            operators of Larq Compute Engine, see ops_lce; layers that have no such form become int8, with a note).

    Raises:
        UnsupportedOperatorError: no lowering for an operator or an attribute.
        InputError: the hub breaks a rule it should obey (shapes, int8 parameters, NaN).
        UsageError: an argument is none of the values above.
    """
    _check_choice("precision", precision, PRECISIONS)
    _check_choice("io", io, ("int8", "float"))
    _check_choice("io_layout", io_layout, ("nhwc", "nchw"))
    _check_choice("fc_granularity", fc_granularity, ("channel", "tensor"))
    _check_choice("binary", binary, BINARY_FORMS)
    lowerings, int8_operators = registry()
    hub, remarks = _unpacked(hub, binary, frozenset(custom or ()))
    hub = _written_out(hub, lowerings)
    graph = hub_graph.build(hub, int8_operators, io)
    if binary == "lce":
        graph = rewrite(graph)
    quantized = any(node.int8 or node.domain == BORDER for node in graph.nodes)
    held = any(v.is_constant and v.quantization is not None for v in graph.values.values())
    precision = _resolve(precision, quantized, held)
    low = Lowering(graph, precision, io_layout, fc_granularity)
    place_inputs(low)
    _lower_nodes(low, {**lowerings, **(custom or {})})
    output_layouts = place_outputs(low)
    orders = low.orders()
    prune(low.model)
    names = {tensor.name for tensor in low.model.tensors}
    return Lowered(
        model=low.model,
        extra_quantize=(*graph.notes, *low.extra_quantize),
        notes=(*remarks, *low.notes),
        orders={name: order for name, order in orders.items() if name in names},
        input_layouts=low.input_layouts,
        output_layouts=output_layouts,
        precision=precision,
    )


def _lower_nodes(low: Lowering, lowerings: Mapping[tuple[str, str], Function]) -> None:
    """Every node of the graph, by the lowering of its operator."""
    for node in low.graph.nodes:
        function = lowerings.get((node.domain, node.operator))
        if function is None:
            raise _unknown(node)
        _refuse_empty(low, node)
        function(low, node)


def _unpacked(
    hub: Any, binary: str, custom: frozenset[tuple[str, str]]
) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """(hub whose packed layers have a lowering, (tensor, remark) of those that did not get the form asked for)."""
    from ..onnx.binary_expand import expand

    if binary == "int8":
        return expand(hub, custom), ()
    from ..onnx.binary_links import fold_links
    from .lce_fit import split

    hub = fold_links(hub)
    taken, others = split(hub)
    remarks = tuple((name, f"int8 signs, built-in operators: {why}") for name, why in others)
    return expand(hub, custom, taken), remarks


def _written_out(hub: Any, lowerings: Mapping[tuple[str, str], Function]) -> Any:
    """The hub with operators that no family lowers taken apart: recurrent layers, rarer normalisations."""
    from ..onnx.decompose import decompose

    known = {name for domain, name in lowerings if domain == ""}
    known |= {"QuantizeLinear", "DequantizeLinear", "Constant", "Identity", "Dropout"}
    present = {node.op_type for node in hub.graph.node if node.domain in ("", "ai.onnx")}
    return hub if present <= known else decompose(hub, for_int8=False)


def registry() -> tuple[dict[tuple[str, str], Function], dict[str, Int8Test]]:
    """All families merged: (domain, operator) -> function, and operator -> int8 test."""
    lowerings: dict[tuple[str, str], Function] = {}
    int8_operators: dict[str, Int8Test] = {}
    for family in _families():
        lowerings.update({("", name): f for name, f in family.LOWERINGS.items()})
        lowerings.update({(BORDER, n): f for n, f in getattr(family, "BORDERS", {}).items()})
        int8_operators.update(getattr(family, "INT8", {}))
        lowerings.update({(LCE, n): f for n, f in getattr(family, "CUSTOM", {}).items()})
    return lowerings, int8_operators


def _refuse_empty(low: Lowering, node: Node) -> None:
    for name in node.outputs:
        if name and 0 in low.value(name).shape:
            shape = list(low.value(name).shape)
            raise low.unsupported(
                node, f"a result without elements, {shape}", "leave the empty part out of the model"
            )


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}", hint=f"choose one of {', '.join(allowed)}")


def _resolve(precision: str, quantized: bool, quantized_weights: bool) -> str:
    if precision == "auto":
        return "int8" if quantized else "weight-only" if quantized_weights else "float32"
    if precision == "int8" and not quantized:
        raise UsageError(
            "int8 is asked for, but the ONNX model holds no quantization",
            hint="quantize it first (edgepress compress), or choose another precision",
        )
    if precision in ("fp16", "dynamic") and quantized:
        raise UsageError(
            f"{precision} is asked for, but the ONNX model is quantized",
            hint="give the float model, or choose int8",
        )
    return precision


def _unknown(node: Node) -> UnsupportedOperatorError:
    domain = f"{node.domain}::" if node.domain else ""
    return UnsupportedOperatorError(
        f"operator {domain}{node.operator} has no TFLite form here",
        where=f"node {node.name!r}",
        hint="rewrite it with supported operators (docs/operators.md lists them), "
        "or export to ONNX only",
    )
