"""One 3x3 convolution as exported C, as bits and as int8: what the bench of one-bit kernels builds and runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.c.folder import write_folder
from ...export.c.layout_bits import bits_of
from ...export.c.lower import lower_model
from ...export.c.pack import layout_of
from ...export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from ...export.tflite.lce_bits import pack_words, words
from ...runtime.artifact import FileMetadata
from ...runtime.files import write_bytes

KERNEL = 3
Array = NDArray[Any]

POPCOUNT_LOOP = """/* What is compared with: one word after the other, one output after the other. */
#include "ep_bdots.h"

void ep_bdots(const ep_bits_shape *s, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    const uint32_t *w = ep_bits_filter(s, filters, first, s->begin);
    for (int32_t n = 0; n < outputs; n++, w += s->words)
        for (int32_t p = 0; p < pixels; p++) {
            int32_t ones = 0;
            for (int32_t line = 0; line < s->lines; line++)
                for (int32_t tap = 0; tap < s->taps; tap++)
                    for (int32_t k = 0; k < s->run; k++)
                        ones += __builtin_popcount(x[p][line * s->line_step + tap * s->tap_step + k] ^
                                                   w[line * s->filter_line + tap * s->filter_tap + k]);
            differing[p][n] = ones;
        }
}
"""


@dataclass(frozen=True)
class Layer:
    """A convolution of `channels` to as many, borders of 0, over `size` x `size` pixels."""

    channels: int
    size: int

    @property
    def macs(self) -> int:
        """Products of one inference."""
        return self.size**2 * self.channels**2 * KERNEL**2

    def filters(self) -> Array:
        """int8 +-1 [outputs, rows, columns, channels], seeded."""
        rng = np.random.default_rng(self.channels)
        return rng.choice(
            np.array([-1, 1], np.int8), (self.channels, KERNEL, KERNEL, self.channels)
        )

    def signs(self) -> Array:
        """int8 +-1 [1, size, size, channels], seeded."""
        rng = np.random.default_rng(1)
        return rng.choice(np.array([-1, 1], np.int8), (1, self.size, self.size, self.channels))


def packed_model(layer: Layer) -> LiteModel:
    """Bits in, bits out: thresholds at 0, borders of 0."""
    model, depth = LiteModel(), words(layer.channels)
    x = model.add_tensor(LiteTensor("x", (1, layer.size, layer.size, depth), "int32"))
    y = model.add_tensor(LiteTensor("y", (1, layer.size, layer.size, depth), "int32"))
    filters = pack_words(layer.filters())
    w = model.add_tensor(LiteTensor("filter", filters.shape, "int32", filters))
    half = np.full(layer.channels, KERNEL**2 * layer.channels // 2, np.int32)
    threshold = model.add_tensor(LiteTensor("threshold", half.shape, "int32", half))
    options = {
        "channels_in": layer.channels, "pad_values": 0, "padding": 0, "fused_activation_function": 0,
        "stride_height": 1, "stride_width": 1, "dilation_height_factor": 1, "dilation_width_factor": 1,
    }  # fmt: skip
    model.operators.append(
        LiteOperator(
            "CUSTOM",
            (x, w, -1, -1, threshold),
            (y,),
            options,
            custom_code="LceBconv2d",
            source="layer",
        )
    )
    return _bordered(model, x, y)


def int8_model(layer: Layer) -> LiteModel:
    """The same size in int8, one scale a channel."""
    model, shape = LiteModel(), (1, layer.size, layer.size, layer.channels)
    held = LiteQuantization((1.0,), (0,))
    x = model.add_tensor(LiteTensor("x", shape, "int8", None, held))
    y = model.add_tensor(LiteTensor("y", shape, "int8", None, held))
    rng = np.random.default_rng(layer.channels)
    values = rng.integers(-127, 128, layer.filters().shape).astype(np.int8)
    scales = LiteQuantization((0.001,) * layer.channels, (0,) * layer.channels)
    w = model.add_tensor(LiteTensor("filter", values.shape, "int8", values, scales))
    bias = np.zeros(layer.channels, np.int32)
    b = model.add_tensor(LiteTensor("bias", bias.shape, "int32", bias, scales))
    options = {
        "padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1,
        "dilation_w_factor": 1, "fused_activation_function": "NONE",
    }  # fmt: skip
    operator = LiteOperator("CONV_2D", (x, w, b), (y,), options, version=3, source="layer")
    model.operators.append(operator)
    return _bordered(model, x, y)


def _bordered(model: LiteModel, x: int, y: int) -> LiteModel:
    model.inputs, model.outputs = [x], [y]
    model.input_names, model.output_names = ["x"], ["y"]
    return model


def write_layer(model: LiteModel, folder: Path, device: str, loop: bool = False) -> Path:
    """The exported folder; `loop` puts the plain popcount loop in the place of the kernel."""
    lowered = lower_model(model, layout_of(device))
    for file, data in write_folder(lowered, "layer", device, "plain", FileMetadata()).items():
        write_bytes(folder / file, data)
    if loop:
        source = bits_of(layout_of(device)).source or "ep_bdots.c"
        write_bytes(folder / source, POPCOUNT_LOOP.encode())
    return folder


def expected_bits(layer: Layer) -> Array:
    """What the packed model gives for `signs`, by numpy."""
    from ...runtime import lce_kernels as lce

    same = lce.make_window((layer.size,) * 2, (KERNEL,) * 2, (1, 1), (1, 1), same=True)
    counts, taps = lce.popcounts(pack_words(layer.signs()), pack_words(layer.filters()), same, True)
    sums = lce.sums(counts, taps, layer.channels)
    threshold = KERNEL**2 * layer.channels - 2 * (KERNEL**2 * layer.channels // 2)
    return lce.pack(sums < threshold)


@contextmanager
def compiled_with(flags: str) -> Iterator[None]:
    """Sessions opened inside are compiled with these options."""
    before = environ.get("EDGEPRESS_CFLAGS")
    environ["EDGEPRESS_CFLAGS"] = flags
    try:
        yield
    finally:
        if before is None:
            del environ["EDGEPRESS_CFLAGS"]
        else:
            environ["EDGEPRESS_CFLAGS"] = before
