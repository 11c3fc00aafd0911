"""Parse a TFLite file without any engine or schema package: pure Python and numpy, read-only.

    model = read_model(path.read_bytes(), where=str(path))
    [op.name for op in model.main.operators]

Everything a file claims is checked (`tflite_check`), so that what comes out is safe to index; every
damaged file ends in an `InputError`. What kernels stumble over besides is checked before an engine
gets the file (`tflite_assumptions`), so that a faulty file can still be inspected. The declared tables live in
`tflite_tables` and `tflite_operators`, the records in `tflite_model`; all are re-exported here.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from .errors import InputError
from .flatbuffer import Flatbuffer, Table, root
from .tflite_check import check_model
from .tflite_model import (
    BITS,
    TfliteModel,
    TfliteOperator,
    TfliteOperatorCode,
    TfliteQuantization,
    TfliteSignature,
    TfliteSubgraph,
    TfliteTensor,
)
from .tflite_operators import OPERATOR_CODES, OPERATOR_NAMES, OPERATOR_OPTIONS
from .tflite_tables import ENUMS, FILE_IDENTIFIER, SCHEMA_VERSION, TABLES, Field

__all__ = [
    "BITS",
    "ENUMS",
    "FILE_IDENTIFIER",
    "OPERATOR_CODES",
    "OPERATOR_NAMES",
    "OPERATOR_OPTIONS",
    "SCHEMA_VERSION",
    "TABLES",
    "Field",
    "TfliteModel",
    "TfliteOperator",
    "TfliteOperatorCode",
    "TfliteQuantization",
    "TfliteSignature",
    "TfliteSubgraph",
    "TfliteTensor",
    "read_model",
]

_Bytes = Optional["np.ndarray[Any, Any]"]


def read_model(data: bytes, where: str = "") -> TfliteModel:
    """Parse and check a TFLite file.

    Args:
        data: the file's bytes; constants of the result are read-only views into them.
        where: the file's name for messages.

    Raises:
        InputError: not a TFLite file, damaged, or inconsistent (an index out of range, a constant
            of the wrong size, a quantized dimension that does not exist, ...).
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise InputError("not a TFLite file (no TFL3 at byte 4)", where=where or None)
    source = Flatbuffer(data, where)
    table = root(source, "Model")
    if table.get("version") != SCHEMA_VERSION:
        raise source.fail(f"schema version {table.get('version')}, known is {SCHEMA_VERSION}")
    buffers = [_buffer(source, item) for item in table.get("buffers")]
    codes = tuple(_operator_code(item) for item in table.get("operator_codes"))
    model = TfliteModel(
        version=SCHEMA_VERSION,
        description=table.get("description") or "",
        operator_codes=codes,
        subgraphs=tuple(_subgraph(source, item, codes, buffers) for item in table.get("subgraphs")),
        signatures=tuple(_signature(item) for item in table.get("signature_defs")),
        metadata=_metadata(source, table, buffers),
        n_buffers=len(buffers),
    )
    check_model(model, source.fail)
    _check_appendix(source)
    return model


def _check_appendix(source: Flatbuffer) -> None:
    """A zip archive with label files may follow the tables; cut short, the whole file was cut."""
    start = source.data.find(b"PK\3\4", source.end)
    if start < 0:
        return
    try:
        zipfile.ZipFile(io.BytesIO(source.data[start:])).close()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise source.fail(f"the archive of attached files is cut or broken ({error})") from error


def _ints(array: np.ndarray[Any, Any]) -> Tuple[int, ...]:
    return tuple(int(n) for n in array)


def _buffer(source: Flatbuffer, table: Table) -> _Bytes:
    """Bytes of a buffer as an array, None if it is empty."""
    offset, size = int(table.get("offset")), int(table.get("size"))
    if offset > 1:  # stored behind the tables, as files above 2 GiB do
        if offset + size > len(source.data):
            raise source.fail(f"a buffer of {size} bytes at byte {offset} ends behind the file")
        source.spend(size)
        return np.frombuffer(source.data, dtype=np.uint8, count=size, offset=offset)
    stored: np.ndarray[Any, Any] = table.get("data")
    return stored if stored.size else None


def _operator_code(table: Table) -> TfliteOperatorCode:
    # Codes above 126 live in the newer field; old files fill only the first.
    code = max(int(table.get("builtin_code")), int(table.get("deprecated_builtin_code")))
    name = OPERATOR_NAMES[code] if 0 <= code < len(OPERATOR_NAMES) else f"BUILTIN_{code}"
    return TfliteOperatorCode(name, int(table.get("version")), table.get("custom_code") or "")


def _subgraph(
    source: Flatbuffer,
    table: Table,
    codes: Tuple[TfliteOperatorCode, ...],
    buffers: List[_Bytes],
) -> TfliteSubgraph:
    tensors = enumerate(table.get("tensors"))
    operators = enumerate(table.get("operators"))
    return TfliteSubgraph(
        name=table.get("name") or "",
        tensors=tuple(_tensor(source, index, item, buffers) for index, item in tensors),
        inputs=_ints(table.get("inputs")),
        outputs=_ints(table.get("outputs")),
        operators=tuple(_operator(source, index, item, codes) for index, item in operators),
    )


def _tensor(source: Flatbuffer, index: int, table: Table, buffers: List[_Bytes]) -> TfliteTensor:
    shape, signature = _ints(table.get("shape")), _ints(table.get("shape_signature"))
    buffer, name = int(table.get("buffer")), table.get("name") or ""
    if buffer >= len(buffers):
        raise source.fail(f"tensor {index} {name!r} names buffer {buffer} of {len(buffers)}")
    return TfliteTensor(
        index=index,
        name=name,
        shape=shape,
        shape_signature=signature if len(signature) == len(shape) else shape,
        dtype=str(table.get("type")).lower(),
        buffer=buffer,
        raw=buffers[buffer],
        quantization=_quantization(table.get("quantization")),
        is_variable=bool(table.get("is_variable")),
        is_sparse=table.get("sparsity") is not None,
    )


def _quantization(table: Optional[Table]) -> Optional[TfliteQuantization]:
    """None unless the tensor has scales or another scheme; recorded min/max alone mean nothing."""
    if table is None:
        return None
    scale, details = table.get("scale"), table.union_name("details")
    if not scale.size and details == "NONE":
        return None
    return TfliteQuantization(
        scale=tuple(float(s) for s in scale),
        zero_point=_ints(table.get("zero_point")) or (0,) * len(scale),
        dimension=int(table.get("quantized_dimension")),
        details="" if details == "NONE" else details,
    )


def _operator(
    source: Flatbuffer, index: int, table: Table, codes: Tuple[TfliteOperatorCode, ...]
) -> TfliteOperator:
    code = int(table.get("opcode_index"))
    if code >= len(codes):
        raise source.fail(f"operator {index} has code {code} of {len(codes)}")
    options_table, options = _options(table)
    return TfliteOperator(
        index=index,
        code=codes[code],
        inputs=_ints(table.get("inputs")),
        outputs=_ints(table.get("outputs")),
        intermediates=_ints(table.get("intermediates")),
        options=options,
        options_table=options_table,
        custom_options=_custom_options(source, table),
    )


def _options(table: Table) -> Tuple[str, Dict[str, Any]]:
    for name in ("builtin_options", "builtin_options_2"):
        selected = table.union_name(name)
        if selected != "NONE":
            stored = table.get(name)
            return selected, stored.as_dict() if stored is not None else {}
    return "NONE", {}


def _custom_options(source: Flatbuffer, table: Table) -> bytes:
    offset = int(table.get("large_custom_options_offset"))
    size = int(table.get("large_custom_options_size"))
    if offset > 1:
        if offset + size > len(source.data):
            raise source.fail(f"custom options at byte {offset} end behind the file")
        source.spend(size)
        return bytes(source.data[offset : offset + size])
    return bytes(table.get("custom_options").tobytes())


def _signature(table: Table) -> TfliteSignature:
    return TfliteSignature(
        key=table.get("signature_key") or "",
        subgraph=int(table.get("subgraph_index")),
        inputs={i.get("name") or "": int(i.get("tensor_index")) for i in table.get("inputs")},
        outputs={i.get("name") or "": int(i.get("tensor_index")) for i in table.get("outputs")},
    )


def _metadata(source: Flatbuffer, table: Table, buffers: List[_Bytes]) -> Dict[str, bytes]:
    found: Dict[str, bytes] = {}
    for item in table.get("metadata"):
        name, buffer = item.get("name") or "", int(item.get("buffer"))
        if buffer >= len(buffers):
            raise source.fail(f"metadata {name!r} names buffer {buffer} of {len(buffers)}")
        content = buffers[buffer]
        found[name] = content.tobytes() if content is not None else b""
        source.spend(len(found[name]))
    return found
