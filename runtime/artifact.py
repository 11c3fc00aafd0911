"""What an exported file is: its tensors, labels, input normalisation and hash.

An `Artifact` is opened by looking at the content, never at the suffix.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from .codec import from_json, to_json
from .errors import InputError
from .files import sha256_bytes

METADATA_KEY = "edgepress"
"""Name under which ONNX metadata_props and TFLite Model.metadata hold our JSON."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: `real = scale * (value - zero_point)` when quantized.

    `shape` includes the batch; -1 is a free dimension. `layout` names the axes ("NHWC", "NCHW",
    "NLC", "NCL", "NC") or is empty when unknown.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: str
    scale: Optional[float] = None
    zero_point: Optional[int] = None
    layout: str = ""


@dataclass(frozen=True)
class Normalisation:
    """`normalised = (raw - mean) / std` along `axis` of the model input (batch included).

    A file that holds its own normalisation takes raw values and carries `folded=True`.
    """

    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    axis: int = 1
    folded: bool = False


@dataclass(frozen=True)
class FileMetadata:
    """What edgepress writes into every file it exports, as one JSON document."""

    edgepress_version: str = ""
    source_sha256: str = ""
    labels: Tuple[str, ...] = ()
    normalisation: Optional[Normalisation] = None
    input_layouts: Tuple[str, ...] = ()
    task: str = ""
    precision: str = ""
    extra: Dict[str, str] = field(default_factory=dict)

    def dumps(self) -> str:
        """Deterministic JSON text."""
        return json.dumps(to_json(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def loads(text: str) -> "FileMetadata":
        """Read `dumps`' text; damaged text is an `InputError`."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise InputError(f"the file's edgepress metadata is not JSON: {error}") from error
        return from_json(FileMetadata, data)


@dataclass(frozen=True)
class Artifact:
    """An exported (or foreign) model file. `format` as `detect_format` gives it."""

    path: Path
    format: str
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    sha256: str
    file_bytes: int
    metadata: FileMetadata = FileMetadata()

    @property
    def labels(self) -> Tuple[str, ...]:
        """Class names in the order of the output, if the file holds them."""
        return self.metadata.labels

    @property
    def normalisation(self) -> Optional[Normalisation]:
        """Input normalisation the file expects (`folded=False`) or already holds."""
        return self.metadata.normalisation


def read_model_bytes(path: Path) -> bytes:
    """All bytes of a model file, or those that stand for an exported C folder (`c_folder.folder_bytes`).

    A missing, unreadable or empty file is an `InputError`.
    """
    if Path(path).is_dir():
        from .c_folder import folder_bytes

        return folder_bytes(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    if not data:
        raise InputError("the file is empty", where=str(path), hint="export the model again")
    return data


def model_sha256(path: Path) -> str:
    """Hex sha256 of a model file, or of an exported C folder as a whole; errors as `read_model_bytes`."""
    return sha256_bytes(read_model_bytes(path))


def detect_format(data: bytes, where: str = "") -> str:
    """ "tflite", "lce" (TFLite with Larq Compute Engine's operators), "onnx" or "c", judged by content.

    C folders begin as `c_folder.folder_bytes` does, TFLite
    carries the identifier TFL3 at byte 4; an ONNX ModelProto starts with field 1
    (ir_version, varint) and its fields parse as protobuf.
    """
    from .c_folder import MAGIC

    if data[4:8] == b"TFL3":
        return "lce" if _holds_lce(data) else "tflite"
    if data.startswith(MAGIC):
        return "c"
    if _looks_like_onnx(data):
        return "onnx"
    raise InputError(
        f"neither an ONNX nor a TFLite file (first bytes {data[:8].hex(' ')})",
        where=where,
        hint="export the model again; the file may be damaged or of another format",
    )


def _holds_lce(data: bytes) -> bool:
    """True if a TFLite file names one of Larq Compute Engine's operators among its operator codes."""
    from .flatbuffer import Flatbuffer, root
    from .lce_operators import OPERATORS

    if b"Lce" not in data:
        return False
    try:
        codes = root(Flatbuffer(data), "Model").get("operator_codes")
        return any(code.get("custom_code") in OPERATORS for code in codes)
    except InputError:
        return False  # damaged: whoever reads it says where


def _looks_like_onnx(data: bytes) -> bool:
    """True if the top-level protobuf fields are those of a ModelProto and end with the data."""
    position, fields = 0, set()
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if position < 0 or wire not in (0, 2) or not (1 <= number <= 26):
            return False
        value, position = _varint(data, position)
        if position < 0:
            return False
        if wire == 2:
            position += value
        fields.add(number)
    return position == len(data) and 7 in fields  # 7: the graph


def _varint(data: bytes, position: int) -> Tuple[int, int]:
    value, shift = 0, 0
    while position < len(data) and shift < 64:
        byte = data[position]
        value |= (byte & 127) << shift
        position += 1
        if not byte & 128:
            return value, position
        shift += 7
    return 0, -1


def describe(path: Path, data: bytes, specs: Mapping[str, Any]) -> Artifact:
    """Assemble an `Artifact` from what an engine or parser read (`inputs`, `outputs`, `metadata`)."""
    return Artifact(
        path=Path(path),
        format=detect_format(data, str(path)),
        inputs=tuple(specs["inputs"]),
        outputs=tuple(specs["outputs"]),
        sha256=sha256_bytes(data),
        file_bytes=len(data),
        metadata=specs.get("metadata") or FileMetadata(),
    )


def describe_folder(path: Path, data: bytes) -> Artifact:
    """The `Artifact` of an exported C folder from its bytes."""
    from .c_folder import of_bytes

    folder = of_bytes(data, str(path))
    specs = {"inputs": folder.inputs, "outputs": folder.outputs, "metadata": folder.metadata}
    return describe(path, data, specs)


def open_artifact(path: Path) -> Artifact:
    """What a file is, judged by its content.

    Raises:
        InputError: it cannot be read, is damaged, or is neither ONNX nor TFLite.
        MissingToolError: an ONNX file, and onnxruntime is not installed.
    """
    path = Path(path)
    data = read_model_bytes(path)
    fmt = detect_format(data, str(path))
    if fmt == "c":
        return describe_folder(path, data)
    if fmt in ("tflite", "lce"):
        from .specs import tflite_specs
        from .tflite_schema import read_model

        return describe(path, data, tflite_specs(read_model(data, str(path))))
    from .engines import choose_engine
    from .session_onnx import open_onnx
    from .specs import onnx_specs

    module = choose_engine("onnx", None, str(path))[1]
    return describe(path, data, onnx_specs(open_onnx(module, path, threads=1), data))
