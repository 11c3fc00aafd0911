"""A brevitas-quantized torch model -> the hub, with every integer, scale and zero point as brevitas has it.

brevitas' own QCDQ exporter writes opset 17; the model is converted to opset 21, its clips (which change nothing
once weights are integers) are folded, its uint8 activations become int8 by the exact shift, and its Q/DQ pairs
take the hub's one form: they are read into a plan that `qdq.apply` writes again. Two checks close it: the
integers and scales in the hub equal those of the brevitas modules, and onnxruntime computes the same from both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ...compress.quantization.records import QuantizedConstant, QuantPlan
from ...runtime.artifact import FileMetadata, Normalisation
from ...runtime.errors import InputError, ParityError
from .graph import Graph, Node

if TYPE_CHECKING:
    pass

LEGACY_OPSET = 17
"""The highest opset brevitas' exporter was tried with."""

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def from_brevitas(
    model: Any,
    input_shapes: Sequence[Sequence[int]] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Any:
    """The hub of a trained brevitas model.

    Args:
        model: what `qat.prepare` gave, calibrated (then the hub takes raw values if a normalisation was given);
            or any module of brevitas layers whose biases are `Int32Bias` and activations 8 bits per tensor.
        input_shapes: batch of 1 first; known for prepared models.
        input_names, output_names: default "input" and "output", numbered where there are several.

    Raises:
        InputError: the model cannot be exported, or its quantizers have no hub form.
        ParityError: the hub differs from the model, in a number or in what it computes.
    """
    from .qdq import apply

    given = getattr(model, "input_shapes", ()) if input_shapes is None else input_shapes
    shapes = tuple(tuple(shape) for shape in given)
    if not shapes:
        raise InputError(
            "the input shapes are unknown", hint="pass input_shapes, one per model input"
        )
    where = type(model).__name__
    legacy = _export(model, shapes, where)
    graph, plan = _float_graph_and_plan(legacy, model, where, input_names, output_names)
    _check_numbers(model, graph, plan)
    hub = apply(graph.write(), plan)
    _check_outputs(model, legacy, hub)
    return _with_metadata(hub, model)


def _export(model: Any, shapes: tuple[tuple[int, ...], ...], where: str) -> Any:
    """ModelProto (opset 17) of brevitas' own exporter; the model is back in its mode afterwards."""
    import copy

    import onnx

    from .check import short
    from .torch_export import evaluation_mode, example_inputs, quiet

    twin = copy.deepcopy(
        model
    )  # the exporter leaves caches behind that later scales would not update
    if hasattr(twin, "raw_inputs"):
        twin.raw_inputs(True)
    with tempfile.TemporaryDirectory() as folder, quiet(), evaluation_mode(twin):
        from brevitas.export import export_onnx_qcdq

        path = Path(folder) / "legacy.onnx"
        try:
            export_onnx_qcdq(
                twin,
                args=example_inputs(shapes),
                export_path=str(path),
                dynamo=False,
                opset_version=LEGACY_OPSET,
                keep_initializers_as_inputs=False,
            )
        except (
            Exception
        ) as error:  # torch, brevitas and onnxoptimizer raise a large family of errors
            raise InputError(
                f"brevitas cannot export this model: {short(error)}",
                where=where,
                hint="use bias_quant=Int32Bias, 8-bit per-tensor activations and return_quant_tensor=True",
            ) from error
        return onnx.load(path)


def _float_graph_and_plan(
    legacy: Any,
    model: Any,
    where: str,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
) -> tuple[Graph, QuantPlan]:
    from .hub import _name_ends
    from .infer import infer
    from .intake import to_opset
    from .judge import refuse_bad_numbers
    from .naming import name_by_module
    from .normalise import normalise
    from .qdq_split import split

    graph = Graph.read(to_opset(legacy, where))
    refuse_bad_numbers(graph, where)
    _name_ends(graph, input_names, output_names)
    _scopes(graph, model)
    normalise(graph, where)
    plan = split(graph)
    infer(graph, where)
    name_by_module(graph, frozenset())
    return graph, plan.named("brevitas")


def _scopes(graph: Graph, model: Any) -> None:
    """Tell every node its place in the model: layers of a prepared model by their full path."""
    layers = [n for n in graph.sorted_nodes() if n.op in LAYERS and _is_quantized(graph, n)]
    for node in graph.nodes:
        node.scope = node.name.replace("/network/", "/", 1)
    sites = _sites(model)
    if len(sites) == len(layers):
        for node, site in zip(layers, sites, strict=True):
            node.scope = f"/{site.layer}/{node.op}"


def _is_quantized(graph: Graph, node: Node) -> bool:
    """True if the weight comes through a DequantizeLinear (a float normalisation's does not)."""
    writer = graph.producer(node.inputs[1])
    return writer is not None and writer.op == "DequantizeLinear"


def _sites(model: Any) -> Sequence[Any]:
    if not hasattr(model, "network"):
        return ()
    from ...compress.quantization.qat_report import layer_sites

    return layer_sites(model)


def _check_numbers(model: Any, graph: Graph, plan: QuantPlan) -> None:
    """Every integer and scale in the plan against the brevitas modules of a prepared model."""
    if not hasattr(model, "network"):
        return
    from ...compress.quantization.qat_report import quantization_of

    nodes = {node.name: node for node in graph.nodes}
    rows = quantization_of(model)
    for row in rows:
        if row.weight is None:
            continue
        node = nodes.get(row.name)
        if node is None:
            raise ParityError("the layer is missing in the exported graph", where=row.name)
        weight, bias = (plan.constants.get(node.input(index)) for index in (1, 2))
        same = _same(weight, row.weight, row.weight_scale) and _same(bias, row.bias, row.bias_scale)
        if not same:
            raise ParityError(
                "the exported integers or scales are not those of brevitas", where=row.name
            )
    activations = {row.output for row in rows if row.weight is None}
    written = {*plan.activations.values(), *(q for q, _ in plan.requantize.values())}
    operands = {c.qparams for c in plan.constants.values() if c.qparams.axis is None}
    if activations != written | operands:
        raise ParityError("the exported activation scales differ from those of brevitas")


def _same(found: QuantizedConstant | None, values: Any, scale: Any) -> bool:
    if found is None or values is None:
        return found is None and values is None
    scales = np.asarray(found.qparams.scale, np.float32)
    return np.array_equal(found.values, values) and np.array_equal(scales, scale)


def _check_outputs(model: Any, legacy: Any, hub: Any) -> None:
    """brevitas' export and the hub in onnxruntime: equal, or one output step apart where a sum was a tie."""
    from .check import random_feeds, run

    feeds = random_feeds(legacy)
    _spread(model, feeds)
    names = [value.name for value in hub.graph.input]
    found = run(hub, dict(zip(names, feeds.values(), strict=True)))
    steps = _output_steps(hub)
    for name, a, b in zip(
        (o.name for o in hub.graph.output), run(legacy, feeds), found, strict=True
    ):
        worst = float(np.abs(a.astype(np.float64) - b).max(initial=0.0))
        if not worst <= 1.01 * steps.get(name, 0.0) + 1e-6:
            raise ParityError(
                f"output '{name}' of the hub differs from brevitas' export by {worst:.3g}",
                hint="this is a fault of the conversion; please report the model's operators",
            )


def _spread(model: Any, feeds: dict[str, Any]) -> None:
    """Random inputs on the scale of the raw input, so that quantizers do not clip everything."""
    config = getattr(model, "config", None)
    normalisation: Normalisation | None = getattr(config, "normalisation", None)
    if normalisation is None:
        return
    name = next(iter(feeds))
    shape = [1] * feeds[name].ndim
    shape[normalisation.axis] = -1
    std = np.asarray(normalisation.std, np.float32).reshape(shape)
    mean = np.asarray(normalisation.mean, np.float32).reshape(shape)
    feeds[name] = (feeds[name] * std + mean).astype(np.float32)


def _output_steps(hub: Any) -> dict[str, float]:
    """Scale of each output that a DequantizeLinear writes."""
    import onnx

    constants = {t.name: t for t in hub.graph.initializer}
    return {
        node.output[0]: float(onnx.numpy_helper.to_array(constants[node.input[1]]).max())
        for node in hub.graph.node
        if node.op_type == "DequantizeLinear"
        and node.output[0] in {o.name for o in hub.graph.output}
    }


def _with_metadata(hub: Any, model: Any) -> Any:
    from dataclasses import replace

    from .metadata import write_metadata

    normalisation = getattr(getattr(model, "config", None), "normalisation", None)
    folded = None if normalisation is None else replace(normalisation, folded=True)
    extra = {"exporter": "brevitas"}
    return write_metadata(
        hub, FileMetadata(edgepress_version=__version__, normalisation=folded, extra=extra)
    )
