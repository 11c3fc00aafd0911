"""The numbers of a prepared model, read from its brevitas modules: integers, scales, zero points.

These are what the exported files are compared with, entry by entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError, UsageError
from .qparams import QParams

if TYPE_CHECKING:
    import torch

    from .qat_model import QatModel

Array = NDArray[Any]


def require_calibrated(qat_model: QatModel) -> None:
    """`UsageError` unless `calibrate` has run (or a calibrated state was loaded)."""
    if not bool(qat_model.calibrated):
        raise UsageError(
            "the activation scales are not set", hint="call calibrate with training batches first"
        )


@dataclass(frozen=True)
class LayerSite:
    """Where a layer stands: its name and the names of the quantizers in front of and behind it."""

    layer: str
    input_quantizer: str
    output_quantizer: str
    output_tensor: str


def layer_sites(qat_model: QatModel) -> list[LayerSite]:
    """All brevitas layers in graph order."""
    sites = []
    layers = qat_model.layers()
    for node in qat_model.network.graph.nodes:
        if node.op == "call_module" and str(node.target) in layers:
            after = next(iter(node.users))
            last = node
            while not str(after.target).startswith("quantizers."):  # a fused activation
                last, after = after, next(iter(after.users))
            before = str(node.args[0].target)
            sites.append(
                LayerSite(
                    str(node.target),
                    before.removeprefix("quantizers."),
                    str(after.target).removeprefix("quantizers."),
                    last.name,
                )
            )
    return sites


@dataclass(frozen=True)
class ModuleQuantization:
    """The numbers of one brevitas module, after the exact shift of uint8 activations to int8.

    `weight` int8 in torch's layout, `bias` int32 or None; scales are float32 with one entry per output
    channel (activations: one). Activation quantizers have no weight.
    """

    name: str
    weight: Array | None
    weight_scale: Array | None
    bias: Array | None
    bias_scale: Array | None
    input: QParams | None
    output: QParams
    tensors: tuple[str, ...] = ()


def quantization_of(qat_model: QatModel) -> list[ModuleQuantization]:
    """Every integer weight, int32 bias, scale and zero point, read from the brevitas modules themselves.

    First all layers in graph order, then all activation quantizers with the tensors they serve.
    """
    import torch

    from .qat_layers import weight_and_bias
    from .qat_quantizers import get_activation

    require_calibrated(qat_model)
    activations = {n: get_activation(q) for n, q in qat_model.quantizers().items()}
    rows = []
    for site in layer_sites(qat_model):
        source = activations[site.input_quantizer]
        weight, weight_scale, bias, bias_scale = weight_and_bias(
            qat_model.layers()[site.layer], torch.tensor(source.scale[0], dtype=torch.float32)
        )
        rows.append(
            ModuleQuantization(
                site.layer,
                _checked(weight, np.int8, site.layer),
                weight_scale.numpy().astype(np.float32),
                None if bias is None else _checked(bias, np.int32, site.layer),
                None if bias is None else bias_scale.numpy().astype(np.float32),
                source,
                activations[site.output_quantizer],
                (site.output_tensor,),
            )
        )
    rows += [
        ModuleQuantization(g.name, None, None, None, None, None, activations[g.name], g.tensors)
        for g in qat_model.classes
    ]
    return rows


def _checked(values: torch.Tensor, dtype: Any, where: str) -> Array:
    array = values.numpy()
    info = np.iinfo(dtype)
    if array.min() < info.min or array.max() > info.max:
        raise InputError(f"integers beyond {np.dtype(dtype).name}", where=where)
    return array.astype(dtype)
