"""Sums of int8 rows at once, which takes vectors, and element by element, which takes none: a C program that compares.

Factors are random, or powers of two: then sums meet halves exactly, where a rounding that leans to one side is seen;
or one side is nothing and the other far to the right, so that its inner roundings are seen in the result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from edgepress.export.c.kernels import TARGET, needed
from edgepress.export.c.pack import layout_of, target_header

LENGTH = 67
COUNT, HOST_COUNT = 200, 20_000
"""Calls on an emulated core, and on this machine."""

_DIFFER = """
#include "ep_add_s8.h"

static int differ(const int32_t *p, const int8_t *a, const int8_t *b)
{
    const ep_strides strides = {{1, 1, 1, 1, 1, 67}, {{0}}};
    const ep_scale scale_a = {p[3], p[4]}, scale_b = {p[5], p[6]}, scale_y = {p[7], p[8]};
    ep_add_s8_args args = {strides, p[0], p[1], p[2], scale_a, scale_b, scale_y, p[9], p[10], p[11]};
    int8_t all[67], one;
    for (int32_t i = 0; i < 4; i++) args.strides.step[i][5] = 1;
    ep_add_s8(&args, a, b, all);
    args.strides.length[5] = 1;
    for (int32_t i = 0; i < 67; i++) {
        ep_add_s8(&args, a + i, b + i, &one);
        if (one != all[i]) return 1;
    }
    return 0;
}
"""

_FIRMWARE = """
#include "edgepress_firmware.h"

int edgepress_step(const void *const *inputs, void *const *outputs)
{
    *(int8_t *)outputs[0] = 0;
    return differ(inputs[0], inputs[1], inputs[2]);
}
"""

_PROGRAM = """
#include <stdio.h>

int main(void)
{
    int32_t p[12];
    int8_t sides[2][67];
    FILE *file = fopen("cases.bin", "rb");
    for (int left = file == NULL ? 0 : COUNT; left > 0; left--) {
        if (fread(p, sizeof p, 1, file) != 1 || fread(sides, sizeof sides, 1, file) != 1) return 2;
        if (differ(p, sides[0], sides[1])) return printf("case %d\\n", COUNT - left), 1;
    }
    return file == NULL;
}
"""


def cases(seed: int = 1, count: int = COUNT) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(zero points, sign, factors, bounds; both sides) of each call."""
    rng = np.random.default_rng(seed)
    return [_alone(rng) if number % 3 == 2 else _case(rng) for number in range(count)]


def _alone(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One side at its zero point; the result counts the other's inner steps in halves."""
    zeros = rng.integers(-128, 128, 3)
    half, sides = int(rng.integers(2)), rng.integers(-128, 128, (2, LENGTH))
    sides[half] = zeros[half]
    other = (int(rng.integers(2**30, 2**31)), int(rng.integers(-20, -17)))
    factors = [(2**30, 0), other] if half == 0 else [other, (2**30, 0)]
    words = [*zeros[:2], 1, *np.ravel([*factors, (2**31 - 1, -1)]), 0, -128, 127]
    first, second = sides.astype(np.int8)
    return np.array(words, np.int32), first, second


def _case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    zeros = rng.integers(-128, 128, 3)
    if rng.random() < 0.5:
        nearly = 2**30 + int(
            rng.choice([0, 256, 512, 1024, 2048])
        )  # one beyond a half, of some sums
        factors = [(2**30, 0), (nearly, int(rng.choice([0, 0, -1, -2])))]
        factors = [factors[n] for n in rng.permutation(2)]
        factors.append((2**30, int(rng.integers(-21, -18))))
    else:
        factors = [(int(rng.integers(2**30, 2**31)), int(rng.integers(-6, 1))) for _ in range(2)]
        # the larger scale of both sides is half of twice itself
        factors[int(rng.integers(2))] = (2**30, 0)
        factors.append((int(rng.integers(2**30, 2**31)), int(rng.integers(-20, -15))))
    bounds = [-128, rng.choice([127, 60])]
    words = [*zeros[:2], rng.choice([1, 1, -1]), *np.ravel(factors), zeros[2], *bounds]
    sides = rng.integers(-128, 128, (2, LENGTH))
    if rng.random() < 0.5:
        sides = np.clip(zeros[:2, None] + rng.integers(-12, 13, (2, LENGTH)), -128, 127)
    first, second = sides.astype(np.int8)
    return np.array(words, np.int32), first, second


def write(folder: Path, core: str, firmware: bool) -> list[str]:
    """The kernels of a core and the comparison; gives the names of the sources."""
    files = needed(["ep_add_s8.h"], dict(layout_of(core).sources))
    count = COUNT if firmware else HOST_COUNT
    text = _DIFFER + (_FIRMWARE if firmware else _PROGRAM.replace("COUNT", str(count)))
    for name, data in {**files, TARGET: target_header(core), "step.c": text}.items():
        (folder / name).write_text(data)
    data = b"".join(array.tobytes() for case in cases(count=count) for array in case)
    (folder / "cases.bin").write_bytes(data)
    return sorted(path.name for path in folder.glob("*.c"))
