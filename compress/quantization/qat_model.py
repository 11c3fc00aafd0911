"""The module that `qat.prepare` gives: a brevitas-quantized fx graph that trains like any float module.

Imports torch and brevitas at the top: import this module inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...runtime.artifact import Normalisation
from .qat_layers import QUANTIZED, float_product
from .qat_quantizers import tensor_quantizer
from .qat_records import QatConfig, TensorGroup


class RawInput(nn.Module):
    """Turns a normalised batch back into raw values, so that the quantized graph starts where the file starts.

    With `raw` set (while exporting) the input is raw already and passes.
    """

    def __init__(self, normalisation: Normalisation, rank: int):
        super().__init__()
        shape = [1] * rank
        shape[normalisation.axis] = -1
        for name in ("mean", "std"):
            values = torch.tensor(getattr(normalisation, name), dtype=torch.float32)
            self.register_buffer(name, values.reshape(shape))
        self.raw = False

    def forward(self, x: Tensor) -> Tensor:
        """Raw values of a normalised batch."""
        return x if self.raw else x * self.std + self.mean


class QatModel(nn.Module):
    """A quantized graph with the memory of how far its training is.

    Attributes:
        config: what `prepare` was asked for.
        classes: which tensors share which quantizer.
        network: the fx graph; its layers are brevitas layers under their original names, its activation
            quantizers stand under `network.quantizers`.
        requantized: one line per QUANTIZE operator that the float model has no counterpart for.
        input_shapes: one per input, batch of 1.
        steps, freeze_at: training forwards done, and the number of them after which scales stay (-1: never).
    """

    def __init__(
        self,
        network: fx.GraphModule,
        config: QatConfig,
        classes: tuple[TensorGroup, ...],
        requantized: tuple[str, ...],
        input_shapes: tuple[tuple[int, ...], ...],
    ):
        super().__init__()
        self.network = network
        self.config = config
        self.classes = classes
        self.requantized = requantized
        self.input_shapes = input_shapes
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("freeze_at", torch.full((), -1, dtype=torch.int64))
        self.register_buffer("calibrated", torch.zeros((), dtype=torch.bool))

    def forward(self, *inputs: Tensor) -> Any:
        """Outputs of the float module, through all quantizers; inputs as the float module takes them."""
        if self.training and torch.is_grad_enabled():
            if 0 <= int(self.freeze_at) <= int(self.steps):
                self.freeze_scales()
            self.steps += 1
        return self.network(*inputs)

    def freeze_scales(self) -> None:
        """From here on training moves weights and biases only."""
        for quantizer in self.quantizers().values():
            ratio = tensor_quantizer(quantizer).scaling_impl.ratio
            ratio.requires_grad_(False)
            ratio.grad = None

    def quantizers(self) -> Mapping[str, Any]:
        """Activation quantizers by name, in graph order."""
        return dict(self.network.quantizers.named_children())

    def layers(self) -> Mapping[str, Any]:
        """Brevitas layers by name."""
        return {n: m for n, m in self.network.named_modules() if isinstance(m, QUANTIZED)}

    def raw_inputs(self, raw: bool) -> None:
        """Whether the first input is raw (exporting) or normalised (training)."""
        for module in self.network.modules():
            if isinstance(module, RawInput):
                module.raw = raw

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As in torch; brevitas keeps its quantizers instead of building new ones an optimizer does not know."""
        from brevitas import config

        before = config.REINIT_ON_STATE_DICT_LOAD
        config.REINIT_ON_STATE_DICT_LOAD = False
        try:
            return super().load_state_dict(state_dict, *args, **kwargs)
        finally:
            config.REINIT_ON_STATE_DICT_LOAD = before


class FloatRun(fx.Interpreter):
    """Runs the graph without quantizers and shows every quantizer what it would have quantized."""

    def __init__(self, model: QatModel, see: Any):
        super().__init__(model.network)
        self.see = see

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """One module of the graph: quantizers observe, layers compute in float."""
        module = self.fetch_attr(str(target))
        if str(target).startswith("quantizers."):
            self.see(str(target).removeprefix("quantizers."), args[0])
            return args[0]
        if isinstance(module, QUANTIZED):
            return float_product(module, *args)
        return module(*args, **kwargs)


def run_float(model: QatModel, batch: Iterable[Tensor], see: Any) -> Any:
    """Float outputs for one batch; `see(quantizer name, tensor)` is called for every quantized tensor."""
    with torch.no_grad():
        return FloatRun(model, see).run(*batch)
