"""Numpy archives (.npz) read without pickles and written with the same bytes for the same values."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ..runtime.errors import InputError

Array = NDArray[Any]

npy: Any = npy_format  # its functions carry no annotations

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member: the earliest a zip archive can hold."""


def npz_bytes(arrays: Mapping[str, Array], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An .npz archive of `arrays`, keys sorted; the bytes depend on names, shapes, types and values only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key in sorted(arrays):
            member = zipfile.ZipInfo(f"{key}.npy", date_time=EPOCH)
            member.compress_type = compression
            member.external_attr = 0o644 << 16
            content = io.BytesIO()
            value = np.asarray(arrays[key])
            npy.write_array(content, np.require(value, requirements="C"), allow_pickle=False)
            archive.writestr(member, content.getvalue(), compresslevel=9)
    return buffer.getvalue()


def read_npz(
    data: bytes, where: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, Array]:
    """All arrays of an .npz archive.

    With `shapes`, an array of a known name and another shape is refused before its data is read, so that a
    small archive cannot claim a huge array.

    Raises:
        InputError: not a sound archive, a member with a path in its name, or an array of Python objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                _key(info.filename, where): _member(archive, info, where, shapes or {})
                for info in archive.infolist()
            }
    except InputError:
        raise
    except (
        Exception
    ) as error:  # damaged archives raise a large family of errors (zlib, struct, zipfile, ...)
        raise InputError(
            f"the .npz archive is damaged ({type(error).__name__}: {str(error)[:120]})",
            where=where,
            hint="save or download the file again",
        ) from error


def read_npz_file(path: Path) -> dict[str, Array]:
    """`read_npz` of a file; a missing one is an `InputError`."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    return read_npz(data, str(path))


def _key(filename: str, where: str) -> str:
    key = filename.removesuffix(".npy")
    if key == filename or not key or any(c in key for c in "/\\:\0") or ".." in key:
        raise InputError(
            f"the archive holds {filename!r}, which is not a plain .npy member", where=where
        )
    return key


def _member(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    where: str,
    shapes: Mapping[str, tuple[int, ...]],
) -> Array:
    key = info.filename.removesuffix(".npy")
    with archive.open(info) as stream:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise InputError(
            f"{key} holds pickled Python objects, which are never loaded",
            where=where,
            hint="save plain numeric arrays",
        )
    if key in shapes and shape != shapes[key]:
        raise InputError(
            f"{key} has shape {list(shape)}, the model needs {list(shapes[key])}",
            where=where,
            hint="are these the weights of this model?",
        )
    if int(np.prod(shape, dtype=object)) * dtype.itemsize > info.file_size:
        raise InputError(f"{key} is cut short: its shape is {list(shape)}", where=where)
    with archive.open(info) as stream:
        return npy.read_array(stream, allow_pickle=False)
