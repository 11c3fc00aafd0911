"""The parts of a model's C text that are there only where it keeps a state (`states.py`)."""

from __future__ import annotations

from .names import comment
from .program import Program

_ONCE = """\
 * {n}_invoke computes once. It keeps nothing outside of `context`, whose content need not be set before and is of
 * no use afterwards: contexts may be used interleaved, one context by one caller at a time. Tensors are dense;"""
_STEP = """\
 * {n}_invoke computes one step of a stream and keeps its state in `context`, nowhere else: one context a stream, used
 * by one caller at a time. Call {n}_reset before the first step. Tensors are dense;"""
_MEMBER = """\
    union {{
        uint8_t bytes[{m}_STATE_BYTES];
        int64_t widest_integer;
        double widest_float;
    }}
#if defined(__GNUC__) || defined(__clang__)
    __attribute__((aligned(16)))
#endif
    state;
"""
_DECLARATION = """
/* Begins a stream: every value of the state is 0. */
void {n}_reset({n}_context *context);
"""


def context_words(n: str, program: Program) -> str:
    """What the comment at the top says of the context; it ends in the middle of a sentence."""
    return (_STEP if program.states else _ONCE).format(n=n)


def state_macro(m: str, program: Program) -> str:
    """The size of the state."""
    if not program.states:
        return ""
    names = comment(", ".join(state.name for state in program.states))
    size = f"#define {m}_STATE_BYTES {program.state_bytes}"
    return f"/* What is kept from step to step: {names}. */\n{size}\n\n"


def state_member(m: str, program: Program) -> str:
    """The state in the context."""
    return _MEMBER.format(m=m) if program.states else ""


def reset_declaration(n: str, program: Program) -> str:
    """The prototype of NAME_reset."""
    return _DECLARATION.format(n=n) if program.states else ""


def reset_text(n: str, program: Program) -> str:
    """NAME_reset."""
    lines = [f"void {n}_reset({n}_context *context)", "{", "    if (context == NULL) return;"]
    for state, offset in zip(program.states, program.state_offsets, strict=True):
        place = f"context->state.bytes + {offset}"
        lines.append(
            f"    memset({place}, {state.zero & 255}, {state.bytes}); /* {comment(state.name)} */"
        )
    return "\n".join([*lines, "}"])
