"""What a binarized network would need by counting: weights, multiply-accumulates, and what operators add.

    counts = complexity(binary_model, example)
    compression(counts), speed_up(counts)

Counts are of layers with weights only (convolutions and dense layers), without biases and normalisation. A binary
weight counts 1/32 of a real one, 64 binary multiply-accumulates as one real: numbers of an ideal machine, not
predictions. What an operator still computes at run time, after everything foldable is folded, is charged.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .layers import BinaryLayer
from .operators import LayerShape

WEIGHT_BITS, WORD_BITS = 32, 64


@dataclass(frozen=True)
class Complexity:
    """Totals of one sample: weights and multiply-accumulates, the binary ones among them, and extras.

    Attributes:
        extra_parameters: real numbers that an operator keeps beside its signs and no other layer can take.
        extra_operations: real additions or multiplications at run time that no other layer can take.
        extra_binary: binary operations beyond the product (a second popcount of the window).
    """

    weights: int
    binary_weights: int
    macs: int
    binary_macs: int
    extra_parameters: int = 0
    extra_operations: int = 0
    extra_binary: int = 0

    def __add__(self, other: Complexity) -> Complexity:
        """Sums, field by field."""
        mine, theirs = vars(self).values(), vars(other).values()
        return Complexity(*(a + b for a, b in zip(mine, theirs, strict=True)))


def compression(counts: Complexity) -> float:
    """r_c = P / (P_fp + P_bin / 32), extras among P_fp."""
    real = counts.weights - counts.binary_weights + counts.extra_parameters
    return counts.weights / (real + counts.binary_weights / WEIGHT_BITS)


def speed_up(counts: Complexity) -> float:
    """r_s = F / (F_fp + F_bin / 64), extras among F_fp and F_bin. A count, never a measured gain."""
    real = counts.macs - counts.binary_macs + counts.extra_operations
    return counts.macs / (real + (counts.binary_macs + counts.extra_binary) / WORD_BITS)


def complexity(model: nn.Module, example: tuple[torch.Tensor, ...]) -> Complexity:
    """Counts of `model` on one sample; `example` is a batch of any size."""
    total = Complexity(0, 0, 0, 0)
    seen: set[int] = set()

    def count(layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        samples = len(inputs[0])
        weights = 0 if id(layer) in seen else layer.weight.numel()
        seen.add(id(layer))
        per_value = layer.weight[0].numel()
        macs = output.numel() // samples * per_value
        is_binary = isinstance(layer, BinaryLayer)
        total += Complexity(weights, weights * is_binary, macs, macs * is_binary)
        if isinstance(layer, BinaryLayer):
            values = inputs[0].numel() // samples
            total += extras(layer.operator_name, layer.shape, values, output[0].numel(), output)

    with _hooked(model, count), torch.no_grad():
        model(*example)
    return total


@contextmanager
def _hooked(model: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear, BinaryLayer)
    handles = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, kinds)]
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training


def extras(
    operator: str, shape: LayerShape, inputs: int, outputs: int, output: torch.Tensor
) -> Complexity:
    """What `operator` needs at run time in one layer; `inputs` and `outputs` are values of one sample.

    Scales per channel, thresholds per channel and normalised weights fold away: nothing is charged for them. Nor for
    inputs of 0 and 1 (`dorefa-paper`): x = (s + 1) / 2 adds half the sum of the weights, a constant per channel.
    """
    positions = outputs // shape.outputs
    window = positions * shape.taps
    if operator == "xnor-bibench":  # mean |X| of the sample, and one multiplication per output
        return Complexity(0, 0, 0, 0, extra_operations=inputs + outputs)
    if operator == "xnor-paper":  # mean over channels, box over the window, a factor per output
        box = positions * math.prod(shape.kernel)
        return Complexity(0, 0, 0, 0, extra_operations=inputs + box + outputs)
    if operator == "xnorpp-paper":  # alpha, beta and gamma; two multiplications fold into one table
        kept = shape.outputs + sum(output.shape[2:]) if shape.kernel else shape.outputs
        return Complexity(0, 0, 0, 0, extra_parameters=kept, extra_operations=outputs)
    if operator in ("adabin", "adabin-code"):  # a sum of the window's signs, its share per output
        return Complexity(0, 0, 0, 0, 2 + shape.outputs, outputs, window)
    return Complexity(0, 0, 0, 0)
