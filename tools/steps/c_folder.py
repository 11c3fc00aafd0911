"""The C folder of an export: its files, and test vectors beside them where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...export.onnx.binary_expand import expand
from ...runtime.artifact import FileMetadata
from ...runtime.c_folder import MANIFEST, CFolder, parse
from ...runtime.errors import UsageError
from ...runtime.real_values import to_stored

if TYPE_CHECKING:
    import numpy as np

    from ..inputs import Inputs

    Sample = tuple[np.ndarray[Any, Any], ...]

SPLIT = "test"
"""Where test vectors come from."""


def c_files(
    inputs: Inputs, model: Any, precision: str, granularity: str, metadata: FileMetadata
) -> dict[str, bytes]:
    """File name -> content of one C folder.

    Args:
        inputs: of the run; its recipe says device, layouts and how many test vectors.
        model: the hub of this precision.
        precision: "float32" or "int8".
        granularity: of dense layers' scales.
        metadata: goes into edgepress_c.json.

    Raises:
        UsageError: test vectors of a streaming model.
        As `to_c`.
    """
    from ...export.c import to_c

    export = inputs.recipe.export
    options: dict[str, Any] = {
        "precision": precision,
        "io": export.io,
        "io_layout": export.io_layout,
        "device": export.c_device,
        "packaging": export.c_packaging,
        "fc_granularity": granularity,
        "metadata": metadata,
    }
    name = inputs.recipe.name
    files = to_c(model, name, **options)
    if not export.c_vectors:
        return files
    made = parse(files[MANIFEST])
    if made.state_bytes:
        raise UsageError(
            "test vectors of a model that keeps a state are not written", hint="leave c_vectors out"
        )
    samples = inputs.proof_samples(SPLIT, export.c_vectors)
    vectors = vectors_of(expand(model), made, precision, samples)
    return to_c(model, name, **options, vectors=vectors)


def vectors_of(
    hub: Any, made: CFolder, precision: str, samples: Sequence[Sample]
) -> list[tuple[list[Any], list[Any]]]:
    """(inputs, outputs) as the C function takes and gives them; int8 outputs are the integer reference's."""
    from ...compress.quantization.integer import IntegerModel
    from ...export.onnx.check import run

    reference = IntegerModel(hub) if precision == "int8" else None
    names = [value.name for value in hub.graph.input]
    found = []
    for sample in samples:
        given = [to_stored(s, v) for s, v in zip(made.inputs, sample, strict=True)]
        real = (
            reference.run(sample)
            if reference is not None
            else run(hub, dict(zip(names, sample, strict=True)))
        )
        wanted = [to_stored(s, v) for s, v in zip(made.outputs, real, strict=True)]
        found.append((given, wanted))
    return found
