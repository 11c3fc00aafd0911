"""Element-wise kernels for Helium on an emulated Cortex-M55: lanes compute what scalars do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.emulate_mcu import Tools, run_firmware
from edgepress.devices.firmware_program import Program
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.profile import load_profile
from edgepress.export.c.kernels import TARGET, needed
from edgepress.export.c.pack import target_header
from support.kernel_program import STRICT

pytestmark = pytest.mark.emulated

CORE, DEVICE = "cortex-m55", "apollo510"

LANES = """
#include "edgepress_firmware.h"
#include "ep_vec.h"

/* Lanes and scalars alike: gives the number of the first group that differs. */
int edgepress_step(const void *const *inputs, void *const *outputs)
{
    const int32_t *acc = inputs[0], *multiplier = inputs[1], *shift = inputs[2];
    int32_t found[EP_VEC_LANES];
    *(int8_t *)outputs[0] = 0;
    for (int32_t n = 0; n < 4096; n += EP_VEC_LANES) {
        const ep_vec_scale scale = ep_vec_scale_load(multiplier + n, shift + n);
        vst1q_s32(found, ep_vec_rescale(ep_vec_load_s32(acc + n), &scale));
        for (int32_t i = 0; i < EP_VEC_LANES; i++)
            if (found[i] != ep_rescale(acc[n + i], multiplier[n + i], shift[n + i])) return n + 1;
    }
    return 0;
}
"""

SUMS = """
#include "edgepress_firmware.h"
#include "ep_add_s8.h"

/* A row of sums at once and element by element, which takes no vectors: gives 1 if they differ. */
int edgepress_step(const void *const *inputs, void *const *outputs)
{
    const int32_t *p = inputs[0];
    const int8_t *a = inputs[1], *b = inputs[2];
    const ep_strides strides = {{1, 1, 1, 1, 1, 67}, {{0}}};
    const ep_scale scale_a = {p[3], p[4]}, scale_b = {p[5], p[6]}, scale_y = {p[7], p[8]};
    ep_add_s8_args args = {strides, p[0], p[1], p[2], scale_a, scale_b, scale_y, p[9], p[10], p[11]};
    int8_t all[67], one;
    for (int32_t i = 0; i < 4; i++) args.strides.step[i][5] = 1;
    *(int8_t *)outputs[0] = 0;
    ep_add_s8(&args, a, b, all);
    args.strides.length[5] = 1;
    for (int32_t i = 0; i < 67; i++) {
        ep_add_s8(&args, a + i, b + i, &one);
        if (one != all[i]) return 1;
    }
    return 0;
}
"""


def small_program(folder: Path, text: str, header: str) -> Program:
    """One file above the kernels of a header."""
    for name, data in {**needed([header]), TARGET: target_header(CORE), "step.c": text}.items():
        (folder / name).write_text(data)
    return Program((folder,), options=("-O3", *STRICT, "-pedantic"))


def test_lanes_rescale_as_scalars_do(tools: Tools, tmp_path: Path) -> None:
    """Sums of all sizes, factors of all sizes, ties, in mixed lanes."""
    rng = np.random.default_rng(0)
    acc = rng.integers(-(2**31), 2**31, 4096) >> rng.integers(0, 28, 4096)
    multiplier = np.where(rng.random(4096) < 0.3, 2**30, rng.integers(2**30, 2**31, 4096))
    shift = rng.integers(-31, 3, 4096)
    shift[:2048] = rng.integers(-12, 0, 2048)
    inputs = tuple(v.astype(np.int32) for v in (acc, multiplier, shift))
    vectors = Vectors([inputs], [(np.zeros(1, np.int8),)])
    program = small_program(tmp_path, LANES, "ep_vec.h")
    run_firmware(load_profile(DEVICE), program, vectors, tools=tools)


def test_sums_in_vectors_are_those_of_single_elements(tools: Tools, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    inputs = []
    for _ in range(200):
        zeros = rng.integers(-128, 128, 3)
        scales = [(int(rng.integers(2**30, 2**31)), int(rng.integers(-6, 1))) for _ in range(2)]
        scales[int(rng.integers(2))] = (
            2**30,
            0,
        )  # the larger scale of both sides is half of twice itself
        scales.append((int(rng.integers(2**30, 2**31)), int(rng.integers(-20, -15))))
        words = [
            *zeros[:2],
            rng.choice([1, -1]),
            *np.ravel(scales),
            zeros[2],
            -128,
            rng.choice([127, 60]),
        ]
        sides = rng.integers(-128, 128, (2, 67)).astype(np.int8)
        inputs.append((np.array(words, np.int32), *sides))
    vectors = Vectors(inputs, [(np.zeros(1, np.int8),)] * len(inputs))
    program = small_program(tmp_path, SUMS, "ep_add_s8.h")
    run_firmware(load_profile(DEVICE), program, vectors, tools=tools)
