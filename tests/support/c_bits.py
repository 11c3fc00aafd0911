"""Random layers of packed signs as one exported C folder, and what numpy says they give.

Each case: real or int8 values -> bits -> a convolution to float, int8 or bits -> where bits come: their largest in
windows, and the signs as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from edgepress.export.c.folder import write_folder
from edgepress.export.c.lower import lower_model
from edgepress.export.c.pack import layout_of
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from edgepress.runtime import lce_kernels as lce
from edgepress.runtime.artifact import FileMetadata

KERNELS = ((1, 1), (1, 1), (3, 3), (3, 3), (3, 3), (5, 5), (1, 3), (1, 7), (2, 4))
RESULTS = ("float32", "int8", "int8 to even", "int32")
STEP = 2.5
"""Scale of int8 results; every second value lies between two steps."""


@dataclass(frozen=True)
class Case:
    """One random layer."""

    batch: int
    size: tuple[int, int]
    channels: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    same: bool
    pad_one: bool
    groups: int
    activation: int
    result: str
    from_int8: bool

    @property
    def window(self) -> lce.Window:
        """How the kernel moves."""
        return lce.make_window(self.size, self.kernel, self.stride, self.dilation, self.same)


def draw(rng: np.random.Generator, largest: int) -> Case:
    """A case of at most `largest` channels."""
    kernel = KERNELS[rng.integers(len(KERNELS))]
    stride, dilation = (tuple(int(n) for n in rng.integers(1, 3, 2)) for _ in range(2))
    if rng.random() < 0.6:
        stride = dilation = (1, 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(int(r + rng.integers(0, 7)) for r in reach)
    groups = int(rng.choice([1, 1, 1, 2]))
    channels = int(rng.choice([1, 2, 8, 16, 32, 64, *rng.integers(1, largest + 1, 10)]))
    outputs = int(rng.integers(1, 71))
    result = RESULTS[rng.integers(len(RESULTS))]
    if result == "int32":  # whole words and vectors of bits, one more, or any
        outputs = int(rng.choice([17, 32, 33, 49, 49, outputs]))
    if groups > 1:
        channels, outputs = 64 * -(-channels // 64), 64 if result == "int32" else outputs * 2
    pad_one = bool(rng.integers(2))
    return Case(
        int(rng.integers(1, 3)), size, channels, outputs, kernel, stride, dilation,
        bool(rng.integers(2)), pad_one, groups, int(rng.integers(4)), result, bool(rng.integers(2)),
    )  # fmt: skip


@dataclass
class Made:
    """A model under construction and the arrays of one run."""

    model: LiteModel
    inputs: list[np.ndarray]
    expected: list[np.ndarray]
    rng: np.random.Generator

    def constant(self, name: str, data: np.ndarray) -> int:
        return self.model.add_tensor(LiteTensor(name, data.shape, data.dtype.name, data))

    def activation(self, name: str, data: np.ndarray, scale: float = 0.0, zero: int = 0) -> int:
        held = LiteQuantization((scale,), (zero,)) if scale else None
        tensor = LiteTensor(name, data.shape, data.dtype.name, None, held)
        return self.model.add_tensor(tensor)

    def result(self, index: int, expected: np.ndarray) -> None:
        self.model.outputs.append(index)
        self.expected.append(expected)

    def operator(self, code: str, inputs: tuple[int, ...], y: int, **options: Any) -> None:
        made = LiteOperator("CUSTOM", inputs, (y,), options, custom_code=code, source=code)
        self.model.operators.append(made)


def add_case(made: Made, case: Case, number: int) -> None:
    """Append a case to the model, and what it must give."""
    rng, name = made.rng, f"case{number}"
    shape = (case.batch, *case.size, case.channels)
    values = rng.normal(size=shape).astype(np.float32)
    values.reshape(-1)[: values.size // 7] = rng.choice([0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf])
    zero = int(rng.integers(-5, 6)) if case.from_int8 else 0
    if case.from_int8:
        values = rng.integers(-8, 9, shape).astype(np.int8)
    x = made.activation(f"{name}/x", values, 0.5 if case.from_int8 else 0.0, zero)
    made.model.inputs.append(x)
    made.inputs.append(values)
    bits = lce.quantize(values, zero)
    packed = made.activation(f"{name}/bits", bits)
    made.operator("LceQuantize", (x,), packed)
    signs = made.activation(f"{name}/signs", values)  # dequantized into the input's type
    if case.from_int8:
        made.model.tensors[signs].quantization = LiteQuantization((0.25,), (zero,))
    made.operator("LceDequantize", (packed,), signs)
    told = lce.dequantize(bits, case.channels, values.dtype.name, 0.25, zero)
    made.result(signs, told)
    _convolution(made, case, name, packed, bits)


def _convolution(made: Made, case: Case, name: str, packed: int, bits: np.ndarray) -> None:
    rng, group = made.rng, case.channels // case.groups
    weights = rng.random((case.outputs, *case.kernel, group)) < 0.5
    filters = lce.pack(weights)
    inputs = [packed, made.constant(f"{name}/filter", filters), -1, -1, -1]
    window, taps = case.window, int(np.prod(case.kernel)) * group
    each, counts = case.outputs // case.groups, []
    for g in range(case.groups):
        part = bits[..., g * filters.shape[3] :][..., : filters.shape[3]]
        found = lce.popcounts(part, filters[g * each :][:each], window, not case.pad_one)
        counts.append(found[0])
    count, inside = np.concatenate(counts, axis=3), found[1]
    sums = lce.sums(count, inside, group)
    if case.result == "int32":
        threshold = rng.integers(-1, taps + 2, case.outputs).astype(np.int32)
        threshold[rng.random(case.outputs) < 0.2] = rng.choice([-(2**31), 2**31 - 1])
        inputs[4] = made.constant(f"{name}/threshold", threshold)
        wanted = lce.pack(sums < taps - 2 * threshold.astype(np.int64))
        y = made.activation(f"{name}/y", wanted)
        _pool(made, name, y, wanted)
    else:
        multiplier, bias = (rng.normal(size=case.outputs).astype(np.float32) for _ in range(2))
        if case.result != "float32":
            multiplier, bias = (STEP / 2 * np.round(v * 2) for v in (multiplier, bias))
        inputs[2] = made.constant(f"{name}/multiplier", multiplier)
        inputs[3] = made.constant(f"{name}/bias", bias)
        wanted = lce.affine(sums, multiplier, bias, case.activation)
        scale = 0.0
        if case.result != "float32":
            wanted, scale = _to_int8(wanted, case.result), STEP
        y = made.activation(f"{name}/y", wanted, scale, 3)
    options: dict[str, Any] = {
        "channels_in": case.channels, "pad_values": int(case.pad_one),
        "padding": 0 if case.same else 1, "fused_activation_function": case.activation,
        "stride_height": case.stride[0], "stride_width": case.stride[1],
        "dilation_height_factor": case.dilation[0], "dilation_width_factor": case.dilation[1],
    }  # fmt: skip
    at = len(made.model.operators)
    if case.result == "int8 to even":
        options["rounding"] = "even"
    made.operator("LceBconv2d", tuple(inputs), y, **options)
    if case.result == "int32":  # the pool stands behind
        made.model.operators[at - 1 : at + 1] = made.model.operators[at - 1 : at + 1][::-1]
    made.result(y, wanted)


def _to_int8(values: np.ndarray, kind: str) -> np.ndarray:
    """Rounded as LCE does, half away from zero, or as QUANTIZE does, half to even."""
    if kind == "int8":
        return np.asarray(lce.to_int8(values, STEP, 3))
    return np.clip(np.rint(values / np.float32(STEP)) + 3, -128, 127).astype(np.int8)


def _pool(made: Made, name: str, y: int, words: np.ndarray) -> None:
    window = lce.make_window(words.shape[1:3], (2, 3), (2, 1), (1, 1), same=True)
    pooled = lce.max_pool(words, window)
    index = made.activation(f"{name}/pool", pooled)
    options = {"padding": 0, "stride_height": 2, "stride_width": 1}
    made.operator("LceBMaxPool2d", (y,), index, filter_height=2, filter_width=3, **options)
    made.result(index, pooled)


def random_model(seed: int, count: int, largest: int = 300) -> Made:
    """A model of independent random cases, its inputs and expected outputs."""
    rng = np.random.default_rng(seed)
    made = Made(LiteModel(), [], [], rng)
    for number in range(count):
        add_case(made, draw(rng, largest), number)
    return made


def write(made: Made, folder: Path, device: str, name: str = "model") -> Path:
    """The model as an exported folder for a device."""
    model = made.model
    model.input_names = [model.tensors[index].name for index in model.inputs]
    model.output_names = [model.tensors[index].name for index in model.outputs]
    lowered = lower_model(model, layout_of(device))
    for file, data in write_folder(lowered, name, device, "plain", FileMetadata()).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    return folder


def differing(made: Made, found: list[Any]) -> dict[str, int]:
    """Output -> values that are not exactly those expected."""
    names = [made.model.tensors[index].name for index in made.model.outputs]
    wrong = {}
    for name, mine, wanted in zip(names, found, made.expected, strict=True):
        assert mine.dtype == wanted.dtype and mine.shape == wanted.shape, name
        count = int((mine != wanted).sum())
        if count:
            wrong[name] = count
    return wrong


def macs(made: Made) -> int:
    """Products of the model's convolutions."""
    total = 0
    for operator in made.model.operators:
        if operator.custom_code == "LceBconv2d":
            shapes = [
                made.model.tensors[i].shape for i in (*operator.inputs[:2], *operator.outputs)
            ]
            per_group = operator.options["channels_in"] * shapes[1][3] // shapes[0][3]
            total += int(np.prod(shapes[2][:3]) * np.prod(shapes[1][:3]) * per_group)
    return total


def main_text(made: Made, name: str = "model") -> str:
    """A program that reads input.bin and writes the outputs, each in memory of exactly its bytes."""
    macro = name.upper()
    lines = []
    for kind, arrays in (("INPUT", made.inputs), ("OUTPUT", made.expected)):
        sizes = ", ".join(f"{macro}_{kind}_{n}_BYTES" for n in range(len(arrays)))
        lines.append(f"static const size_t {kind.lower()}_bytes[] = {{{sizes}}};")
    return _MAIN.replace("@sizes", "\n".join(lines)).replace("@name", name)


_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "@name.h"

@sizes
#define COUNT(array) (sizeof array / sizeof *array)

int main(void)
{
    @name_context *context = malloc(sizeof *context);
    void *inputs[COUNT(input_bytes)], *outputs[COUNT(output_bytes)];
    FILE *file = fopen("input.bin", "rb");
    if (file == NULL) return 2;
    for (size_t i = 0; i < COUNT(input_bytes); i++) {
        inputs[i] = malloc(input_bytes[i]);
        if (fread(inputs[i], 1, input_bytes[i], file) != input_bytes[i]) return 2;
    }
    fclose(file);
    for (size_t i = 0; i < COUNT(output_bytes); i++) outputs[i] = malloc(output_bytes[i]);
    memset(context, 0x5A, sizeof *context);
    if (@name_invoke(context, (const void *const *)inputs, outputs)) return 3;
    for (size_t i = 0; i < COUNT(output_bytes); i++) {
        fwrite(outputs[i], 1, output_bytes[i], stdout);
        free(outputs[i]);
    }
    for (size_t i = 0; i < COUNT(input_bytes); i++) free(inputs[i]);
    free(context);
    return 0;
}
"""
