"""Test vectors of a firmware: what goes into the emulated program and comes out of it, as bounds-checked bytes.

    vectors = Vectors(inputs=[(x0,), (x1,)], expected=[(y0,), (y1,)])

All vectors have the dtypes and shapes of the first. Each tensor lies in a buffer of its own, aligned to 16 bytes;
between outputs at least 16 bytes are left and filled, so that a program that writes beyond its output is caught.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..runtime.errors import InputError, ParityError, ToolFailedError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ALIGNMENT = 16
FILL = 0xA5
MAGIC = 0x56504445  # "EDPV"
_HEAD, _ROW = struct.Struct("<4I"), struct.Struct("<iI")


@dataclass(frozen=True)
class Vectors:
    """Inputs and expected outputs, one row a vector.

    Attributes:
        inputs: arrays as the program takes them; little endian, C order.
        expected: arrays that it must give; their dtypes and shapes say what the output buffers are.
        tolerance_steps: by how much integer outputs may depart.
        relative, absolute: by how much floating-point outputs may depart (as `numpy.allclose`).
    """

    inputs: Sequence[Sequence[Array]]
    expected: Sequence[Sequence[Array]]
    tolerance_steps: int = 0
    relative: float = 1e-5
    absolute: float = 1e-6

    def __post_init__(self) -> None:
        if not self.inputs or len(self.inputs) != len(self.expected):
            raise UsageError(
                f"{len(self.inputs)} vectors of inputs and {len(self.expected)} of expected outputs",
                hint="give one row of expected outputs for each row of inputs, at least one",
            )
        for kind, rows in (("inputs", self.inputs), ("outputs", self.expected)):
            _check_rows(kind, rows)


def _check_rows(kind: str, rows: Sequence[Sequence[Array]]) -> None:
    first = [(array.dtype, array.shape) for array in rows[0]]
    if not first or any(dtype.kind not in "iufb" for dtype, _ in first):
        raise UsageError(f"{kind} are one or more arrays of numbers, got {first}")
    for index, row in enumerate(rows):
        found = [(array.dtype, array.shape) for array in row]
        if found != first:
            raise UsageError(f"vector {index}: {kind} {found}, those of vector 0 are {first}")


@dataclass(frozen=True)
class Layout:
    """Offsets of tensors in the two buffers of the harness, and the buffers' sizes in bytes."""

    input_offsets: tuple[int, ...]
    input_bytes: int
    output_offsets: tuple[int, ...]
    output_sizes: tuple[int, ...]
    output_bytes: int

    def header(self) -> str:
        """edgepress_layout.h."""
        lines = {
            "INPUT_BYTES": self.input_bytes,
            "OUTPUT_BYTES": self.output_bytes,
            "INPUT_OFFSETS": "{" + ", ".join(map(str, self.input_offsets)) + "}",
            "OUTPUT_OFFSETS": "{" + ", ".join(map(str, self.output_offsets)) + "}",
            "FILL": FILL,
        }
        defines = "".join(f"#define EDGEPRESS_{name} {value}\n" for name, value in lines.items())
        return "/* Buffers of the test vectors; generated. */\n" + defines


def layout_of(vectors: Vectors) -> Layout:
    """Where the tensors of these vectors lie."""
    inputs, input_bytes = _offsets([array.nbytes for array in vectors.inputs[0]], gap=0)
    sizes = [array.nbytes for array in vectors.expected[0]]
    outputs, output_bytes = _offsets(sizes, gap=ALIGNMENT)
    return Layout(inputs, input_bytes, outputs, tuple(sizes), output_bytes)


def _offsets(sizes: Sequence[int], gap: int) -> tuple[tuple[int, ...], int]:
    offsets, at = [], 0
    for size in sizes:
        offsets.append(at)
        at = -(-(at + max(size, 1) + gap) // ALIGNMENT) * ALIGNMENT
    return tuple(offsets), at


def pack(vectors: Vectors, layout: Layout) -> bytes:
    """vectors.bin of `firmware_sources/main.c`."""
    head = _HEAD.pack(MAGIC, len(vectors.inputs), layout.input_bytes, layout.output_bytes)
    parts = [head]
    for row in vectors.inputs:
        buffer = bytearray(layout.input_bytes)
        for offset, array in zip(layout.input_offsets, row, strict=True):
            data = array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()
            buffer[offset : offset + len(data)] = data
        parts.append(bytes(buffer))
    return b"".join(parts)


@dataclass(frozen=True)
class Row:
    """What the program gave for one vector: `said` is 0 if all was well; `stack_bytes` the stack it touched."""

    said: int
    stack_bytes: int
    outputs: tuple[Array, ...]


def unpack(data: bytes, vectors: Vectors, layout: Layout, where: str) -> tuple[Row, ...]:
    """Rows of outputs.bin, as many as there are whole ones.

    Raises:
        ToolFailedError: more bytes than asked for, or a part of a row.
        InputError: the program wrote beyond an output; names it.
    """
    size = _ROW.size + layout.output_bytes
    rows, rest = divmod(len(data), size)
    if rest or rows > len(vectors.inputs):
        raise ToolFailedError(
            f"outputs of {len(data)} bytes for {len(vectors.inputs)} vectors of {size}", where=where
        )
    return tuple(
        _row(data[index * size : (index + 1) * size], index, vectors, layout, where)
        for index in range(rows)
    )


def _row(data: bytes, index: int, vectors: Vectors, layout: Layout, where: str) -> Row:
    import numpy as np

    said, stack = _ROW.unpack_from(data)
    buffer, arrays, end = data[_ROW.size :], [], layout.output_bytes
    starts = (*layout.output_offsets[1:], end)
    places = zip(layout.output_offsets, layout.output_sizes, starts, strict=True)
    for number, (offset, size, following) in enumerate(places):
        if any(byte != FILL for byte in buffer[offset + size : following]):
            raise InputError(
                f"vector {index}: the program wrote beyond its output {number} of {size} bytes",
                where=where,
                hint="compare the output's shape and dtype with what the program writes",
            )
        like = vectors.expected[0][number]
        stored = np.frombuffer(buffer[offset : offset + size], like.dtype.newbyteorder("<"))
        arrays.append(stored.astype(like.dtype).reshape(like.shape))
    return Row(said, stack, tuple(arrays))


def check_parity(rows: Sequence[Row], vectors: Vectors, where: str) -> None:
    """Raise `ParityError` naming the first vector and output that departs from what was expected."""
    import numpy as np

    for index, (row, expected) in enumerate(zip(rows, vectors.expected, strict=True)):
        for number, (mine, theirs) in enumerate(zip(row.outputs, expected, strict=True)):
            wrong = _departures(mine, theirs, vectors)
            if wrong.any():
                first = tuple(int(axis) for axis in np.argwhere(wrong)[0])
                raise ParityError(
                    f"vector {index}, output {number}: {int(wrong.sum())} of {wrong.size} values depart, "
                    f"first at {first}: {mine[first]} instead of {theirs[first]}",
                    where=where,
                    hint="no figures are given for a program that computes something else",
                )


def _departures(mine: Array, theirs: Array, vectors: Vectors) -> Array:
    import numpy as np

    if mine.dtype.kind == "f":
        near = np.isclose(
            mine, theirs, rtol=vectors.relative, atol=vectors.absolute, equal_nan=True
        )
        return np.asarray(~near)
    if mine.dtype.kind == "b":
        return np.asarray(mine != theirs)
    wide: Any = object if mine.dtype.itemsize == 8 else np.int64  # differences that cannot overflow
    apart = np.abs(mine.astype(wide) - theirs.astype(wide))
    return np.asarray(apart > vectors.tolerance_steps, dtype=bool)
