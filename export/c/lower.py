"""Lowers a hub model to a `Program`: TFLite's lowering first, so both exporters share layouts, fusions and scales.

A family `ops_*.py` defines LOWERINGS, operator code -> function(builder, operator), and is named in `_families`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...runtime.artifact import TensorSpec
from ...runtime.errors import UnsupportedOperatorError, UsageError
from ..tflite.ir import LiteModel, LiteOperator
from ..tflite.lower import lower as lower_to_tflite
from .builder import Builder
from .fuse_bits import fuse
from .fuse_groups import fuse_groups
from .fuse_pads import fuse_pads
from .fuse_signs import hand_on_signs
from .fuse_weights import keep_integers
from .layout import ROWS, Layout
from .macs import macs_of
from .program import Program, lifetimes
from .states import (
    StatePair,
    begin_states,
    end_states,
    find_pairs,
    states_of,
    with_same_scales,
    without_states,
)

Function = Callable[[Builder, LiteOperator], None]

PRECISIONS = ("auto", "float32", "int8")


@dataclass(frozen=True)
class LoweredC:
    """A program and what its caller sees.

    Attributes:
        program: ready for `emit`.
        inputs, outputs: of the model, as the caller's memory holds them.
        operators: TFLite operator code -> how many there are.
        precision: what was made ("auto" resolved).
        notes: (tensor, remark) of decisions.
    """

    program: Program
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: dict[str, int]
    precision: str
    notes: tuple[tuple[str, str], ...]


def registry() -> dict[str, Function]:
    """Operator code -> lowering."""
    from . import ops_binary, ops_groups, ops_layers, ops_moves, ops_reduce, ops_values

    found: dict[str, Function] = {}
    for family in (ops_binary, ops_groups, ops_layers, ops_moves, ops_reduce, ops_values):
        found.update(family.LOWERINGS)
    return found


def lower(
    hub: Any,
    *,
    precision: str = "auto",
    io: str = "int8",
    io_layout: str = "nhwc",
    fc_granularity: str = "channel",
    layout: Layout = ROWS,
    states: Mapping[str, str] | None = None,
) -> LoweredC:
    """Lower a hub model (onnx.ModelProto; never changed) to kernel calls.

    Args:
        hub: as `tflite.lower.lower` takes it.
        precision: "auto", "float32" or "int8".
        io, io_layout, fc_granularity: as `tflite.lower.lower` takes them.
        layout: of packed weights.
        states: input -> output that it takes the time after; what the hub's metadata names if None.

    Raises:
        UnsupportedOperatorError: no kernel for an operator; node and what to do are told.
        InputError: the hub breaks a rule it should obey.
        UsageError: an argument is none of the values above.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"precision is {precision!r}", hint=f"C is written as {', '.join(PRECISIONS)}"
        )
    lowered = lower_to_tflite(
        hub,
        precision=_lite_precision(hub, precision),
        io=io,
        io_layout=io_layout,
        fc_granularity=fc_granularity,
        binary="lce",
    )
    kept = states_of(hub) if states is None else states
    made = lower_model(lowered.model, layout, lowered.input_layouts, lowered.output_layouts, kept)
    notes = (*lowered.extra_quantize, *lowered.notes)
    written = "float32" if lowered.precision == "weight-only" else lowered.precision
    return replace(made, precision=written, notes=notes)


def _lite_precision(hub: Any, precision: str) -> str:
    """Packed layers of two bits keep their integers in float C too (`keep_integers`), other weights become floats."""
    operators = {node.op_type for node in hub.graph.node}
    packed = "TernaryGemm" in operators and "QuantizeLinear" not in operators
    return "weight-only" if precision == "float32" and packed else precision


def lower_model(
    model: LiteModel,
    layout: Layout = ROWS,
    input_layouts: Sequence[str] = (),
    output_layouts: Sequence[str] = (),
    states: Mapping[str, str] | None = None,
) -> LoweredC:
    """Lower a model of TFLite's operators to kernel calls; the layouts name axes ("" or missing: plain).

    Raises:
        UnsupportedOperatorError: no kernel for an operator; node and what to do are told.
        UsageError: a state that the model has not.
    """
    model = fuse_pads(fuse_groups(keep_integers(hand_on_signs(fuse(model)))))
    pairs = find_pairs(model, states or {})
    model = with_same_scales(model, pairs)
    program, operators = _program(model, layout, pairs)
    inputs = _specs(model, model.inputs, model.input_names, input_layouts)
    outputs = _specs(model, model.outputs, model.output_names, output_layouts)
    kept = {pair.input for pair in pairs}, {pair.output for pair in pairs}
    return LoweredC(
        program=program,
        inputs=tuple(spec for n, spec in enumerate(inputs) if n not in kept[0]),
        outputs=tuple(spec for n, spec in enumerate(outputs) if n not in kept[1]),
        operators=operators,
        precision="auto",
        notes=(),
    )


def _program(
    whole: LiteModel, layout: Layout, pairs: tuple[StatePair, ...]
) -> tuple[Program, dict[str, int]]:
    # families add tensors of their own
    model = replace(without_states(whole, pairs), tensors=list(whole.tensors))
    known, builder = registry(), Builder(model, layout)
    operators: dict[str, int] = {}
    for index in model.inputs:
        builder.add_input(index)
    begin_states(builder, whole, pairs)
    for operator in model.operators:
        function = known.get(operator.code)
        if function is None:
            raise _unknown(operator)
        before = len(builder.program.calls)
        function(builder, operator)
        _share_macs(builder.program, before, macs_of(model, operator))
        code = operator.custom_code or operator.code
        operators[code] = operators.get(code, 0) + 1
    program = builder.program
    program.outputs = [builder.write(index)[0].index for index in model.outputs]
    end_states(builder, whole, pairs)
    return _without_dead_calls(program), dict(sorted(operators.items()))


_MOVES = ("ep_copy", "ep_fill", "ep_quantize", "ep_dequantize", "ep_cast")


def _share_macs(program: Program, before: int, macs: int) -> None:
    """Give an operator's MACs to the calls that it became, in equal parts; those that only move values get none."""
    numbers = range(before, len(program.calls))
    working = [n for n in numbers if not program.calls[n].function.startswith(_MOVES)]
    for number in working:
        program.calls[number] = replace(program.calls[number], macs=macs // len(working))


def _without_dead_calls(program: Program) -> Program:
    """Calls whose results nobody reads are left out (parts of a split that were only made)."""
    from .program import TensorRef

    needed = set(program.outputs)
    needed |= {n for n, tensor in enumerate(program.tensors) if tensor.role == "state"}
    kept = []
    for call in reversed(program.calls):
        if any(ref.index in needed for ref, _ in call.writes):
            kept.append(call)
            needed |= {o.index for o, _ in call.reads if isinstance(o, TensorRef)}
    program.calls = kept[::-1]
    alive = lifetimes(program)
    missing = [t for t in program.outputs if t not in alive]
    if missing:
        raise ValueError(f"output {missing[0]} is never written")
    return program


def _specs(
    model: LiteModel, indices: list[int], names: list[str], layouts: Sequence[str]
) -> tuple[TensorSpec, ...]:
    found = []
    for position, index in enumerate(indices):
        tensor = model.tensors[index]
        held = tensor.quantization
        layout = layouts[position] if position < len(layouts) else ""
        found.append(
            TensorSpec(
                names[position],
                tuple(int(n) for n in tensor.shape),
                tensor.dtype,
                held.scale[0] if held else None,
                held.zero_point[0] if held else None,
                layout if len(layout) == len(tensor.shape) else "",
            )
        )
    return tuple(found)


def _unknown(operator: LiteOperator) -> UnsupportedOperatorError:
    name = operator.custom_code or operator.code
    return UnsupportedOperatorError(
        f"operator {name} has no C kernel",
        where=f"node {operator.source!r}",
        hint="rewrite it with operators of the C column of docs/operators.md, or export to ONNX or TFLite",
    )
