"""A process of its own for TensorFlow Lite Micro, which ends its process where the arena is too small.

    python -m edgepress.devices.tflm_process MODEL ARENA_BYTES INPUTS.npz OUTPUTS.npz [--smallest LOW HIGH]

Runs the model once, writes its outputs and lets the interpreter tell its allocations on stderr. With `--smallest` it
then looks for the smallest arena in (LOW, HIGH] in which the same outputs come, each try in a forked child of its own.
Prints one JSON line: {"outputs": n} and with `--smallest` {"smallest": bytes or null}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def run_once(
    model: bytes, arena_bytes: int, inputs: Sequence[Array], outputs: int, tell: bool
) -> list[Array]:
    """Outputs of one invoke in an arena of this size."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    for index, value in enumerate(inputs):
        interpreter.set_input(value, index)
    status = interpreter.invoke()
    if status:
        raise RuntimeError(f"invoke gave status {status}")
    made = [interpreter.get_output(index).copy() for index in range(outputs)]
    if tell:
        interpreter.print_allocations()
    return made


def smallest_arena(
    model: bytes, inputs: Sequence[Array], expected: Sequence[Array], low: int, high: int
) -> int | None:
    """The smallest arena above `low` that works by bisection, or None if `high` is too small."""
    if not _works(model, high, inputs, expected):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _works(model, middle, inputs, expected):
            high = middle
        else:
            low = middle
    return high


def _works(model: bytes, arena: int, inputs: Sequence[Array], expected: Sequence[Array]) -> bool:
    """Whether a forked child gives the same bytes in an arena of this size."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            made = run_once(model, arena, inputs, len(expected), tell=False)
            same = all(a.tobytes() == b.tobytes() for a, b in zip(made, expected, strict=True))
            code = 0 if same else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    import numpy as np

    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("arena", type=int)
    parser.add_argument("inputs")
    parser.add_argument("outputs")
    parser.add_argument("count", type=int)
    parser.add_argument("--smallest", nargs=2, type=int)
    options = parser.parse_args(arguments)
    with open(options.model, "rb") as stream:  # noqa: PTH123 - one line of a small process
        model = stream.read()
    with np.load(options.inputs, allow_pickle=False) as archive:
        inputs = [archive[f"input_{index}"] for index in range(len(archive.files))]
    made = run_once(model, options.arena, inputs, options.count, tell=True)
    np.savez(options.outputs, **{f"output_{index}": value for index, value in enumerate(made)})
    told: dict[str, int | None] = {"outputs": len(made)}
    if options.smallest:
        told["smallest"] = smallest_arena(model, inputs, made, *options.smallest)
    print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
