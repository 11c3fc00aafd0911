"""Turns a `LiteModel` into the bytes of a TFLite file, with no generated code and no TensorFlow.

Same model, same bytes: nothing depends on time, hashing order or the machine. Constants with equal bytes
share one buffer, each buffer starts at a multiple of 16 bytes, buffer 0 stays empty as runtimes expect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...runtime.errors import InputError
from ...runtime.tflite_operators import OPERATOR_CODES, OPERATOR_OPTIONS, OPTIONS_UNION
from ...runtime.tflite_tables import SCHEMA_VERSION
from .flatbuffer import TableWriter
from .flexmap import flexmap
from .ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from .op_versions import minimum_runtime

DTYPES = {
    "float32": "FLOAT32",
    "float16": "FLOAT16",
    "int32": "INT32",
    "uint8": "UINT8",
    "int64": "INT64",
    "bool": "BOOL",
    "int16": "INT16",
    "int8": "INT8",
    "float64": "FLOAT64",
    "uint16": "UINT16",
    "uint32": "UINT32",
}
"""numpy's name of a type -> TFLite's."""

BUFFER_ALIGNMENT_BYTES = 16
MAXIMUM_FILE_BYTES = 2**31 - 1
RUNTIME_VERSION_KEY = "min_runtime_version"
RUNTIME_VERSION_BYTES = 16
SIGNATURE_KEY = "serving_default"

_LAST_SHORT_CODE = 127  # codes were one signed byte before TensorFlow 2.4

OperatorKey = tuple[str, str, int]
"""What one OperatorCode entry stands for: operator name, custom name, version."""


def write(model: LiteModel) -> bytes:
    """The TFLite file of `model`: one subgraph, one signature "serving_default", its metadata.

    `min_runtime_version` is added from the operator versions. Raises `InputError` where the model
    is not consistent (an index out of range, an empty constant, an unknown operator or option).
    """
    _check(model)
    buffers = _collect(model)
    size = buffers.total_bytes
    if size > MAXIMUM_FILE_BYTES:
        raise InputError(
            f"the model's constants take {size} bytes; a TFLite file ends at {MAXIMUM_FILE_BYTES}",
            hint="quantize the weights or split the model",
        )
    writer = TableWriter(size + 512 * (len(model.tensors) + len(model.operators)) + 4096)
    buffer_tables = [_buffer(writer, data) for data in buffers.blobs]
    codes = sorted({_key(operator) for operator in model.operators})
    root = writer.table(
        "Model",
        version=SCHEMA_VERSION,
        operator_codes=writer.vector_of_tables([_operator_code(writer, key) for key in codes]),
        subgraphs=writer.vector_of_tables([_subgraph(writer, model, buffers.of_tensor, codes)]),
        description=writer.string(model.description),
        buffers=writer.vector_of_tables(buffer_tables),
        metadata=writer.vector_of_tables(
            [
                writer.table("Metadata", name=writer.string(name), buffer=number)
                for name, number in buffers.of_metadata
            ]
        ),
        signature_defs=writer.vector_of_tables([_signature(writer, model)]),
    )
    return writer.finish(root)


# -- checks ---------------------------------------------------------------------------------------


def _check(model: LiteModel) -> None:
    count = len(model.tensors)
    for operator in model.operators:
        where = operator.source or operator.code
        if operator.code not in OPERATOR_CODES or (operator.code == "CUSTOM") != bool(
            operator.custom_code
        ):
            raise InputError(f"{operator.code!r} is no TFLite operator", where=where)
        if not all(-1 <= index < count for index in operator.inputs):
            raise InputError(f"inputs {operator.inputs} of {count} tensors", where=where)
        if not all(0 <= index < count for index in operator.outputs):
            raise InputError(f"outputs {operator.outputs} of {count} tensors", where=where)
    for indices, names in ((model.inputs, model.input_names), (model.outputs, model.output_names)):
        if len(indices) != len(names) or not all(0 <= index < count for index in indices):
            raise InputError(f"signature {names} does not fit the tensors {indices}")
    for tensor in model.tensors:
        _check_tensor(tensor)


def _check_tensor(tensor: LiteTensor) -> None:
    if tensor.dtype not in DTYPES:
        raise InputError(f"TFLite has no type {tensor.dtype!r}", where=tensor.name)
    if tensor.data is None:
        return
    if tensor.data.size == 0:
        raise InputError("an empty constant cannot be stored", where=tensor.name)
    if tensor.data.dtype.name != tensor.dtype or tensor.data.shape != tensor.shape:
        raise InputError(
            f"declared {tensor.dtype}{list(tensor.shape)}, holds {tensor.data.dtype}{list(tensor.data.shape)}",
            where=tensor.name,
        )


# -- buffers --------------------------------------------------------------------------------------


@dataclass
class _Buffers:
    """Contents of the file's buffers and who points to which."""

    blobs: list[bytes] = field(default_factory=lambda: [b""])
    of_tensor: list[int] = field(default_factory=list)
    of_metadata: list[tuple[str, int]] = field(default_factory=list)
    _number: dict[bytes, int] = field(default_factory=dict)

    def add(self, data: bytes) -> int:
        """Number of the buffer holding `data`."""
        if data not in self._number:
            self._number[data] = len(self.blobs)
            self.blobs.append(data)
        return self._number[data]

    @property
    def total_bytes(self) -> int:
        return sum(len(blob) + 2 * BUFFER_ALIGNMENT_BYTES for blob in self.blobs)


def _collect(model: LiteModel) -> _Buffers:
    buffers = _Buffers()
    for tensor in model.tensors:
        if tensor.data is None:
            buffers.of_tensor.append(0)
        else:
            little = tensor.data.astype(tensor.data.dtype.newbyteorder("<"), copy=False)
            buffers.of_tensor.append(buffers.add(little.tobytes()))
    version = minimum_runtime(
        (code, number) for code, _, number in sorted(set(map(_key, model.operators)))
    )
    entries = {
        RUNTIME_VERSION_KEY: version.encode().ljust(RUNTIME_VERSION_BYTES, b"\0"),
        **model.metadata,
    }
    buffers.of_metadata = [(name, buffers.add(entries[name])) for name in sorted(entries)]
    return buffers


def _buffer(writer: TableWriter, data: bytes) -> int:
    if not data:
        return writer.table("Buffer")
    return writer.table("Buffer", data=writer.aligned_bytes(data, BUFFER_ALIGNMENT_BYTES))


# -- tables ---------------------------------------------------------------------------------------


def _key(operator: LiteOperator) -> OperatorKey:
    return operator.code, operator.custom_code, operator.version


def _operator_code(writer: TableWriter, key: OperatorKey) -> int:
    name, custom, version = key
    code = OPERATOR_CODES[name]
    values = {"custom_code": writer.string(custom)} if custom else {}
    short = min(code, _LAST_SHORT_CODE)
    return writer.table(
        "OperatorCode", deprecated_builtin_code=short, builtin_code=code, version=version, **values
    )


def _subgraph(
    writer: TableWriter, model: LiteModel, buffer_of: Sequence[int], codes: Sequence[OperatorKey]
) -> int:
    numbers = {key: number for number, key in enumerate(codes)}
    shared: dict[LiteQuantization, int] = {}
    tensors = [
        _tensor(writer, tensor, number, shared)
        for tensor, number in zip(model.tensors, buffer_of, strict=True)
    ]
    operators = [
        _operator(writer, operator, numbers[_key(operator)]) for operator in model.operators
    ]
    return writer.table(
        "SubGraph",
        tensors=writer.vector_of_tables(tensors),
        inputs=writer.vector("[int]", model.inputs),
        outputs=writer.vector("[int]", model.outputs),
        operators=writer.vector_of_tables(operators),
        name=writer.string("main"),
    )


def _tensor(
    writer: TableWriter, tensor: LiteTensor, buffer: int, shared: dict[LiteQuantization, int]
) -> int:
    values = {}
    quantization = tensor.quantization
    if quantization is not None:
        if quantization not in shared:
            shared[quantization] = _quantization(writer, quantization, tensor.name)
        values["quantization"] = shared[quantization]
    return writer.table(
        "Tensor",
        shape=writer.vector("[int]", tensor.shape),
        type=DTYPES[tensor.dtype],
        buffer=buffer,
        name=writer.string(tensor.name),
        has_rank=True,
        **values,
    )


def _quantization(writer: TableWriter, quantization: LiteQuantization, where: str) -> int:
    if len(quantization.scale) != len(quantization.zero_point):
        raise InputError(
            f"{len(quantization.scale)} scales but {len(quantization.zero_point)} zero points",
            where=where,
        )
    return writer.table(
        "QuantizationParameters",
        scale=writer.vector("[float]", quantization.scale),
        zero_point=writer.vector("[long]", quantization.zero_point),
        quantized_dimension=quantization.dimension,
    )


def _operator(writer: TableWriter, operator: LiteOperator, code: int) -> int:
    values: dict[str, int | str] = {}
    if operator.code == "CUSTOM":
        stored = operator.custom_options or (operator.options and flexmap(operator.options))
        if stored:
            values["custom_options"] = writer.vector("[ubyte]", stored)
            values["custom_options_format"] = "FLEXBUFFERS"
    elif operator.code in OPERATOR_OPTIONS:
        table = OPERATOR_OPTIONS[operator.code]
        values["builtin_options_type"] = OPTIONS_UNION.index(table)
        values["builtin_options"] = writer.options(table, operator.options)
    elif operator.options:
        raise InputError(f"{operator.code} has no options", where=operator.source)
    return writer.table(
        "Operator",
        opcode_index=code,
        inputs=writer.vector("[int]", operator.inputs),
        outputs=writer.vector("[int]", operator.outputs),
        **values,
    )


def _signature(writer: TableWriter, model: LiteModel) -> int:
    def entries(names: Sequence[str], indices: Sequence[int]) -> int:
        return writer.vector_of_tables(
            [
                writer.table("TensorMap", name=writer.string(name), tensor_index=index)
                for name, index in zip(names, indices, strict=True)
            ]
        )

    return writer.table(
        "SignatureDef",
        inputs=entries(model.input_names, model.inputs),
        outputs=entries(model.output_names, model.outputs),
        signature_key=writer.string(SIGNATURE_KEY),
    )
