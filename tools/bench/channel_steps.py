"""Executed instructions of an int8 1x1 convolution by width, on emulated cores: where an engine pads channels.

    python -m edgepress.tools.bench.channel_steps --boards pi4,pi5 --engines litert

The profiles' `round_to` of the TFLite engines comes from here. 8x8 pixels; one axis varies, the other has 32 channels.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...devices.emulate_pi import setup
from ...devices.instruction_counts import count_instructions
from ...devices.profile import load_profile
from ...export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from ...export.tflite.write import write
from ...runtime.errors import EdgepressError

WIDTHS = (24, 25, 28, 31, 32, 33, 36, 40)
OTHER, PIXELS = 32, 8


def convolution(inputs: int, outputs: int) -> bytes:
    """A TFLite file of one int8 CONV_2D 1x1 with seeded weights and per-channel scales."""
    random = np.random.default_rng(0)
    scales = random.uniform(0.01, 0.1, outputs).astype(np.float32)
    weights = random.integers(-127, 128, (outputs, 1, 1, inputs), dtype=np.int8)
    bias = random.integers(-500, 500, outputs, dtype=np.int32)
    zeros = (0,) * outputs
    per_channel = LiteQuantization(tuple(scales.tolist()), zeros, 0)
    accumulator = LiteQuantization(tuple((scales * np.float32(0.5)).tolist()), zeros, 0)
    model = LiteModel(metadata={})
    shape = (1, PIXELS, PIXELS)
    x = LiteTensor("x", (*shape, inputs), "int8", quantization=LiteQuantization((0.5,), (-3,)))
    y = LiteTensor("y", (*shape, outputs), "int8", quantization=LiteQuantization((2.5,), (-50,)))
    tensors = (
        x,
        LiteTensor("w", (), "int8", weights, per_channel),
        LiteTensor("b", (), "int32", bias, accumulator),
        y,
    )
    ix, iw, ib, iy = (model.add_tensor(tensor) for tensor in tensors)
    options = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "fused_activation_function": "NONE"}
    model.operators.append(LiteOperator("CONV_2D", (ix, iw, ib), (iy,), options, 3))
    model.inputs, model.outputs = [ix], [iy]
    model.input_names, model.output_names = ["x"], ["y"]
    return write(model)


def count(board: str, engine: str, inputs: int, outputs: int) -> float:
    """Instructions of one invoke."""
    with tempfile.TemporaryDirectory(prefix="edgepress-steps-") as name:
        file = Path(name) / "conv.tflite"
        file.write_bytes(convolution(inputs, outputs))
        return count_instructions(load_profile(board), file, engine).values["instructions"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per board, engine and axis."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--boards", default="pi3bplus,pi4,pi5")
    parser.add_argument("--engines", default="tflite,litert")
    options = parser.parse_args(arguments)
    try:
        for board in options.boards.split(","):
            setup(board)
            for engine in options.engines.split(","):
                for axis in ("output", "input"):
                    pairs = [(OTHER, n) if axis == "output" else (n, OTHER) for n in WIDTHS]
                    counts = [count(board, engine, *pair) for pair in pairs]
                    cells = (f"{n}: {value:,.0f}" for n, value in zip(WIDTHS, counts, strict=True))
                    print(
                        f"{board} {engine} {axis} channels (emulated instructions)  {'  '.join(cells)}",
                        flush=True,
                    )
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
