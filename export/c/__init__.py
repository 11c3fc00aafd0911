"""Write a hub model as plain C: the model, the kernels it uses, and files to build it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...runtime.artifact import FileMetadata

if TYPE_CHECKING:
    from .vectors import Vector

__all__ = ["to_c"]


def to_c(
    hub: Any,
    name: str = "model",
    *,
    precision: str = "auto",
    device: str = "generic",
    io: str = "int8",
    io_layout: str = "nhwc",
    fc_granularity: str = "channel",
    packaging: str = "plain",
    metadata: FileMetadata | None = None,
    vectors: Sequence[Vector] = (),
    states: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """The files of a folder: name (with "/" in it where they lie deeper) -> content. Same hub, same bytes.

    Args:
        hub: onnx.ModelProto with static shapes; quantized if it holds Q/DQ pairs; never changed.
        name: of the C functions and files; made a C identifier.
        precision: "auto", "float32" or "int8".
        device: whose layout the weights are packed in: one of `pack.DEVICES`, or a device of a profile.
        io, io_layout, fc_granularity: as `tflite.to_tflite` takes them.
        packaging: "plain" (CMake and Makefile), and beside these "arduino" or "zephyr".
        metadata: goes into edgepress_c.json.
        vectors: (inputs, expected outputs) as the model has them; written to NAME_vectors.h if there are any.
        states: input -> output that it takes the time after, kept in the context (`states.py`); what the hub's
            metadata names if None.

    Raises:
        UnsupportedOperatorError: no kernel for an operator; node and what to do are told.
        InputError: the hub breaks a rule it should obey.
        UsageError: an argument is none of the values above.
    """
    from .folder import write_folder
    from .lower import lower
    from .pack import layout_of

    lowered = lower(
        hub,
        precision=precision,
        io=io,
        io_layout=io_layout,
        fc_granularity=fc_granularity,
        layout=layout_of(device),
        states=states,
    )
    return write_folder(lowered, name, device, packaging, metadata or FileMetadata(), vectors)
