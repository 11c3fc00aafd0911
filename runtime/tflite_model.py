"""What a parsed TFLite file holds: plain frozen records, constants as views into the file's bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

import numpy as np

BITS: Dict[str, int] = {
    "float64": 64,
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "float8_e4m3fn": 8,
    "float8_e5m2": 8,
    "int64": 64,
    "int32": 32,
    "int16": 16,
    "int8": 8,
    "int4": 4,
    "int2": 2,
    "uint64": 64,
    "uint32": 32,
    "uint16": 16,
    "uint8": 8,
    "uint4": 4,
    "bool": 8,
    "complex64": 64,
    "complex128": 128,
}
"""Bits that one element takes in a file; types of no fixed size (string, ...) are not in it."""

_PACKED = ("int4", "uint4", "int2")


@dataclass(frozen=True)
class TfliteQuantization:
    """`real = scale * (q - zero_point)`: one entry per tensor, or one per slice of `dimension`.

    `details` names another scheme ("BlockwiseQuantization", ...) where the file uses one.
    """

    scale: Tuple[float, ...]
    zero_point: Tuple[int, ...]
    dimension: int = 0
    details: str = ""

    @property
    def per_channel(self) -> bool:
        """True if slices have scales of their own."""
        return len(self.scale) > 1


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """A tensor; `raw` holds the constant's bytes as stored, None for what is computed.

    `dtype` is numpy's name, or the schema's in small letters where numpy has none ("int4").
    `shape_signature` has -1 for free dimensions and is `shape` where the file gives none.
    """

    index: int
    name: str
    shape: Tuple[int, ...]
    shape_signature: Tuple[int, ...]
    dtype: str
    buffer: int
    raw: Optional[np.ndarray[Any, Any]] = None
    quantization: Optional[TfliteQuantization] = None
    is_variable: bool = False
    is_sparse: bool = False

    @property
    def is_constant(self) -> bool:
        """True if the file holds the values."""
        return self.raw is not None

    @property
    def n_elements(self) -> int:
        """Product of the shape."""
        count = 1
        for n in self.shape:
            count *= n
        return count

    def values(self) -> np.ndarray[Any, Any]:
        """The constant's stored numbers in the tensor's shape: packed types unpacked to 8 bits.

        bfloat16 comes as float32. Raises `ValueError` for an activation and for types that have
        no numbers (strings, sparse tensors).
        """
        if self.raw is None or self.is_sparse or self.dtype not in BITS:
            raise ValueError(f"tensor {self.name!r} has no plain values")
        if self.dtype in _PACKED:
            return _unpack(self.raw, self.dtype, self.n_elements).reshape(self.shape)
        if self.dtype == "bfloat16":
            wide: np.ndarray[Any, Any] = self.raw.view("<u2").astype("<u4") << np.uint32(16)
            return wide.view("<f4").reshape(self.shape)
        if self.dtype.startswith("float8"):
            return self.raw.reshape(self.shape)
        dtype: np.dtype[Any] = np.dtype(self.dtype).newbyteorder("<")
        return self.raw.view(dtype).reshape(self.shape)


def _unpack(raw: np.ndarray[Any, Any], dtype: str, count: int) -> np.ndarray[Any, Any]:
    """Packed small integers to one per byte; the lowest bits come first."""
    bits, per_byte = BITS[dtype], 8 // BITS[dtype]
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(bits)
    codes = ((raw[:, None] >> shifts) & np.uint8((1 << bits) - 1)).reshape(-1)[:count]
    if dtype.startswith("u"):
        return np.asarray(codes)
    sign = 1 << (bits - 1)
    return np.asarray(((codes ^ np.uint8(sign)).astype(np.int16) - sign).astype(np.int8))


@dataclass(frozen=True)
class TfliteOperatorCode:
    """Which kernel an operator wants. `name` is "CUSTOM" with `custom_code` for foreign kernels."""

    name: str
    version: int
    custom_code: str = ""


@dataclass(frozen=True)
class TfliteOperator:
    """One step of a subgraph; -1 among `inputs` is an omitted optional tensor.

    `options` holds the fields of the options table by schema name, enumerations by member name; it
    is empty where the file has none or where the table is not declared (`options_table` names it).
    """

    index: int
    code: TfliteOperatorCode
    inputs: Tuple[int, ...]
    outputs: Tuple[int, ...]
    intermediates: Tuple[int, ...] = ()
    options: Dict[str, Any] = field(default_factory=dict)
    options_table: str = "NONE"
    custom_options: bytes = b""

    @property
    def name(self) -> str:
        """Operator name; the custom code for custom operators."""
        return self.code.custom_code if self.code.name == "CUSTOM" else self.code.name


@dataclass(frozen=True)
class TfliteSubgraph:
    """A graph: tensors, the indices of its inputs and outputs, operators in order of execution."""

    name: str
    tensors: Tuple[TfliteTensor, ...]
    inputs: Tuple[int, ...]
    outputs: Tuple[int, ...]
    operators: Tuple[TfliteOperator, ...]


@dataclass(frozen=True)
class TfliteSignature:
    """Names that callers use for the inputs and outputs of a subgraph: name -> tensor index."""

    key: str
    subgraph: int
    inputs: Dict[str, int]
    outputs: Dict[str, int]


@dataclass(frozen=True)
class TfliteModel:
    """A whole file. `subgraphs[0]` is the main graph; `metadata` maps names to raw bytes."""

    version: int
    description: str
    operator_codes: Tuple[TfliteOperatorCode, ...]
    subgraphs: Tuple[TfliteSubgraph, ...]
    signatures: Tuple[TfliteSignature, ...]
    metadata: Dict[str, bytes]
    n_buffers: int

    @property
    def main(self) -> TfliteSubgraph:
        """The graph an interpreter runs."""
        return self.subgraphs[0]
