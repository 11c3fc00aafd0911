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
from support import sums_check
from support.kernel_program import STRICT

pytestmark = pytest.mark.emulated

CORE, DEVICE = "cortex-m55", "apollo510"
OPTIONS = ("-O3", *STRICT, "-pedantic")

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


def test_lanes_rescale_as_scalars_do(tools: Tools, tmp_path: Path) -> None:
    """Sums of all sizes, factors of all sizes, ties, in mixed lanes."""
    rng = np.random.default_rng(0)
    acc = rng.integers(-(2**31), 2**31, 4096) >> rng.integers(0, 28, 4096)
    multiplier = np.where(rng.random(4096) < 0.3, 2**30, rng.integers(2**30, 2**31, 4096))
    shift = rng.integers(-31, 3, 4096)
    shift[:2048] = rng.integers(-12, 0, 2048)
    inputs = tuple(v.astype(np.int32) for v in (acc, multiplier, shift))
    vectors = Vectors([inputs], [(np.zeros(1, np.int8),)])
    files = {**needed(["ep_vec.h"]), TARGET: target_header(CORE), "step.c": LANES}
    for name, data in files.items():
        (tmp_path / name).write_text(data)
    program = Program((tmp_path,), options=OPTIONS)
    run_firmware(load_profile(DEVICE), program, vectors, tools=tools)


def test_sums_in_vectors_are_those_of_single_elements(tools: Tools, tmp_path: Path) -> None:
    sums_check.write(tmp_path, CORE, firmware=True)
    cases = sums_check.cases()
    vectors = Vectors(cases, [(np.zeros(1, np.int8),)] * len(cases))
    program = Program((tmp_path,), options=OPTIONS)
    run_firmware(load_profile(DEVICE), program, vectors, tools=tools)
