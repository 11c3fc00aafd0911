"""The few facts of an ONNX file that an engine does not tell, read from its bytes without the onnx package.

An int8 input is followed by a DequantizeLinear node and an int8 output comes from a QuantizeLinear
node; their constants are the scale and zero point of the border. Protobuf wire format: a message is
a series of (field number << 3 | wire type) varints, each followed by its value
(https://protobuf.dev/programming-guides/encoding/); field numbers are those of onnx.proto.
"""

from __future__ import annotations

import struct
from typing import Dict, Iterator, List, Optional, Set, Tuple, Union

_Value = Union[int, bytes]

_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of GraphProto
_NODE_INPUT, _NODE_OUTPUT, _OP_TYPE = 1, 2, 4  # of NodeProto
_DATA_TYPE, _FLOATS, _INT32S, _TENSOR_NAME, _RAW = 2, 4, 5, 8, 9  # of TensorProto
_NAME = 1  # of ValueInfoProto

_FORMATS = {1: "<f", 2: "<B", 3: "<b", 4: "<H", 5: "<h", 6: "<i"}
"""struct format of a raw scalar by TensorProto.DataType: the types that scales and zero points have."""


def border_quantization(data: bytes) -> Dict[str, Tuple[float, int]]:
    """Graph input or output name -> (scale, zero point), where the graph quantizes its borders.

    Only per-tensor parameters stored as constants are found. Bytes that do not parse give nothing:
    the engine has the last word on what is a model.
    """
    try:
        return _read(data)
    except (ValueError, struct.error):
        return {}


def _read(data: bytes) -> Dict[str, Tuple[float, int]]:
    graph = b"".join(
        value for number, value in _fields(data) if number == _GRAPH and isinstance(value, bytes)
    )
    nodes: List[Tuple[str, List[str], List[str]]] = []
    scalars: Dict[str, float] = {}
    borders: Set[str] = set()
    for number, value in _fields(graph):
        if not isinstance(value, bytes):
            continue
        if number == _NODE:
            nodes.append(_node(value))
        elif number == _INITIALIZER and len(value) < 4096:  # a scalar and its name
            name, scalar = _scalar(value)
            if scalar is not None:
                scalars[name] = scalar
        elif number in (_INPUT, _OUTPUT):
            borders.update(_text(v) for n, v in _fields(value) if n == _NAME)
    found: Dict[str, Tuple[float, int]] = {}
    for operator, inputs, outputs in nodes:
        if operator not in ("QuantizeLinear", "DequantizeLinear") or len(inputs) < 2:
            continue
        name = (inputs if operator == "DequantizeLinear" else outputs)[0]
        zero = scalars.get(inputs[2]) if len(inputs) > 2 and inputs[2] else 0.0
        if name in borders and inputs[1] in scalars and zero is not None:
            found.setdefault(name, (scalars[inputs[1]], int(zero)))
    return found


def _node(data: bytes) -> Tuple[str, List[str], List[str]]:
    operator, inputs, outputs = "", [], []
    for number, value in _fields(data):
        if number == _OP_TYPE:
            operator = _text(value)
        elif number == _NODE_INPUT:
            inputs.append(_text(value))
        elif number == _NODE_OUTPUT:
            outputs.append(_text(value))
    return operator, inputs, outputs


def _scalar(data: bytes) -> Tuple[str, Optional[float]]:
    """(name, value) of a TensorProto with one element; None where it is no such constant."""
    name, kind, raw = "", 0, b""
    listed: Optional[float] = None
    for number, value in _fields(data):
        if number == _TENSOR_NAME:
            name = _text(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif number == _RAW and isinstance(value, bytes):
            raw = value
        elif number in (_FLOATS, _INT32S):
            listed = _listed(number, value)
    form = _FORMATS.get(kind)
    if form is not None and len(raw) == struct.calcsize(form):
        return name, float(struct.unpack(form, raw)[0])
    return name, listed


def _listed(number: int, value: _Value) -> Optional[float]:
    """The only element of `float_data` or `int32_data`, packed or not."""
    if isinstance(value, bytes) and number == _FLOATS and len(value) == 4:
        return float(struct.unpack("<f", value)[0])
    if isinstance(value, bytes) and number == _INT32S:
        plain, end = _varint(value, 0)
        value = plain if end == len(value) else b""
    if isinstance(value, int) and number == _INT32S:
        return float(value - (1 << 64) if value >> 63 else value)
    return None


def _text(value: _Value) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else ""


def _fields(data: bytes) -> Iterator[Tuple[int, _Value]]:
    """(field number, value): an int for varints, bytes for everything else."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            plain, position = _varint(data, position)
            yield number, plain
            continue
        if wire == 2:
            size, position = _varint(data, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + size > len(data):
            raise ValueError("a field ends behind the data")
        yield number, bytes(data[position : position + size])
        position += size


def _varint(data: bytes, position: int) -> Tuple[int, int]:
    value, shift = 0, 0
    while position < len(data) and shift < 70:
        byte = data[position]
        value |= (byte & 127) << shift
        position += 1
        if not byte & 128:
            return value & ((1 << 64) - 1), position
        shift += 7
    raise ValueError("a number does not end")
