"""Taking in a foreign ONNX model: read, judged, brought to opset 21, fixed to batch 1, normalised, and proven equal.

A quantized model comes in as it is: Q/DQ pairs and dequantized weights stay (QDQ); QONNX files come in as standard
operators, their one-bit and two-bit layers packed. The operator-oriented format
(QLinearConv and its like) is refused, since its operators exist in one runtime only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...runtime.artifact import read_model_bytes
from ...runtime.errors import InputError
from ...runtime.files import sha256_bytes
from .binary import pack_binary, pack_codes
from .check import RTOL, assert_same, random_feeds, run, short
from .cleanup import Pass
from .graph import IR_VERSION, OPSET, Graph
from .judge import LARGEST_ELEMENTS, OWN_DOMAIN, RENAMED, check, refuse_bad_numbers
from .metadata import finish, read_metadata
from .naming import name_by_file
from .normalise import normalise
from .qonnx import expand_quantizers, has_quantizers
from .widen import to_float32

STATES_KEY = "edgepress.states"

QUANTIZED_ATOL = 0.05
"""A quantized graph may round a tie the other way once a float part before it was rewritten: a few steps of 1/255."""


def from_onnx(
    source: Path | str | bytes,
    where: str = "",
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Any:
    """A user's ONNX model as hub.

    Args:
        source: path or content of the file.
        where: name for messages; the path if left out.
        input_shapes: shapes for inputs whose dimensions are free; a free batch alone becomes 1.

    Raises:
        InputError: damaged, cyclic or contradictory file, NaN or infinite weights, missing external data,
            shapes that are not static.
        UnsupportedOperatorError: operators outside ai.onnx.
        ParityError: the hub does not compute what the file computed.
    """
    folder = None
    if not isinstance(source, bytes):
        where, folder = where or str(source), Path(source).parent
        source = read_model_bytes(Path(source))
    model = parse(source, where)
    early: tuple[Pass, ...] = ()
    if has_quantizers(model):
        model, early = expand_quantizers(model, where), (pack_binary, pack_codes)
    check(model, where, folder)
    fix_input_shapes(model, input_shapes or {}, where)
    graph = Graph.read(to_opset(model, where))
    refuse_bad_numbers(graph, where)
    narrow = to_float32(graph)
    normalise(graph, where, early=early)
    refuse_bad_numbers(graph, where)
    name_by_file(graph)
    held = read_metadata(model)
    metadata = replace(
        held,
        edgepress_version=__version__,
        source_sha256=sha256_bytes(source),
        extra={**held.extra, **states_by_file(model)},
    )
    hub = finish(graph, metadata)
    prove_same(model, hub, where, 0.02 if narrow else RTOL)
    return hub


def states_by_file(model: Any) -> dict[str, str]:
    """What a streaming model says of its state: metadata_props "edgepress.states", a JSON object {input: output}."""
    found = [prop.value for prop in model.metadata_props if prop.key == STATES_KEY]
    return {"states": found[-1]} if found else {}


def parse(data: bytes, where: str = "") -> Any:
    """ModelProto in `data`.

    Raises:
        InputError: not an ONNX file, truncated or damaged.
    """
    import onnx

    if data[4:8] == b"TFL3":
        raise InputError(
            "this is a TFLite file, not an ONNX model",
            where=where or None,
            hint="give the ONNX or torch model it was made from",
        )
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError, by whichever implementation is installed
        raise InputError(
            f"not a readable ONNX file ({short(error)})",
            where=where or None,
            hint="the file is damaged, truncated or of another format; export it again",
        ) from error


def fix_input_shapes(model: Any, shapes: Mapping[str, Sequence[int]], where: str = "") -> None:
    """Make every input of `model` static, in place: as `shapes` says, else a free first dimension becomes 1.

    Raises:
        InputError: a dimension stays free, a shape contradicts the file, or an input does not exist.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in constants}
    for name in shapes:
        if name not in inputs:
            raise InputError(
                f"the model has no input '{name}'",
                where=where or None,
                hint=f"inputs: {', '.join(inputs)}",
            )
    for name, value in inputs.items():
        if not value.type.HasField("tensor_type"):
            raise InputError(f"input '{name}' is no tensor", where=where or None)
        tensor = value.type.tensor_type
        if tensor.elem_type not in _input_types():
            raise InputError(
                f"input '{name}' holds no numbers (ONNX type {tensor.elem_type})",
                where=where or None,
                hint="device engines take numeric tensors only; the file may be damaged",
            )
        dims = _fixed(name, tensor, shapes.get(name), where)
        tensor.ClearField("shape")
        tensor.shape.SetInParent()
        for size in dims:
            tensor.shape.dim.add(dim_value=size)
    del model.graph.value_info[:]


def _input_types() -> set[int]:
    import onnx

    t = onnx.TensorProto
    floats = {t.FLOAT, t.FLOAT16, t.BFLOAT16, t.DOUBLE}
    return floats | {
        t.BOOL,
        t.INT8,
        t.INT16,
        t.INT32,
        t.INT64,
        t.UINT8,
        t.UINT16,
        t.UINT32,
        t.UINT64,
    }


def _fixed(name: str, tensor: Any, asked: Sequence[int] | None, where: str) -> list[int]:
    if not tensor.HasField("shape") and asked is None:
        raise InputError(
            f"input '{name}' has no shape",
            where=where or None,
            hint="give its shape (input_shapes)",
        )
    known = [d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim]
    if asked is None:
        dims = [1 if index == 0 and size <= 0 else size for index, size in enumerate(known)]
    else:
        dims = [int(size) for size in asked]
        clash = len(known) != len(dims) or any(
            k > 0 and k != d for k, d in zip(known, dims, strict=True)
        )
        if tensor.HasField("shape") and clash:
            raise InputError(
                f"shape {dims} does not fit input '{name}' of the file {known} (-1 is free)",
                where=where or None,
                hint="give a shape that fits, batch first",
            )
    if any(size <= 0 for size in dims):
        raise InputError(
            f"input '{name}' has free dimensions: {known}",
            where=where or None,
            hint="give its shape (input_shapes); device engines need static shapes",
        )
    if np.prod(dims, dtype=np.float64) > LARGEST_ELEMENTS:
        raise InputError(f"input '{name}' has impossible dimensions {dims}", where=where or None)
    return dims


def to_opset(model: Any, where: str = "") -> Any:
    """`model` at opset 21, foreign functions inlined, com.microsoft's twins of standard operators renamed.

    Raises:
        InputError: the model cannot be converted.
    """
    model = _inline_functions(_rename_twins(model), where)
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if version == OPSET:
        return model
    try:
        converted = _convert(model, version)
    except Exception as error:  # the converter raises plain RuntimeErrors
        raise InputError(
            f"cannot convert opset {version} to {OPSET}: {short(error)}",
            where=where or None,
            hint=f"export the model with opset_version={OPSET}",
        ) from error
    converted.ir_version = IR_VERSION
    return converted


def _convert(model: Any, version: int) -> Any:
    """onnx's version converter; a newer opset whose operators did not change is relabelled."""
    import onnx

    if version < OPSET:
        return onnx.version_converter.convert_version(model, OPSET)
    relabelled = onnx.ModelProto()
    relabelled.CopyFrom(model)
    for opset in relabelled.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = OPSET
    relabelled.ir_version = IR_VERSION
    onnx.checker.check_model(relabelled)
    return relabelled


def _rename_twins(model: Any) -> Any:
    import onnx

    twins = [n for n in model.graph.node if n.domain == "com.microsoft" and n.op_type in RENAMED]
    if not twins:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.domain == "com.microsoft" and node.op_type in RENAMED:
            node.domain = ""
    kept = [o for o in copy.opset_import if o.domain != "com.microsoft"]
    del copy.opset_import[:]
    copy.opset_import.extend(kept)
    # These operators take zero points of every type, and Gelu exists, from the hub's opset on.
    for opset in copy.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version < OPSET:
            return onnx.version_converter.convert_version(copy, OPSET)
    return copy


def _inline_functions(model: Any, where: str) -> Any:
    import onnx.inliner

    foreign = [(f.domain, f.name) for f in model.functions if f.domain != OWN_DOMAIN]
    if not foreign:
        return model
    try:
        if len(foreign) == len(model.functions):
            inlined = onnx.inliner.inline_local_functions(model, True)
        else:
            inlined = onnx.inliner.inline_selected_functions(model, foreign)
    except Exception as error:
        raise InputError(
            f"the file's own functions cannot be inlined: {short(error)}", where=where or None
        ) from error
    kept = [o for o in inlined.opset_import if o.domain in ("", "ai.onnx", OWN_DOMAIN)]
    del inlined.opset_import[:]
    inlined.opset_import.extend(kept)
    return inlined


def prove_same(original: Any, hub: Any, where: str = "", rtol: float = RTOL) -> None:
    """Run both models on the same three random inputs.

    A quantized model may differ by rounded ties on some of them, not on all.

    Raises:
        ParityError: an output differs by more than `rtol` of its largest value.
    """
    names = [output.name for output in hub.graph.output]
    quantized = any(node.op_type == "QuantizeLinear" for node in hub.graph.node)
    failures = []
    for seed in range(3):
        feeds = random_feeds(hub, seed)
        expected, found = _run_original(original, _as_typed(original, feeds)), run(hub, feeds)
        try:
            assert_same(expected, found, names, where or "the converted model", rtol)
        except Exception as error:
            failures.append(error)
            if quantized:
                assert_same(expected, found, names, where or "the converted model", QUANTIZED_ATOL)
    if failures and (not quantized or len(failures) == 3):
        raise failures[0]


def _run_original(model: Any, feeds: Mapping[str, Any]) -> list[Any]:
    """By onnxruntime; by onnx's reference implementation where it lacks a kernel (float64 convolutions)."""
    from onnx.reference import ReferenceEvaluator

    try:
        return run(model, feeds)
    except InputError as error:
        if "NOT_IMPLEMENTED" not in error.what:
            raise
        try:
            return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, dict(feeds))]
        except Exception:  # whatever numpy raises: onnxruntime's message says more
            raise error from None


def _as_typed(model: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:
    import onnx

    types = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    return {
        name: values.astype(onnx.helper.tensor_dtype_to_np_dtype(types[name]))
        for name, values in feeds.items()
    }
