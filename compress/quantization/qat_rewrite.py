"""Rewrite a traced float graph into uniform calls, and its layers into brevitas layers.

Imports torch and brevitas at the top: import this module inside functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from ...runtime.errors import InputError
from . import qat_layers
from .qat_expand import expand, unsupported
from .qat_operators import Call, Canonical, NotKnown
from .qat_table import COMPUTE_MODULES, FUNCTIONS, METHODS, NORMALISATIONS, module_handler


def make_uniform(traced: fx.GraphModule) -> None:
    """Replace every call by its canonical form; `meta["kind"]` names the ONNX operator.

    Raises `UnsupportedOperatorError` naming the call and where it stands.
    """
    expand(traced)
    for node in list(traced.graph.nodes):
        if node.op in ("call_function", "call_method", "call_module"):
            _make_uniform_node(traced, node)
        elif node.op in ("placeholder", "get_attr"):
            node.meta["kind"] = "Input" if node.op == "placeholder" else "Constant"
    traced.graph.eliminate_dead_code()
    _refuse_leftovers(traced)
    traced.recompile()


def _make_uniform_node(traced: fx.GraphModule, node: fx.Node) -> None:
    if node.meta["shape"] is None:  # sizes; they die with the reshapes that used them
        return
    module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    if module is not None and type(module) in COMPUTE_MODULES:
        node.meta["kind"] = COMPUTE_MODULES[type(module)]
        return
    if isinstance(module, NORMALISATIONS):
        node.meta["kind"] = "BatchNormalization"
        return
    source = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    first = next((n for n in node.all_input_nodes if n.meta.get("shape") is not None), source)
    handler = _handler(node, module)
    if handler is None or not isinstance(first, fx.Node):
        raise unsupported(node, module)
    call = Call(node.args, node.kwargs, first.meta["shape"], node.meta["shape"])
    try:
        canonical = handler(call)
    except NotKnown as error:
        raise unsupported(node, module, str(error)) from error
    _replace(traced, node, canonical)


def _handler(node: fx.Node, module: Any) -> Any:
    if module is not None:
        try:
            return module_handler(module)
        except NotKnown as error:
            raise unsupported(node, module, str(error)) from error
    return METHODS.get(str(node.target)) if node.op == "call_method" else FUNCTIONS.get(node.target)


def _replace(traced: fx.GraphModule, node: fx.Node, canonical: Canonical) -> None:
    if canonical.kind == "Identity":
        node.replace_all_uses_with(canonical.args[0])
        traced.graph.erase_node(node)
        return
    if canonical.kind == "Reshape" and not node.meta["tail"]:
        raise unsupported(node, None, "its sizes after the first depend on the batch")
    args = canonical.args
    if canonical.kind in ("Add", "Sub", "Mul"):
        args = tuple(_as_tensor(traced, node, value) for value in args)
    with traced.graph.inserting_before(node):
        new = traced.graph.call_function(canonical.function, args, dict(canonical.kwargs))
    new.meta = {**node.meta, "kind": canonical.kind}
    node.replace_all_uses_with(new)
    traced.graph.erase_node(node)


def _as_tensor(traced: fx.GraphModule, node: fx.Node, value: Any) -> Any:
    """A Python number becomes a constant tensor of the graph, so that it gets a quantizer like any tensor."""
    if isinstance(value, fx.Node):
        return value
    return add_constant(traced, node, torch.tensor([float(value)]))


def add_constant(traced: fx.GraphModule, before: fx.Node, value: torch.Tensor) -> fx.Node:
    """Register `value` as a buffer and read it just before node `before`."""
    names = {name for name, _ in traced.named_buffers()}
    name = next(n for n in (f"constant_{i}" for i in range(len(names) + 1)) if n not in names)
    traced.register_buffer(name, value)
    with traced.graph.inserting_before(before):
        constant = traced.graph.get_attr(name)
    constant.meta.update(kind="Constant", shape=tuple(value.shape), tail=True)
    return constant


def _refuse_leftovers(traced: fx.GraphModule) -> None:
    for node in traced.graph.nodes:
        if node.op in ("call_function", "call_method", "call_module") and "kind" not in node.meta:
            module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
            raise unsupported(node, module, "its value is not a tensor")


def free_name(traced: fx.GraphModule, wanted: str) -> str:
    """`wanted`, or with a number if a submodule has that name already."""
    taken = {name for name, _ in traced.named_modules()}
    candidates = [wanted, *(f"{wanted}_{i}" for i in range(1, len(taken) + 2))]
    return next(name for name in candidates if name not in taken)


def replace_layers(traced: fx.GraphModule) -> None:
    """Give every convolution and linear call its own brevitas layer with the same parameters.

    A layer called twice becomes two layers that share their float parameters: their inputs have different
    scales, so their int32 biases differ. A linear layer on more than two axes works on flattened rows.
    """
    seen: set[str] = set()
    for node in [n for n in traced.graph.nodes if n.meta.get("kind") in qat_layers.KINDS]:
        name = str(node.target)
        layer = traced.get_submodule(name)
        shared = name in seen
        seen.add(name)
        site = free_name(traced, f"{name}_{node.name}") if shared else name
        if node.meta["kind"] == "Gemm" and len(node.meta["shape"]) > 2:
            _flatten_rows(traced, node)
        _explicit_padding(traced, node, layer)
        try:
            traced.add_submodule(site, qat_layers.from_float(layer))
        except NotKnown as error:
            raise unsupported(node, layer, str(error)) from error
        node.target = site
    traced.delete_all_unused_submodules()
    traced.recompile()


def _flatten_rows(traced: fx.GraphModule, node: fx.Node) -> None:
    """[B, T, F] -> [B * T, F] -> layer -> [B, T, O]."""
    shape, source = node.meta["shape"], node.args[0]
    features = source.meta["shape"][-1]
    with traced.graph.inserting_before(node):
        rows = traced.graph.call_function(torch.reshape, (source, (-1, features)))
    rows.meta = {"kind": "Reshape", "shape": (-1, features), "tail": True}
    with traced.graph.inserting_after(node):
        back = traced.graph.call_function(torch.reshape, (node, (-1, *shape[1:])))
    back.meta = {"kind": "Reshape", "shape": shape, "tail": True}
    node.replace_all_uses_with(back, delete_user_cb=lambda user: user is not back)
    node.args = (rows,)
    node.meta["shape"] = (-1, shape[-1])


def _explicit_padding(traced: fx.GraphModule, node: fx.Node, layer: Any) -> None:
    """padding="same" with an even kernel pads unevenly: a Pad operator in front says so."""
    if getattr(layer, "padding", None) != "same":
        return
    pads: list[int] = []
    for size, dilation in zip(reversed(layer.kernel_size), reversed(layer.dilation), strict=True):
        total = dilation * (size - 1)
        pads += [total // 2, total - total // 2]
    if pads[0::2] == pads[1::2]:
        return
    with traced.graph.inserting_before(node):
        padded = traced.graph.call_function(torch.nn.functional.pad, (node.args[0], tuple(pads)))
    padded.meta = {"kind": "Pad", "shape": node.args[0].meta["shape"], "tail": True}
    node.args = (padded,)
    layer.padding = "valid"


def check_same_function(
    traced: Any, model: nn.Module, inputs: tuple[torch.Tensor, ...], where: str
) -> None:
    """The rewritten graph, still without quantizers, must compute what the model computes.

    Raises `InputError` where float32 rounding does not explain the difference (1e-3 of the largest output).
    """
    was_training = model.training
    with torch.no_grad():
        wanted = model.eval()(*inputs)
        given = traced(*inputs)
    model.train(was_training)
    for a, b in zip(_flat(wanted), _flat(given), strict=True):
        worst, largest = float((a - b).abs().max()), float(a.abs().max())
        if not worst <= 1e-3 * max(largest, 1e-3):
            raise InputError(
                f"the rewritten graph departs from the model by {worst:.3g} (outputs up to {largest:.3g})",
                where=where,
                hint="the forward probably changes a tensor in place that is used again; use x = x + y",
            )


def _flat(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return [tensor for item in outputs for tensor in _flat(item)]
