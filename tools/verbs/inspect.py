"""`edgepress inspect`: layers, sizes, tensors, quantization of any model file."""

from __future__ import annotations

from pathlib import Path

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@common_options
@click.pass_obj
def command(call: Invocation, file: Path) -> int:
    """Show what an ONNX, TFLite or .npz FILE of any origin holds; nothing is run.

    Per layer: operator, shapes, parameters, multiply-accumulates, bit-operations, bytes of weights at their real
    bit width, quantization.
    """
    if call.dry_run:
        return call.plan("inspect", reads=[file])
    from ..inspection import inspect_file, inspection_text

    facts = inspect_file(file)
    call.give(facts, "" if call.json else inspection_text(facts))
    return ExitCode.OK
