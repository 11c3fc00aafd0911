"""Kernels for Helium on an emulated Cortex-M55: the only place where their instructions are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.emulate_c import run_c
from edgepress.devices.emulate_mcu import Tools, find_tools, run_firmware
from edgepress.devices.firmware_program import Program
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.profile import load_profile
from edgepress.export.c.kernels import TARGET, needed
from edgepress.export.c.pack import target_header
from edgepress.runtime.errors import MissingToolError, ParityError
from edgepress.runtime.session import open_session
from support import c_fuzz, c_models, kernel_cases

pytestmark = pytest.mark.emulated

CORE, DEVICE = "cortex-m55", "apollo510"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")

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


@pytest.fixture(scope="module")
def tools() -> Tools:
    """Compiler and QEMU; skipped where they are not installed."""
    try:
        return find_tools()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")


def check(tools: Tools, program: Program, cases: list[kernel_cases.Case]) -> None:
    """0 differences, and nothing written behind outputs and scratch."""
    vectors = Vectors([case.inputs for case in cases], [(case.expected,) for case in cases])
    try:
        run_firmware(load_profile(DEVICE), program, vectors, tools=tools)
    except ParityError as error:
        number = int(str(error).split("vector ")[1].split(",")[0])
        pytest.fail(f"{error}: {cases[number].said}")


@pytest.mark.parametrize(
    ("option", "first", "count"), [("-O3", 0, 900), ("-Os", 900, 300), ("-O0", 1200, 100)]
)
def test_kernels_equal_their_definition(
    tools: Tools, option: str, first: int, count: int, tmp_path: Path
) -> None:
    """Odd channels, tails, strides, dilations, borders, batches, multiples, factors of 1/2 and more."""
    cases = [kernel_cases.random_case(seed, CORE) for seed in range(first, first + count)]
    folder = kernel_cases.write_program(tmp_path, CORE, firmware=True)
    check(tools, Program((folder,), options=(option, *STRICT)), cases)


def small_program(folder: Path, text: str, header: str) -> Program:
    """One file above the kernels of a header."""
    for name, data in {**needed([header]), TARGET: target_header(CORE), "step.c": text}.items():
        (folder / name).write_text(data)
    return Program((folder,), options=("-O3", *STRICT))


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


@pytest.mark.parametrize("seed", [1, 5, 8, 18])
def test_random_networks_give_what_they_give_here(tools: Tools, seed: int, tmp_path: Path) -> None:
    """Pools, sums, tables, joins and layers: packed for no core and run here, packed for this one and run there."""
    pytest.importorskip("torch")
    hub = c_fuzz.random_hub(seed)
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    session = open_session(c_models.write(int8, tmp_path / "here"), "native")
    rng = np.random.default_rng(seed)
    inputs = [
        [rng.integers(-128, 128, spec.shape).astype(np.int8) for spec in session.artifact.inputs]
        for _ in range(8)
    ]
    vectors = Vectors(inputs, [session.run(row) for row in inputs])
    folder = c_models.write(int8, tmp_path / "there", device=CORE)
    run_c(folder, load_profile(DEVICE), vectors, tools=tools)
