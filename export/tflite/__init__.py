"""Lower the hub to TFLite and write the flatbuffer byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...runtime.artifact import METADATA_KEY, FileMetadata

if TYPE_CHECKING:
    from .lower import Function

__all__ = ["Converted", "convert", "to_tflite"]


@dataclass(frozen=True)
class Converted:
    """A TFLite file and what its reader should know.

    Attributes:
        data: the file's bytes.
        extra_quantize: (tensor, reason) of every QUANTIZE that no operator of the hub asks for.
        notes: (tensor, remark) of other decisions.
    """

    data: bytes
    extra_quantize: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...]


def to_tflite(
    hub: Any,
    *,
    precision: str = "auto",
    io: str = "int8",
    io_layout: str = "nhwc",
    metadata: FileMetadata | None = None,
    fc_granularity: str = "channel",
    custom: Mapping[tuple[str, str], Function] | None = None,
    binary: str = "int8",
) -> bytes:
    """The TFLite file of a hub model: `convert` without the remarks."""
    return convert(
        hub,
        precision=precision,
        io=io,
        io_layout=io_layout,
        metadata=metadata,
        fc_granularity=fc_granularity,
        custom=custom,
        binary=binary,
    ).data


def convert(
    hub: Any,
    *,
    precision: str = "auto",
    io: str = "int8",
    io_layout: str = "nhwc",
    metadata: FileMetadata | None = None,
    fc_granularity: str = "channel",
    custom: Mapping[tuple[str, str], Function] | None = None,
    binary: str = "int8",
) -> Converted:
    """Convert a hub model (onnx.ModelProto; never changed). Same hub, same bytes.

    Arguments and errors are those of `lower.lower`; packed one-bit functions become built-in operators over int8
    signs, or Larq Compute Engine's operators (`binary` "lce"), unless `custom` says how to write them.
    `metadata` goes into the file as JSON, with the precision and the input layouts that were made. Layouts of outputs
    with more than two axes are its extra entry "output_layouts".
    """
    from .lce_results import int8_results
    from .lower import lower
    from .write import write

    lowered = lower(
        hub,
        precision=precision,
        io=io,
        io_layout=io_layout,
        fc_granularity=fc_granularity,
        custom=custom,
        binary=binary,
    )
    if binary == "lce":
        int8_results(lowered.model)
    if metadata is not None:
        extra = dict(metadata.extra)
        if any(lowered.output_layouts):
            extra["output_layouts"] = ",".join(lowered.output_layouts)
        written = replace(
            metadata,
            precision=lowered.precision,
            input_layouts=lowered.input_layouts,
            extra=extra,
        )
        lowered.model.metadata[METADATA_KEY] = written.dumps().encode()
    return Converted(write(lowered.model), lowered.extra_quantize, lowered.notes)
