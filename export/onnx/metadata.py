"""What a hub carries beside its graph, and how a graph becomes a finished hub model."""

from __future__ import annotations

from typing import Any

from ...runtime.artifact import METADATA_KEY, FileMetadata
from ...runtime.errors import InputError
from .graph import Graph


def finish(graph: Graph, metadata: FileMetadata) -> Any:
    """The ModelProto of a normalised graph, with its metadata, checked by onnx.

    Raises:
        InputError: the graph is not valid ONNX.
    """
    import onnx

    graph.metadata = {METADATA_KEY: metadata.dumps()}
    model = graph.write()
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise InputError(
            f"the graph is not valid ONNX: {' '.join(str(error).split())[:300]}"
        ) from error
    return model


def read_metadata(model: Any) -> FileMetadata:
    """What edgepress wrote into the model, defaults if nothing."""
    for prop in model.metadata_props:
        if prop.key == METADATA_KEY:
            return FileMetadata.loads(prop.value)
    return FileMetadata()


def write_metadata(model: Any, metadata: FileMetadata) -> Any:
    """A copy of `model` that carries `metadata`."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = {p.key: p.value for p in model.metadata_props if p.key != METADATA_KEY}
    del copy.metadata_props[:]
    for key, text in sorted({**kept, METADATA_KEY: metadata.dumps()}.items()):
        copy.metadata_props.add(key=key, value=text)
    return copy
