"""Programs and vectors for emulated microcontrollers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from edgepress.devices.firmware_vectors import Vectors

CORES = {
    "stm32l4r5": "cortex-m4",
    "stm32h7a3": "cortex-m7",
    "stm32u585": "cortex-m33",
    "apollo510": "cortex-m55",
}

_STEP = """#include "edgepress_firmware.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
{before}
int edgepress_step(const void *const *inputs, void *const *outputs)
{{
    const int8_t *x = inputs[0];
    int8_t *y = outputs[0];
    (void)x, (void)y;
    {body}
}}
"""


def write_step(folder: Path, body: str, before: str = "") -> Path:
    """step.c in `folder` with this body: `x` and `y` are the first input and output, int8."""
    path = folder / "step.c"
    path.write_text(_STEP.format(body=body, before=before))
    return path


def copy_vectors(count: int = 1) -> Vectors:
    """8 values that must come out as they went in."""
    rows = [(np.arange(8, dtype=np.int8) - index,) for index in range(count)]
    return Vectors(rows, rows)
