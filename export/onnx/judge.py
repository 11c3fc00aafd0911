"""Is a parsed ONNX model sound, and made of operators we know? Everything a wrong file can hold is refused here.

Each check raises with the name of the culprit; `check` runs all that need no shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import InputError, UnsupportedOperatorError
from .graph import Graph

OWN_DOMAIN = "edgepress"
LARGEST_ELEMENTS = 1 << 29

QOPERATORS = frozenset(
    {
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
        "DynamicQuantizeLinear",
        "QGemm",
        "QAttention",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
    }
)
"""Integer operators of the operator-oriented format; com.microsoft's QLinear* family is meant as well."""

RENAMED = frozenset({"QuantizeLinear", "DequantizeLinear", "Gelu"})
"""com.microsoft operators that opset 21 has under the same name with the same meaning."""

_BREVITAS_DOMAINS = ("onnx.brevitas", "qonnx.", "finn.")


def check(model: Any, where: str = "", folder: Path | None = None) -> None:
    """Judge `model`, loading external data below `folder` into it.

    Raises:
        InputError: damaged, incomplete or contradictory content.
        UnsupportedOperatorError: an operator outside ai.onnx.
    """
    if not model.graph.node and not model.graph.output:
        raise InputError(
            "the file holds no graph",
            where=where or None,
            hint="it is truncated or not an ONNX model",
        )
    if not any(o.domain in ("", "ai.onnx") for o in model.opset_import):
        raise InputError(
            "the file names no opset",
            where=where or None,
            hint="it is truncated; export the model again",
        )
    if not model.graph.output:
        raise InputError(
            "the graph has no output", where=where or None, hint="export the model again"
        )
    check_text(model, where)
    check_operators(model, where)
    check_signatures(model, where)
    load_external_data(model, where, folder)
    check_tensors(model, where)
    check_wiring(model.graph, where)


def _all_nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)


def check_text(model: Any, where: str = "") -> None:
    """Every name must be text: protobuf gives damaged text as bytes."""
    texts: list[Any] = [model.graph.name, *(o.domain for o in model.opset_import)]
    texts += [text for p in model.metadata_props for text in (p.key, p.value)]
    texts += [tensor.name for tensor in model.graph.initializer]
    texts += [value.name for value in (*model.graph.input, *model.graph.output)]
    for node in [*_all_nodes(model.graph), *(n for f in model.functions for n in _all_nodes(f))]:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        texts += [attribute.name for attribute in node.attribute]
    damaged = next((text for text in texts if not isinstance(text, str)), None)
    if damaged is not None:
        raise InputError(
            f"a name in the file is not text: {damaged[:40]!r}",
            where=where or None,
            hint="the file is damaged; export it again",
        )


# ------------------------------------------------------------------- operators


def check_operators(model: Any, where: str = "") -> None:
    """Refuse operators that neither ai.onnx nor the file's own functions define."""
    import onnx

    functions = {(f.domain, f.name) for f in model.functions}
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    bodies = [*_all_nodes(model.graph), *(n for f in model.functions for n in _all_nodes(f))]
    for node in bodies:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (domain, node.op_type) in functions:
            continue
        if node.op_type in QOPERATORS or (domain and node.op_type.startswith("QLinear")):
            raise UnsupportedOperatorError(
                f"operator {_full(node)} (node '{_label(node)}') belongs to the QOperator format",
                where=where or None,
                hint="export the quantized model as QDQ (onnxruntime: quant_format=QuantFormat.QDQ)",
            )
        if domain == "com.microsoft" and node.op_type in RENAMED:
            continue
        if domain:
            raise UnsupportedOperatorError(
                f"operator {_full(node)} (node '{_label(node)}') is outside the standard ONNX operators",
                where=where or None,
                hint=_domain_hint(domain),
            )
        if not onnx.defs.has(node.op_type, max_inclusive_version=max(opset, 1), domain=""):
            raise UnsupportedOperatorError(
                f"operator {node.op_type} (node '{_label(node)}') does not exist in opset {opset}",
                where=where or None,
                hint="export the model with standard ONNX operators of that opset",
            )


def check_signatures(model: Any, where: str = "") -> None:
    """Every standard operator has as many inputs and outputs, and the attributes, that its opset says."""
    import onnx

    context = onnx.checker.C.CheckerContext()
    context.ir_version = max(model.ir_version, 3)
    context.opset_imports = {
        ("" if o.domain == "ai.onnx" else o.domain): o.version for o in model.opset_import
    }
    own = {(f.domain, f.name) for f in model.functions}
    for node in _all_nodes(model.graph):
        bodies = any(a.HasField("g") or a.graphs for a in node.attribute)
        if bodies or node.domain not in ("", "ai.onnx") or (node.domain, node.op_type) in own:
            continue
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            raise InputError(
                f"{node.op_type} '{_label(node)}' is not valid: {' '.join(str(error).split())[:200]}",
                where=where or None,
                hint="the file is damaged; export it again",
            ) from error


def _full(node: Any) -> str:
    return f"{node.domain}::{node.op_type}" if node.domain else str(node.op_type)


def _label(node: Any) -> str:
    return str(node.name or next((name for name in node.output if name), ""))


def _domain_hint(domain: str) -> str:
    if domain.startswith(_BREVITAS_DOMAINS):
        return "export the model from brevitas as QCDQ (export_onnx_qcdq) instead of QONNX"
    return (
        "replace the operator by standard ones before the export, add its definition to the file as a "
        "model-local function, or export without runtime-specific optimisation"
    )


# ------------------------------------------------------------------- tensors


def load_external_data(model: Any, where: str = "", folder: Path | None = None) -> None:
    """Read weights kept beside the file; they must lie below `folder`."""
    import onnx

    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        if folder is None:
            raise _external(
                tensor, location, "can only be read when the model is given as a path", where
            )
        path = (folder / location).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise _external(tensor, location, "lies outside the model's folder", where)
        if not path.is_file():
            raise _external(tensor, location, "is missing", where)
        try:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise _external(tensor, location, f"cannot be read ({error})", where) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _external(tensor: Any, location: str, what: str, where: str) -> InputError:
    return InputError(
        f"initializer '{tensor.name}': its data file '{location}' {what}",
        where=where or None,
        hint="put the data file beside the model, or save the model as one file",
    )


def check_tensors(model: Any, where: str = "") -> None:
    """Every initializer and constant has sane dimensions and as many values as they say."""
    if model.graph.sparse_initializer:
        raise InputError(
            "the model holds sparse initializers",
            where=where or None,
            hint="save its weights as dense tensors",
        )
    for tensor in model.graph.initializer:
        _check_tensor(tensor, f"initializer '{tensor.name}'", where)
    for node in _all_nodes(model.graph):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _check_tensor(attribute.t, f"constant of node '{_label(node)}'", where)
            if attribute.HasField("g"):
                for tensor in attribute.g.initializer:
                    _check_tensor(tensor, f"initializer '{tensor.name}'", where)


def _check_tensor(tensor: Any, what: str, where: str) -> None:
    import onnx

    dims = list(tensor.dims)
    if any(d < 0 for d in dims) or math.prod(dims) > LARGEST_ELEMENTS:
        raise InputError(
            f"{what} has impossible dimensions {dims}",
            where=where or None,
            hint="the file is damaged",
        )
    if tensor.data_type == onnx.TensorProto.STRING:
        raise InputError(
            f"{what} holds text",
            where=where or None,
            hint="only numeric models can run on a device",
        )
    try:
        size = onnx.numpy_helper.to_array(tensor).size
    except Exception as error:  # numpy, struct and onnx raise different classes for damaged data
        raise InputError(
            f"{what} does not hold the {math.prod(dims)} values its dimensions {dims} ask for",
            where=where or None,
            hint="the file is damaged or truncated; export it again",
        ) from error
    assert size == math.prod(dims)


# ------------------------------------------------------------------- wiring


def check_wiring(graph: Any, where: str = "") -> None:
    """Every value is written once, before use, and every value that is read exists."""
    written = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    for node in graph.node:
        for name in node.output:
            if name and name in written:
                raise InputError(
                    f"value '{name}' is written twice (again by {node.op_type} '{_label(node)}')",
                    where=where or None,
                    hint="export the model again; each value must have one writer",
                )
            written.add(name)
    working = Graph()
    for index, node in enumerate(graph.node):
        _check_reads(node, index, written, where)
        working.add(_wire(node))
    for output in graph.output:
        if output.name not in written:
            raise InputError(
                f"graph output '{output.name}' is written by no node",
                where=where or None,
                hint="the file is damaged; export it again",
            )
    try:
        working.sorted_nodes()
    except InputError as error:
        raise InputError(error.what, where=where or None, hint=error.hint) from error


def _check_reads(node: Any, index: int, written: set[str], where: str) -> None:
    for name in _wire(node).reads():
        if name not in written:
            raise InputError(
                f"{node.op_type} '{_label(node) or index}' reads '{name}', which nothing writes",
                where=where or None,
                hint="the file is damaged; export it again",
            )


def _wire(node: Any) -> Any:
    from .graph import Node

    attributes = {a.name: a for a in node.attribute}
    return Node(node.op_type, list(node.input), list(node.output), attributes, _label(node))


# ------------------------------------------------------------------- numbers


def refuse_bad_numbers(graph: Graph, where: str = "") -> None:
    """Raise for NaN in any constant, and for infinity where it is no mask, bound or fill value.

    Raises:
        InputError: names the initializer.
    """
    for name, values in graph.constants.items():
        if values.dtype.kind not in "fV" or values.size == 0:
            continue
        numbers = values.astype(np.float32)
        if np.isfinite(numbers).all():
            continue
        nan = bool(np.isnan(numbers).any())
        if not nan and _infinity_is_meant(graph, name):
            continue
        reader = next(iter(graph.users(name)), None)
        read = f" (read by {reader.op} '{reader.name}')" if reader else ""
        raise InputError(
            f"initializer '{name}'{read} holds {'NaN' if nan else 'infinite'} values",
            where=where or None,
            hint="the training diverged or the file is damaged; use weights from before that",
        )


_FILLS = frozenset(
    {"Clip", "Pad", "Where", "Max", "Min", "Expand", "ConstantOfShape", "Identity", "Cast"}
)


_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})
"""Their weights are never masks."""


def _infinity_is_meant(graph: Graph, name: str) -> bool:
    values = graph.constants[name]
    if values.size == 1 and all(user.op in _FILLS | {"Add", "Mul"} for user in graph.users(name)):
        return True
    mask = np.isin(values.astype(np.float32), (0.0, -np.inf)).all()
    multiplied = any(user.op in _LAYERS for user in graph.users(name))
    return bool(mask) and values.ndim > 1 and not multiplied
