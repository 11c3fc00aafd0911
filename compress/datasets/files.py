"""Finding, hashing and reading the files of a data set."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError
from ...runtime.files import sha256_file
from ..archives import read_npz_file

Array = NDArray[Any]


def find(root: Path | None, folder: str, names: Sequence[str]) -> list[Path]:
    """Paths of `names` below `root`/`folder`; the first one missing is an `InputError` that says what to do."""
    if root is None:
        raise InputError(
            f"the data set {folder} is not bundled and no data folder is given",
            hint=f"pass --data DIR or set EDGEPRESS_DATA to a folder that holds {folder}/{names[0]}",
        )
    paths = [root / folder / name for name in names]
    for path in paths:
        if not path.is_file():
            raise InputError(
                "a file of the data set is missing",
                where=str(path),
                hint=f"put it there, or point --data or EDGEPRESS_DATA at the folder that holds {folder}/",
            )
    return paths


def combined_sha256(paths: Sequence[Path]) -> str:
    """One hash over names and contents of all files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {_file_sha256(path, *_stamp(path))}\n".encode())
    return digest.hexdigest()


def read_arrays(path: Path, keys: Sequence[str]) -> dict[str, Array]:
    """The named arrays of an .npz archive, read once per process; shared, so not writable.

    Raises:
        InputError: the archive is damaged or lacks an array.
    """
    arrays = _read(path, *_stamp(path))
    lacking = [key for key in keys if key not in arrays]
    if lacking:
        raise InputError(
            f"the archive has no array {lacking[0]}",
            where=str(path),
            hint="is this the right file? its format is described beside the data set's loader",
        )
    return {key: arrays[key] for key in keys}


def shuffled(count: int, seed: int) -> Array:
    """A permutation of 0..count-1 that depends on nothing but its arguments.

    Indices sorted by the splitmix64 hash of (seed, index) (Steele et al., OOPSLA 2014), so that splits survive
    new versions of numpy's generators.
    """
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.argsort(z, kind="stable")


def _stamp(path: Path) -> tuple[int, int]:
    """Changes whenever the file does: keeps the caches below honest."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=256)
def _file_sha256(path: Path, modified_ns: int, size: int) -> str:
    return sha256_file(path)


@functools.lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int, size: int) -> dict[str, Array]:
    arrays = read_npz_file(path)
    for value in arrays.values():
        value.setflags(write=False)
    return arrays
