"""NAME_vectors.h: inputs and what the model must give for them, to be compared on the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...runtime.artifact import TensorSpec
from ...runtime.errors import UsageError
from .emit import constant_text
from .lower import LoweredC
from .program import Array

Vector = tuple[Sequence[Array], Sequence[Array]]
"""(inputs, expected outputs), dtypes and shapes as the model's."""


def vectors_text(name: str, lowered: LoweredC, vectors: Sequence[Vector]) -> str:
    """The header: NAME_VECTORS, and an array for each tensor with one vector behind the other.

    Raises:
        UsageError: there are none, or an array is not as the model's tensor.
    """
    if not vectors:
        raise UsageError("no vectors", hint="give one or more pairs of inputs and outputs")
    macro, parts = f"{name.upper()}_VECTORS", []
    for kind, side, specs in (("input", 0, lowered.inputs), ("output", 1, lowered.outputs)):
        for position, spec in enumerate(specs):
            rows = [_checked(vector[side], position, spec) for vector in vectors]
            parts.append(constant_text(f"{name}_vector_{kind}_{position}", np.concatenate(rows)))
    arrays = "\n\n".join(parts)
    return f"""/* Vectors of {name}: integers must be given exactly, floats to 1e-5 of each value. */
#ifndef {macro}_H
#define {macro}_H

#include <math.h>

#include "ep_base.h"

#define {macro} {len(vectors)}

{arrays}

#endif
"""


def _checked(arrays: Sequence[Array], position: int, spec: TensorSpec) -> Array:
    array = np.asarray(arrays[position]) if position < len(arrays) else np.zeros(0)
    if array.shape != spec.shape or array.dtype.name != spec.dtype:
        raise UsageError(
            f"a vector of {array.dtype.name} {array.shape} for '{spec.name}'",
            hint=f"the model has {spec.dtype} {spec.shape} there",
        )
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.astype(np.uint8) if flat.dtype == bool else flat
