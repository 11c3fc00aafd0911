"""What Larq Compute Engine itself gives for small files of its operators, kept for tests: one .npz.

    python -m edgepress.tools.bench.lce_golden --larq FOLDER --out tests/data/lce_golden.npz

Every case is a TFLite file of our writer with one operator more than quantization (see `CASES`), an input, and the
outputs of LCE's reference and default kernels (larq_wheel.py says where LCE comes from).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from ...export.tflite.lce_bits import pack_words, words
from ...export.tflite.write import write

Array = NDArray[Any]

SIZE = (7, 6)

CASES: dict[str, dict[str, Any]] = {
    "valid": {},
    "zeros": {"padding": 0, "channels": 34},
    "zeros_stride": {"padding": 0, "stride": 2},
    "zeros_dilated": {"padding": 0, "dilation": 2},
    "ones": {"padding": 0, "pad_values": 1, "channels": 70},
    "ones_stride": {"padding": 0, "pad_values": 1, "stride": 2},
    "relu": {"activation": 1},
    "relu_n1_to_1": {"activation": 2},
    "relu6": {"padding": 0, "pad_values": 1, "activation": 3},
    "bits": {"padding": 0, "pad_values": 1, "result": "int32", "outputs": 40},
    "int8": {"result": "int8"},
    "int8_ones": {"padding": 0, "pad_values": 1, "result": "int8", "channels": 50},
    "pool_valid": {"pool": 1},
    "pool_same": {"pool": 0},
    "int8_input": {"input": "int8"},
}
"""Name -> options; `padding` SAME is 0, VALID (1) the default."""


def case(name: str) -> tuple[bytes, Array]:
    """(file, input) of one case."""
    given = CASES[name]
    rng = np.random.default_rng(sorted(CASES).index(name))
    channels, outputs = given.get("channels", 40), given.get("outputs", 5)
    kind = given.get("input", "float32")
    shape = (1, *SIZE, channels)
    x: Array = rng.normal(size=shape).astype(np.float32)
    params = None
    if kind == "int8":
        x, params = rng.integers(-128, 128, shape).astype(np.int8), LiteQuantization((0.1,), (7,))
    model = LiteModel(input_names=["x"], output_names=["y"])
    source = model.add_tensor(LiteTensor("x", shape, kind, None, params))
    bits = model.add_tensor(LiteTensor("bits", (1, *SIZE, words(channels)), "int32"))
    model.operators.append(LiteOperator("CUSTOM", (source,), (bits,), custom_code="LceQuantize"))
    if "pool" in given:
        last, count = _pool(model, bits, given["pool"]), channels
    else:
        last, count = _convolution(model, bits, rng, given, outputs), outputs
    if model.tensors[last].dtype == "int32":  # LCE gives no bits to its caller
        image = model.tensors[last].shape
        made = LiteTensor("signs", (*image[:3], count), "float32")
        target = model.add_tensor(made)
        signs = LiteOperator("CUSTOM", (last,), (target,), custom_code="LceDequantize")
        model.operators.append(signs)
        last = target
    model.inputs, model.outputs = [source], [last]
    return write(model), x


def _pool(model: LiteModel, bits: int, padding: int) -> int:
    depth = model.tensors[bits].shape[3]
    size = (3, 3) if padding else (4, 3)
    made = model.add_tensor(LiteTensor("pooled", (1, *size, depth), "int32"))
    options = {"padding": padding, "stride_width": 2, "stride_height": 2}
    options |= {"filter_width": 2, "filter_height": 2 if padding == 0 else 3}
    operator = LiteOperator("CUSTOM", (bits,), (made,), options, custom_code="LceBMaxPool2d")
    model.operators.append(operator)
    return made


def _convolution(
    model: LiteModel, bits: int, rng: np.random.Generator, given: Mapping[str, Any], outputs: int
) -> int:
    channels, result = given.get("channels", 40), given.get("result", "float32")
    stride, dilation = given.get("stride", 1), given.get("dilation", 1)
    padding = given.get("padding", 1)
    reach = 2 * dilation + 1
    size = [-(-n // stride) if padding == 0 else (n - reach) // stride + 1 for n in SIZE]
    filters = pack_words(rng.choice([-1, 1], (outputs, 3, 3, channels)))
    index = [bits, model.add_tensor(LiteTensor("filter", (), "int32", filters)), -1, -1, -1]
    if result == "int32":
        limits = rng.integers(150, 210, outputs).astype(np.int32)
        limits[:2] = np.iinfo(np.int32).min, np.iinfo(np.int32).max
        index[4] = model.add_tensor(LiteTensor("threshold", (), "int32", limits))
    else:
        for place, values in enumerate(rng.normal(size=(2, outputs)).astype(np.float32), start=2):
            index[place] = model.add_tensor(LiteTensor(f"number{place}", (), "float32", values))
    params = LiteQuantization((0.37,), (-4,)) if result == "int8" else None
    last = words(outputs) if result == "int32" else outputs
    made = model.add_tensor(LiteTensor("y", (1, *size, last), result, None, params))
    options = {
        "channels_in": channels,
        "dilation_height_factor": dilation,
        "dilation_width_factor": dilation,
        "fused_activation_function": given.get("activation", 0),
        "pad_values": given.get("pad_values", 0),
        "padding": padding,
        "stride_height": stride,
        "stride_width": stride,
    }
    operator = LiteOperator("CUSTOM", tuple(index), (made,), options, custom_code="LceBconv2d")
    model.operators.append(operator)
    return made


def main() -> int:
    """Run every case in LCE and keep what it gave."""
    from .larq_wheel import load, runner

    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--larq", type=Path, required=True, help="an unpacked wheel")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    interpreter = load(options.larq)
    kept: dict[str, Array] = {}
    for name in CASES:
        data, x = case(name)
        for kernel in ("reference", "default"):
            kept[f"{name}/{kernel}"] = runner(interpreter, data, kernel)(x)
        print(f"{name}: {len(data)} bytes, output {kept[f'{name}/default'].shape}")
    np.savez_compressed(options.out, **kept)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
