"""A float torch model, unmodified, becomes one with binary layers.

    model = binarize(float_model, example, BinarizeConfig(operator="react"))
    rows = choices(model)                       # which layers, and why not the others

The model is traced; chosen layers are replaced, and a ReLU in front of a sign makes way for something that has a
negative side. Weights, batch norms and everything else stay what they were: training does the rest.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from ..quantization.qat_rewrite import free_name
from ..quantization.qat_trace import as_inputs, trace
from .choose import choose
from .layers import BinaryLayer, RPReLU, binary_layer
from .records import BinarizeConfig, LayerChoice

RELU_MODULES = (nn.ReLU, nn.ReLU6)
RELU_FUNCTIONS = frozenset({F.relu, torch.relu, F.relu6, torch.relu_, F.relu_})
RELU_METHODS = frozenset({"relu", "relu_"})
STOPS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, BinaryLayer)


def binarize(
    model: nn.Module, example_inputs: Any, config: BinarizeConfig | None = None
) -> fx.GraphModule:
    """A copy of `model` with binary layers; `model` stays as it is.

    Args:
        example_inputs: a batch as the model takes it, or a tuple of one per input.
        config: default `BinarizeConfig()`.

    Raises:
        InputError: the forward cannot be traced.
        UsageError: nothing would become binary, or a name of `keep_float` is unknown.
    """
    config = config or BinarizeConfig()
    traced = trace(model, as_inputs(example_inputs))
    rows = choose(traced, config)
    chosen = {row.name for row in rows if row.binary}
    nodes = [n for n in traced.graph.nodes if n.op == "call_module" and str(n.target) in chosen]
    if config.activation != "keep":
        for node in nodes:
            for source in relus_before(traced, node):
                _replace_relu(traced, source, config.activation)
    for node in nodes:
        layer = traced.get_submodule(str(node.target))
        if not isinstance(layer, BinaryLayer):
            positions = tuple(node.meta["shape"][2:]) if not isinstance(layer, nn.Linear) else ()
            made = binary_layer(
                layer, config.operator, config.border, config.scaled_gradient, positions
            )
            traced.set_submodule(str(node.target), made)
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    traced.meta["binarization"] = rows
    return traced.train(model.training)


def choices(model: fx.GraphModule) -> tuple[LayerChoice, ...]:
    """What `binarize` chose."""
    rows: tuple[LayerChoice, ...] = model.meta["binarization"]
    return rows


def binary_layers(model: nn.Module) -> dict[str, BinaryLayer]:
    """All binary layers by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, BinaryLayer)}


def set_binary_weights(model: nn.Module, on: bool) -> None:
    """False: real weights under binary activations, the first training stage."""
    for layer in binary_layers(model).values():
        layer.binary_weights = on


def relus_before(traced: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """ReLUs whose output reaches the sign of `node` with nothing but pools, reshapes, adds and the like between."""
    found: list[fx.Node] = []
    seen: set[fx.Node] = set()
    todo = [n for n in node.all_input_nodes]
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        if _is_relu(traced, here):
            found.append(here)
        elif not _stops(traced, here):
            todo.extend(here.all_input_nodes)
    return found


def _is_relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), RELU_MODULES)
    if node.op == "call_function":
        return node.target in RELU_FUNCTIONS
    return node.op == "call_method" and str(node.target) in RELU_METHODS


def _stops(traced: fx.GraphModule, node: fx.Node) -> bool:
    """A layer or a normalisation: what comes before it does not decide the sign behind it."""
    if node.op != "call_module":
        return False
    module = traced.get_submodule(str(node.target))
    return isinstance(module, STOPS) or any(True for _ in module.parameters())


def _replace_relu(traced: fx.GraphModule, node: fx.Node, activation: str) -> None:
    shape = node.meta["shape"]
    made: nn.Module = nn.Hardtanh()
    if activation == "rprelu":
        made = RPReLU(shape[1] if len(shape) > 2 else shape[-1], max(0, len(shape) - 2))
    path = str(node.target).replace(".", "_") if node.op == "call_module" else node.name
    name = free_name(traced, f"{path}_{activation}")
    traced.add_submodule(name, made)
    with traced.graph.inserting_before(node):
        new = traced.graph.call_module(name, (node.all_input_nodes[0],))
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    traced.graph.erase_node(node)
