"""Raw samples, one by one: of a split, of a user's .npz, spread over either."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..compress.task import Array, Split
from ..runtime.errors import InputError

Sample = tuple[Array, ...]


def samples_of(split: Split, count: int | None = None) -> list[Sample]:
    """Samples of a split one by one, batch of 1."""
    total = len(split) if count is None else min(count, len(split))
    if total == 0:
        raise InputError(f"the split {split.name!r} is empty", hint="check the data folder")
    return [tuple(np.asarray(x[i : i + 1]) for x in split.inputs) for i in range(total)]


def as_fed(values: Array) -> Array:
    """Raw values as a hub takes them: pixels and the like become float32, indices (int32, int64) stay."""
    wide = values.dtype in (np.int32, np.int64, np.bool_)
    return np.asarray(values) if wide else np.asarray(values, np.float32)


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` of the items at equal distances, the first included; all if there are not more."""
    if not items:
        raise InputError("no inputs to prove anything on", hint="check the data folder")
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def read_samples(path: Path) -> list[Sample]:
    """Raw inputs of an .npz without pickles: one array per model input, in their order, samples first.

    Raises:
        InputError: damaged, empty, pickled, not numbers, NaN, or arrays of different length.
    """
    where, arrays = str(path), []
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [(name, archive[name]) for name in archive.files]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError, AttributeError) as error:
        raise InputError(
            f"not a readable .npz of inputs: {error}",
            where=where,
            hint="save it with numpy.savez(path, input=array)",
        ) from error
    if not arrays or not all(a.ndim and len(a) for _, a in arrays):
        raise InputError("the file holds no samples", where=where, hint="one array per input")
    for name, array in arrays:
        if array.dtype.kind not in "fiub":
            raise InputError(f"array {name!r} holds {array.dtype}, not numbers", where=where)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"array {name!r} holds NaN or infinity", where=where)
    lengths = {name: len(array) for name, array in arrays}
    if len(set(lengths.values())) > 1:
        raise InputError(f"arrays of different length: {lengths}", where=where)
    count = len(arrays[0][1])
    plain = [a.astype(np.float32) if a.dtype.kind == "f" else a for _, a in arrays]
    return [tuple(a[i : i + 1] for a in plain) for i in range(count)]
