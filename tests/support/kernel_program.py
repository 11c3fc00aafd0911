"""C programs that make the calls of `kernel_cases.py`, with exactly the scratch that the layout says.

They are run on this machine under sanitizers, as a firmware, or as an aarch64 program.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.emulate_mcu import Tools, run_firmware
from edgepress.devices.firmware_program import Program
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.profile import load_profile
from edgepress.export.c.kernels import TARGET, needed
from edgepress.export.c.pack import layout_of, target_header
from edgepress.runtime.errors import ParityError

from .kernel_cases import N_WORDS, SCRATCH_BYTES, W_BYTES, X_BYTES, Y_BYTES, Array, Case

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
AARCH64_GCC, AARCH64_QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"

SOURCE = """
#include <string.h>
#include "ep_conv_s8.h"
#include "ep_dense_s8.h"
#include "ep_depthwise_s8.h"

/* p: kind, window, outputs, depth, zero, low, high, the input's zero point, bytes of x, y and scratch, band. */
static void call(const int32_t *p, const int8_t *x, const int8_t *w, const int32_t *c, int8_t *y, int8_t *scratch)
{
    const int32_t n = %(words)d;
    ep_window window;
#if EP_LAYOUT == EP_LAYOUT_SMLAD
    ep_gemm_s8_args gemm = {p[16], p[15], w, c, p[17], p[18], p[19]};
#else
    ep_gemm_s8_args gemm = {p[16], p[15], w, c, c + n, c + 2 * n, p[17], p[18], p[19]};
#endif
    memcpy(&window, p + 1, sizeof window);
    if (p[0] == 0) {
        ep_conv_s8_args args = {window, gemm, p[20]};
        ep_conv_s8(&args, x, y, scratch);
    } else if (p[0] == 1) {
        const int32_t multiples = p[15] / window.channels;
#if EP_LAYOUT == EP_LAYOUT_SMLAD
        ep_depthwise_s8_args args = {window, multiples, w, c, c + n, c + 2 * n, p[20], p[17], p[18], p[19], p[24]};
        ep_depthwise_s8(&args, x, y, scratch);
#else
        ep_depthwise_s8_args args = {window, multiples, w, c, c + n, c + 2 * n, p[20], p[17], p[18], p[19]};
#if EP_LAYOUT == EP_LAYOUT_BLOCKS16X4
        ep_depthwise_s8(&args, x, y, scratch);
#else
        ep_depthwise_s8(&args, x, y);
#endif
#endif
    } else {
        ep_dense_s8_args args = {window.batch, gemm};
        ep_dense_s8(&args, x, y);
    }
}
"""

FIRMWARE = """
#include "edgepress_firmware.h"

static int8_t scratch[%(scratch)d] EP_ALIGNED(16);

int edgepress_step(const void *const *inputs, void *const *outputs)
{
    const int32_t *p = inputs[0];
    memset(outputs[0], 0, %(y)d);
    memset(scratch, 0x55, sizeof scratch);
    call(p, inputs[1], inputs[2], inputs[3], outputs[0], scratch);
    for (int32_t i = p[23]; i < %(scratch)d; i++)
        if (scratch[i] != 0x55) return 1;
    return 0;
}
"""

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>

static void *take(FILE *file, size_t all, size_t count)
{
    char *whole = malloc(all), *exact = malloc(count > 0 ? count : 1);
    if (fread(whole, 1, all, file) != all) exit(2);
    memcpy(exact, whole, count);
    free(whole);
    return exact;
}

/* Buffers of exactly the bytes that are used, so that a step beyond is found. */
int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    for (int left = file == NULL ? 0 : atoi(argv[2]); left > 0; left--) {
        int32_t *p = take(file, 100, 100);
        int8_t *x = take(file, %(x)d, (size_t)p[21]), *w = take(file, %(w)d, %(w)d);
        int32_t *c = take(file, 16 * %(words)d, 16 * %(words)d);
        int8_t *y = malloc((size_t)p[22]), *scratch = malloc(p[23] > 0 ? (size_t)p[23] : 1);
        call(p, x, w, c, y, scratch);
        fwrite(y, 1, (size_t)p[22], stdout);
        for (int i = p[22]; i < %(y)d; i++) putchar(0);
        free(p), free(x), free(w), free(c), free(y), free(scratch);
    }
    return file == NULL;
}
"""


def write_program(folder: Path, core: str, firmware: bool) -> Path:
    """The kernels as they are exported for a core, and one file that calls them."""
    sizes = {"words": N_WORDS, "x": X_BYTES, "w": W_BYTES, "y": Y_BYTES, "scratch": SCRATCH_BYTES}
    headers = ("ep_conv_s8.h", "ep_depthwise_s8.h", "ep_dense_s8.h")
    files = needed(headers, dict(layout_of(core).sources))
    text = SOURCE % sizes + (FIRMWARE if firmware else PROGRAM) % sizes
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**files, TARGET: target_header(core), "calls.c": text}.items():
        (folder / name).write_text(data)
    return folder


def check_here(
    cases: list[Case], folder: Path, core: str, compiler: str, options: Sequence[str] = ()
) -> None:
    """The calls on this machine equal their definition, and touch nothing beyond their memory.

    Raises:
        AssertionError: a case that differs, or what a sanitizer said.
    """
    flags = [*STRICT, "-O1", "-g", *SANITIZERS, *options]
    _check(cases, write_program(folder, core, firmware=False), [compiler, *flags], [])


def check_aarch64(cases: list[Case], folder: Path, core: str, option: str) -> None:
    """The calls on an emulated Cortex-A equal their definition; raises as `check_here` does."""
    build, run = aarch64_words(core, option)
    _check(cases, write_program(folder, core, firmware=False), build, run)


def aarch64_words(core: str, option: str) -> tuple[list[str], list[str]]:
    """(compiler and its options, emulator) of a core; the test is skipped where one is not installed."""
    for program in (AARCH64_GCC, AARCH64_QEMU):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; `make test-emulated` installs it")
    build = [AARCH64_GCC, *STRICT, "-pedantic", "-static", f"-mcpu={core}", option]
    return build, [AARCH64_QEMU, "-cpu", core]


def built_and_run(
    folder: Path, build: list[str], run: list[str], sources: list[str], *arguments: str
) -> bytes:
    """stdout of a program that must build without a warning and end well."""
    words = [*build, "-I.", *sources, "-o", "program", "-lm"]
    built = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    assert built.returncode == 0, built.stderr.decode()
    words = [*run, "./program", *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, (done.stderr or done.stdout).decode(errors="replace")[:2000]
    return done.stdout


def _check(cases: list[Case], folder: Path, build: list[str], run: list[str]) -> None:
    data = b"".join(array.tobytes() for case in cases for array in case.inputs)
    (folder / "cases.bin").write_bytes(data)
    sources = sorted(path.name for path in folder.glob("*.c"))
    said = built_and_run(folder, build, run, sources, "cases.bin", str(len(cases)))
    outputs: Array = np.frombuffer(said, np.int8).reshape(len(cases), Y_BYTES)
    for case, output in zip(cases, outputs, strict=True):
        np.testing.assert_array_equal(output, case.expected, err_msg=case.said)


def check_firmware(
    cases: list[Case], folder: Path, core: str, device: str, option: str, tools: Tools
) -> None:
    """The calls on an emulated Cortex-M equal their definition, and write nothing behind outputs and scratch."""
    vectors = Vectors([case.inputs for case in cases], [(case.expected,) for case in cases])
    program = Program(
        (write_program(folder, core, firmware=True),), options=(option, *STRICT, "-pedantic")
    )
    try:
        run_firmware(load_profile(device), program, vectors, tools=tools)
    except ParityError as error:
        number = int(str(error).split("vector ")[1].split(",")[0])
        pytest.fail(f"{error}: {cases[number].said}")
