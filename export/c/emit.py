"""A planned `Program` as C text: the model's source and header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runtime.artifact import TensorSpec
from .arrange import Arrangement
from .emit_state import context_words, reset_declaration, reset_text, state_macro, state_member
from .lower import LoweredC
from .names import comment
from .pack import layout_of
from .program import (
    C_TYPES,
    Array,
    Call,
    ConstantRef,
    Operand,
    Program,
    TensorRef,
    shared_arguments,
)

_LINE = 112


@dataclass(frozen=True)
class Unit:
    """One model to be written: its C name, content, places, and what the comments say."""

    name: str
    lowered: LoweredC
    places: Arrangement
    device: str
    version: str

    @property
    def macro(self) -> str:
        """Beginning of its macros."""
        return self.name.upper()


def header_text(unit: Unit) -> str:
    """NAME.h."""
    m, n, plan = unit.macro, unit.name, unit.places.plan
    version, program = comment(unit.version), unit.lowered.program
    sizes = _border_macros(m, unit.lowered)
    return f"""/* {n}: {unit.lowered.precision} model for device {unit.device}, written by edgepress {version}.
 *
{context_words(n, program)}
 * images have their channels last where a layout says so. */
#ifndef {m}_H
#define {m}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* Memory of the values between operators; no plan needs less than the lower bound. */
#define {m}_ARENA_BYTES {plan.peak_bytes}
#define {m}_ARENA_LOWER_BOUND_BYTES {plan.lower_bound_bytes}
/* Constants, in flash. */
#define {m}_WEIGHTS_BYTES {program.weights_bytes}

{state_macro(m, program)}{sizes}
typedef struct {{
    union {{
        uint8_t bytes[{m}_ARENA_BYTES > 0 ? {m}_ARENA_BYTES : 1];
        int64_t widest_integer;
        double widest_float;
    }}
#if defined(__GNUC__) || defined(__clang__)
    __attribute__((aligned(16)))
#endif
    arena;
{state_member(m, program)}}} {n}_context;
{reset_declaration(n, program)}
/* Gives 0, or 1 if a pointer is NULL. Inputs and outputs are aligned as their type asks; they do not overlap. */
int {n}_invoke({n}_context *context, const void *const inputs[{len(unit.lowered.inputs)}],
{" " * (len(n) + 12)}void *const outputs[{len(unit.lowered.outputs)}]);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _border_macros(m: str, lowered: LoweredC) -> str:
    lines = []
    for kind, specs in (("INPUT", lowered.inputs), ("OUTPUT", lowered.outputs)):
        lines.append(f"#define {m}_{kind}S {len(specs)}")
        for position, spec in enumerate(specs):
            lines += _spec_macros(f"{m}_{kind}_{position}", spec)
        lines.append("")
    return "\n".join(lines)


def _spec_macros(prefix: str, spec: TensorSpec) -> list[str]:
    elements = int(np.prod(spec.shape, dtype=np.int64))
    width = 1 if spec.dtype == "bool" else np.dtype(spec.dtype).itemsize
    shape = " x ".join(map(str, spec.shape)) or "one value"
    said = f"{comment(spec.name)}: {spec.dtype}, {shape}"
    lines = [
        f"/* {said}{f', {spec.layout}' if spec.layout else ''} */",
        f"#define {prefix}_TYPE {C_TYPES[spec.dtype]}",
        f"#define {prefix}_ELEMENTS {elements}",
        f"#define {prefix}_BYTES {elements * width}",
    ]
    if spec.scale is not None:
        lines += [
            f"#define {prefix}_SCALE {float_text(spec.scale)}",
            f"#define {prefix}_ZERO_POINT ({spec.zero_point})",
        ]
    return lines


def source_text(unit: Unit) -> str:
    """NAME.c."""
    program = unit.lowered.program
    layout = layout_of(unit.device).macro
    headers = sorted({call.header for call in program.calls})
    names, shared = constant_names(program), shared_arguments(program)
    memory = ["#include <string.h>"] if program.states else []
    parts = [
        f"/* {unit.name}: weights and calls, written by edgepress {comment(unit.version)}. */",
        f'#include "{unit.name}.h"',
        "\n".join(
            ["#include <math.h>", *memory, "", *(f'#include "{header}"' for header in headers)]
        ),
        f"#if !defined(EP_LAYOUT) || EP_LAYOUT != {layout}\n"
        f'#error "weights of {unit.name} are packed for device {unit.device}: export again for this target"\n'
        "#endif",
    ]
    used = _used_constants(program)
    parts += [
        constant_text(names[index], data)
        for index, (_, data) in enumerate(program.constants)
        if index in used
    ]
    parts += [
        f"static const {call.arguments} call_{number} = {value_text(call.fields, names)};"
        for number, call in enumerate(program.calls)
        if shared[number] == number
    ]
    if program.states:
        parts.append(reset_text(unit.name, program))
    parts.append(_invoke_text(unit, names))
    return "\n\n".join(parts) + "\n"


def _used_constants(program: Program) -> set[int]:
    used: set[int] = set()

    def visit(value: Any) -> None:
        if isinstance(value, ConstantRef):
            used.add(value.index)
        elif isinstance(value, dict):
            for inner in value.values():
                visit(inner)

    for call in program.calls:
        visit(call.fields)
        for operand, _ in call.reads:
            visit(operand)
    return used


def constant_names(program: Program) -> list[str]:
    """A C name for each constant."""
    return [f"constant_{index}" for index in range(len(program.constants))]


def constant_text(name: str, data: Array) -> str:
    """A constant array."""
    ctype = C_TYPES[data.dtype.name]
    return (
        f"static const {ctype} {name}[{data.size}] EP_ALIGNED(16) = {{\n{elements_text(data)}\n}};"
    )


def elements_text(data: Array) -> str:
    """Elements in lines of moderate length."""
    if data.dtype.kind == "f":
        words = [float_text(float(value)) for value in data]
    else:
        suffix = "u" if data.dtype.name == "uint32" else ""
        words = [f"{int(value)}{suffix}" for value in data]
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) + 2 > _LINE:
            lines.append(line.rstrip())
            line = ""
        line += f"{word}, "
    lines.append(line.rstrip())
    return "\n".join(f"    {text}" for text in lines)


def float_text(value: float) -> str:
    """A float literal that reads back as the same float32."""
    number = np.float32(value)
    if np.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    text = f"{float(number):.9g}"
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def value_text(value: Any, names: Sequence[str]) -> str:
    """An initializer."""
    if isinstance(value, dict):
        return "{" + ", ".join(f".{k} = {value_text(v, names)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "{" + ", ".join(value_text(item, names) for item in value) + "}"
    if isinstance(value, ConstantRef):
        return names[value.index]
    if isinstance(value, (float, np.floating)):
        return float_text(float(value))
    return str(int(value))


def _invoke_text(unit: Unit, names: Sequence[str]) -> str:
    program, n = unit.lowered.program, unit.name
    lines = [
        f"int {n}_invoke({n}_context *context, const void *const inputs[{len(program.inputs)}],",
        f"{' ' * (len(n) + 12)}void *const outputs[{len(program.outputs)}])",
        "{",
        "    uint8_t *arena;",
        "    if (context == NULL || inputs == NULL || outputs == NULL) return 1;",
        f"    for (size_t i = 0; i < {len(program.inputs)}; i++)",
        "        if (inputs[i] == NULL) return 1;",
        f"    for (size_t i = 0; i < {len(program.outputs)}; i++)",
        "        if (outputs[i] == NULL) return 1;",
        "    arena = context->arena.bytes;",
        "    (void)arena;",
    ]
    before, shared = None, shared_arguments(program)
    for number, call in enumerate(program.calls):
        if call.source != before:
            lines.append(f"    /* {comment(call.source)} */")
            before = call.source
        lines.append(f"    {_call_text(unit, call, number, shared[number], names)}")
    return "\n".join([*lines, "    return 0;", "}"])


def _call_text(unit: Unit, call: Call, number: int, arguments: int, names: Sequence[str]) -> str:
    words = [f"&call_{arguments}"]
    words += [_operand_text(unit, operand, f"const {t} *", names) for operand, t in call.reads]
    words += [_operand_text(unit, operand, f"{t} *", names) for operand, t in call.writes]
    if call.scratch_type:
        place = unit.places.scratch.get(number)
        memory = "0" if place is None else f"(void *)(arena + {place})"
        words.append(f"({call.scratch_type} *){memory}")
    return f"{call.function}({', '.join(words)});"


def _operand_text(unit: Unit, operand: Operand, cast: str, names: Sequence[str]) -> str:
    if isinstance(operand, ConstantRef):
        return names[operand.index]
    assert isinstance(operand, TensorRef)  # noqa: S101
    tensor = unit.lowered.program.tensors[operand.index]
    if tensor.role == "input":
        return f"({cast})inputs[{tensor.position}]"
    if tensor.role == "output":
        return f"({cast})outputs[{tensor.position}]"
    if tensor.role == "state":
        offset = unit.lowered.program.state_offsets[tensor.position]
        return f"({cast})(void *)(context->state.bytes + {offset})"
    return f"({cast})(void *)(arena + {unit.places.offsets[operand.index]})"
