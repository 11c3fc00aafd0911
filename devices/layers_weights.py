"""What a file of weights (.npz) holds: names, shapes, types and bytes, read from the headers alone."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..runtime.errors import InputError


@dataclass(frozen=True)
class TensorInfo:
    """One stored array. `n_bytes` is its size in memory, whatever the archive packs it to."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_bytes: int

    @property
    def elements(self) -> int:
        """Product of the shape."""
        return math.prod(self.shape)


def is_weights_archive(data: bytes) -> bool:
    """True if the content starts like a zip archive, which is what .npz files are."""
    return data[:4] == b"PK\x03\x04"


def weight_table(path: Path) -> tuple[TensorInfo, ...]:
    """All arrays of an .npz file in stored order; no array is loaded and nothing is unpickled.

    Raises:
        InputError: it cannot be read, is no .npz, or an array holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            if not names:
                raise InputError("the archive holds no arrays (.npy)", where=str(path))
            found = []
            for name in names:
                with archive.open(name) as stream:
                    found.append(_read_header(stream, name[: -len(".npy")], str(path)))
    except OSError as error:
        raise InputError(
            f"cannot read the file: {error.strerror or error}", where=str(path)
        ) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise InputError(f"not a sound .npz file: {error}", where=str(path)) from error
    return tuple(found)


def _read_header(stream: IO[bytes], name: str, where: str) -> TensorInfo:
    headers: Any = np.lib.format
    try:
        version = headers.read_magic(stream)
        read = headers.read_array_header_1_0
        if version != (1, 0):
            read = headers.read_array_header_2_0
        shape, _, dtype = read(stream)
    except ValueError as error:
        raise InputError(f"array '{name}' has a damaged header: {error}", where=where) from error
    if dtype.hasobject:
        raise InputError(
            f"array '{name}' holds Python objects",
            where=where,
            hint="store plain numbers: np.savez(path, **{k: v.numpy() for k, v in state.items()})",
        )
    return TensorInfo(name, tuple(shape), dtype.name, math.prod(shape) * dtype.itemsize)
