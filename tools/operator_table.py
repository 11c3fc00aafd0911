"""Writes docs/operators.md, the table of what every engine does with every operator, by running each of them.

python -m edgepress.tools.operator_table            write the page
python -m edgepress.tools.operator_table --check    exit 1 if the page on disk says something else
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..runtime.errors import EdgepressError, UsageError
from ..runtime.files import write_bytes
from .operator_cases import Form, forms
from .operator_invoke import (
    COLUMNS,
    FLOAT,
    INT8,
    ISLAND,
    NATIVE,
    NONE,
    REFUSED,
    REWRITTEN,
    Cell,
    Column,
    check_engines,
    core,
    invoke,
)

PAGE = Path(__file__).parents[1] / "docs" / "operators.md"

HEAD = """# Operators

What happens to each ONNX operator on its way to a file, in float and in int8, settled by running every form of it
on random shapes (H = W = C among them) in every engine. Written by `python -m edgepress.tools.operator_table`;
a test runs every cell again.

* **native**: one operator of the engine does the work; those in parentheses bring data into the form it takes.
* **rewritten as**: several operators together, or another one, compute the same.
* **float island**: in an int8 file this operator computes in float32, between DEQUANTIZE and QUANTIZE.
* **refused**: the export stops with the operator, the node, and what to do.

The C column names the kernels of `runtime/kernels/` that the written sources call, without their `ep_`.

A float cell agrees with onnxruntime to 1e-5 of the largest value. An int8 cell agrees with the quantized ONNX model
in onnxruntime to the step (to a few steps where several roundings follow one another), and the quantized
model with the float one to a few percent of the range. Operators not listed here are refused by name.
"""

TITLES = {FLOAT: "## Float (float32)", INT8: "## int8 (post-training quantization, Q/DQ)"}


def columns(precision: str) -> list[Column]:
    """Columns of one of the page's tables."""
    return [column for column in COLUMNS if column.precision == precision]


def cell_text(form: Form, column: Column, cell: Cell) -> str:
    """A cell as Markdown."""
    if cell.kind == NONE:
        return NONE
    if cell.kind == REFUSED:
        return _escape(f"**refused**: {cell.reason}")
    if cell.kind == ISLAND:
        return _escape(f"**float island** ({cell.reason or 'no int8 form'})")
    if column.title == "onnxruntime":
        return _onnx_text(form, cell)
    main = core(cell.operators)
    helpers = [name for name in cell.operators if name not in main]
    more = f" (with {', '.join(helpers)})" if helpers else ""
    if cell.kind == NATIVE:
        return f"native: {main[0]}{more}" if len(main) == 1 else f"native: {', '.join(main)}{more}"
    return f"rewritten as {', '.join(main)}{more}"


def _onnx_text(form: Form, cell: Cell) -> str:
    if cell.kind == REWRITTEN:
        return f"rewritten as {', '.join(cell.operators)}"
    return "native" if form.operator in cell.operators else "native (Q/DQ)"


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def row(form: Form, precision: str) -> str:
    """One line of a table; equal cells of the TFLite engines are written out for each."""
    cells = [cell_text(form, column, invoke(form, column)) for column in columns(precision)]
    return f"| {form.title} | {' | '.join(cells)} |"


def page(rows: Sequence[Form] | None = None) -> str:
    """The whole page."""
    listed = forms() if rows is None else rows
    parts = [HEAD]
    for precision, title in TITLES.items():
        names = [column.title for column in columns(precision)]
        lines = [title, "", f"| operator | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        chosen = [form for form in listed if precision == INT8 or not form.quantized]
        lines += [row(form, precision) for form in chosen]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; gives the exit code."""
    unknown = [argument for argument in arguments if argument != "--check"]
    if unknown:
        raise UsageError(f"unknown argument {unknown[0]!r}", hint="the only one is --check")
    check_engines()
    text = page()
    if "--check" not in arguments:
        write_bytes(PAGE, text.encode())
        print(f"wrote {PAGE}", file=sys.stderr)
        return 0
    held = PAGE.read_text() if PAGE.exists() else ""
    if held == text:
        return 0
    wrong = sorted(set(text.splitlines()) ^ set(held.splitlines()))
    print(f"{PAGE} is out of date in {len(wrong)} lines, for instance:", file=sys.stderr)
    print("\n".join(wrong[:6]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EdgepressError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
