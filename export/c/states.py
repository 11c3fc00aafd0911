"""State of streaming models: an input that takes what an output gave the time before, kept in the context.

A pair (input, output) is named by the caller, or by the hub's metadata: `extra["states"]` holds a JSON object
{input: output}. Both leave the interface of the C function. What an output gives is copied to where the input lies, or
written there at once if the input is not read any more by then; `NAME_reset` makes every value 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...runtime.errors import InputError, UsageError
from ..tflite.ir import LiteModel, LiteOperator
from .builder import Builder, bytes_of, size_of
from .ops_moves import copy, width_of
from .program import Operand, Program, State, TensorRef

Memory = tuple[Operand, str]
"""Where something lies, and the C type of its elements."""

KEY = "states"
"""Of `FileMetadata.extra`."""


@dataclass(frozen=True)
class StatePair:
    """Positions among the model's inputs and outputs, and their names."""

    input: int
    output: int
    names: tuple[str, str]


def states_of(hub: Any) -> dict[str, str]:
    """Pairs that the hub's metadata names, or an ONNX file's own `metadata_props`: input -> output.

    Raises:
        InputError: the metadata is damaged.
    """
    from ..onnx.intake import states_by_file
    from ..onnx.metadata import read_metadata

    text = read_metadata(hub).extra.get(KEY, "") or states_by_file(hub).get(KEY, "")
    if not text:
        return {}
    try:
        found = json.loads(text)
        return {str(key): str(value) for key, value in found.items()}
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"the metadata's {KEY} are no JSON object of names: {text[:80]!r}",
            hint='it is {"input": "output", ...}',
        ) from error


def find_pairs(model: LiteModel, states: Mapping[str, str]) -> tuple[StatePair, ...]:
    """The pairs of a lowered model.

    Raises:
        UsageError: a name is none of the model's, one output is named twice, or a pair differs in type or shape.
    """
    pairs = []
    for source, target in states.items():
        for name, names in ((source, model.input_names), (target, model.output_names)):
            if name not in names:
                raise UsageError(
                    f"no border of the model is called {name!r}",
                    hint=f"there are {', '.join(names) or 'none'}",
                )
        pair = StatePair(
            model.input_names.index(source), model.output_names.index(target), (source, target)
        )
        x, y = model.tensors[model.inputs[pair.input]], model.tensors[model.outputs[pair.output]]
        if (x.dtype, x.shape) != (y.dtype, y.shape):
            raise UsageError(
                f"the state {source!r} is {x.dtype} {list(x.shape)}, {target!r} is {y.dtype} {list(y.shape)}",
                hint="both must be the same",
            )
        pairs.append(pair)
    if len({pair.output for pair in pairs}) != len(pairs):
        raise UsageError("one output is the state of two inputs")
    return tuple(pairs)


def with_same_scales(model: LiteModel, pairs: tuple[StatePair, ...]) -> LiteModel:
    """A model whose state outputs have the scales of their inputs: rounded once more where they had others."""
    tensors, operators = list(model.tensors), list(model.operators)
    outputs = list(model.outputs)
    for pair in pairs:
        x, y = tensors[model.inputs[pair.input]], tensors[outputs[pair.output]]
        if x.quantization == y.quantization:
            continue
        tensors.append(replace(y, name=f"{y.name}/state", quantization=x.quantization, data=None))
        made, source = len(tensors) - 1, outputs[pair.output]
        operators.append(LiteOperator("QUANTIZE", (source,), (made,), source=pair.names[1]))
        outputs[pair.output] = made
    return replace(model, tensors=tensors, operators=operators, outputs=outputs)


def without_states(model: LiteModel, pairs: tuple[StatePair, ...]) -> LiteModel:
    """The model as its caller sees it."""
    gone = {pair.input for pair in pairs}, {pair.output for pair in pairs}
    inputs = [n for n in range(len(model.inputs)) if n not in gone[0]]
    outputs = [n for n in range(len(model.outputs)) if n not in gone[1]]
    return replace(
        model,
        inputs=[model.inputs[n] for n in inputs],
        input_names=[model.input_names[n] for n in inputs],
        outputs=[model.outputs[n] for n in outputs],
        output_names=[model.output_names[n] for n in outputs],
    )


def begin_states(builder: Builder, model: LiteModel, pairs: tuple[StatePair, ...]) -> None:
    """Give the state inputs their memory in the context."""
    for pair in pairs:
        index = model.inputs[pair.input]
        tensor = builder.tensor(index)
        held = tensor.quantization
        zero = held.zero_point[0] if held and tensor.dtype == "int8" else 0
        builder.add_state(index, State(pair.names[0], bytes_of(tensor), zero))


def end_states(builder: Builder, model: LiteModel, pairs: tuple[StatePair, ...]) -> None:
    """Put what the state outputs hold where the next call reads it."""
    program = builder.program
    places = [builder.read(model.inputs[pair.input]) for pair in pairs]
    sources = [builder.read(model.outputs[pair.output]) for pair in pairs]
    # an output that is another state, passed on: taken aside before any state changes
    passed_on = {
        source[0] for source, place in zip(sources, places, strict=True) if source != place
    }
    left = []
    for number, (pair, source, place) in enumerate(zip(pairs, sources, places, strict=True)):
        if source[0] == place[0]:
            continue
        free = place[0] not in passed_on
        if free and _written_there(program, source[0], place[0], number):
            continue
        left.append((pair, _aside(builder, model, pair, source), place))
    for pair, source, place in left:
        _copy(builder, model, pair, source, place)


def _aside(builder: Builder, model: LiteModel, pair: StatePair, source: Memory) -> Memory:
    """A copy of a state that is passed on; anything else as it is."""
    ref = source[0]
    if not isinstance(ref, TensorRef) or builder.program.tensors[ref.index].role != "state":
        return source
    size = bytes_of(builder.tensor(model.outputs[pair.output]))
    made: Memory = (builder.temporary(f"{pair.names[0]}/next", size), source[1])
    _copy(builder, model, pair, source, made)
    return made


def _copy(
    builder: Builder, model: LiteModel, pair: StatePair, source: Memory, place: Memory
) -> None:
    index = model.inputs[pair.input]
    target, ctype = place
    assert isinstance(target, TensorRef)  # noqa: S101
    operator = LiteOperator("COPY", (), (index,), source=f"state {pair.names[0]}")
    count, width = size_of(builder.tensor(index).shape), width_of(builder, index)
    copy(builder, operator, source, (target, ctype), width, [count], ([1], [1]))


def _written_there(program: Program, source: Operand, target: Operand, number: int) -> bool:
    """Let the output lie in the state itself, where the input is read no more when it is first written."""
    if not isinstance(source, TensorRef) or program.tensors[source.index].role:
        return False
    reads = [n for n, call in enumerate(program.calls) if target in [o for o, _ in call.reads]]
    writes = [n for n, call in enumerate(program.calls) if source in [o for o, _ in call.writes]]
    if not writes or (reads and reads[-1] >= writes[0]):
        return False
    program.tensors[source.index].role = "state"
    program.tensors[source.index].position = number
    return True
