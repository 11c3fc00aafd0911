"""Fold batch normalisation into the layer in front of it, before training.

It is folded, not kept and frozen: what is trained is then exactly what is exported (one weight, one bias, one
scale per channel), and no statistics can drift. A normalisation with no convolution or linear layer in front
becomes a depthwise 1x1 convolution.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn

from .qat_expand import unsupported
from .qat_rewrite import free_name


def fold_normalisations(traced: fx.GraphModule) -> None:
    """Fold every batch normalisation into the layer in front of it, or turn it into a 1x1 depthwise layer."""
    for node in [n for n in traced.graph.nodes if n.meta.get("kind") == "BatchNormalization"]:
        normalisation = traced.get_submodule(str(node.target))
        gain, shift = _gain_and_shift(node, normalisation)
        source = node.args[0]
        foldable = source.meta["kind"] in ("Conv", "ConvTranspose", "Gemm")
        if foldable and len(source.users) == 1:
            layer = _own_copy(traced, source)
            _scale_layer(layer, gain, shift)
            node.replace_all_uses_with(source)
            traced.graph.erase_node(node)
        else:
            _as_depthwise(traced, node, gain, shift)
    traced.delete_all_unused_submodules()
    traced.recompile()


def _gain_and_shift(node: fx.Node, layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """gain = gamma / sqrt(var + eps), shift = beta - mean * gain."""
    if layer.running_mean is None:
        raise unsupported(node, layer, "it keeps no running statistics")
    with torch.no_grad():
        inverse = torch.rsqrt(layer.running_var.double() + layer.eps)
        gain = inverse if layer.weight is None else layer.weight.double() * inverse
        shift = -layer.running_mean.double() * gain
        if layer.bias is not None:
            shift = shift + layer.bias.double()
    return gain, shift


def _own_copy(traced: fx.GraphModule, node: fx.Node) -> Any:
    """The layer of one call site; a layer called from several places is copied first."""
    name = str(node.target)
    callers = [n for n in traced.graph.nodes if n.op == "call_module" and n.target == name]
    if len(callers) > 1:
        name = free_name(traced, f"{name}_{node.name}")
        traced.add_submodule(name, copy.deepcopy(traced.get_submodule(str(node.target))))
        node.target = name
    return traced.get_submodule(name)


@torch.no_grad()
def _scale_layer(layer: Any, gain: torch.Tensor, shift: torch.Tensor) -> None:
    weight = layer.weight.double()
    if isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d)):
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        scaled = grouped * gain.reshape(layer.groups, 1, -1, *(1,) * (weight.ndim - 2))
        layer.weight.copy_(scaled.reshape(weight.shape).float())
    else:
        layer.weight.copy_((weight * gain.reshape(-1, *(1,) * (weight.ndim - 1))).float())
    bias = shift if layer.bias is None else layer.bias.double() * gain + shift
    layer.bias = nn.Parameter(bias.float())


def _as_depthwise(
    traced: fx.GraphModule, node: fx.Node, gain: torch.Tensor, shift: torch.Tensor
) -> None:
    rank = len(node.meta["shape"])
    if rank not in (3, 4):
        raise unsupported(
            node, traced.get_submodule(str(node.target)), "no layer in front to fold it into"
        )
    layer = depthwise(gain.float(), shift.float(), rank - 2)
    name = free_name(traced, f"{node.target}_as_conv")
    traced.add_submodule(name, layer)
    node.target = name
    node.meta["kind"] = "Conv"


@torch.no_grad()
def depthwise(gain: torch.Tensor, shift: torch.Tensor, spatial_rank: int) -> Any:
    """A depthwise convolution of kernel 1 that computes gain * x + shift per channel."""
    channels = len(gain)
    layer = (nn.Conv1d, nn.Conv2d)[spatial_rank - 1](channels, channels, 1, groups=channels)
    layer.weight.copy_(gain.reshape(layer.weight.shape))
    layer.bias.copy_(shift)
    return layer
