"""What every binarization operator is, and how one is made by name.

    operator = make_operator("react", LayerShape(64, 32, 32, (3, 3)))
    weight, scale = operator.weight(latent)     # +-1 of the latent's shape, and what multiplies the product
    values = operator.input(x)                  # +-1 of the input's shape
    y = operator.output(product * scale, x)

The product of signs is an exact integer; all real factors come after it, which is what an integer kernel does.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass

from torch import Tensor, nn

from ...runtime.errors import UsageError
from .catalogue import OPERATORS
from .gradients import Clip, Slope, sign_through


@dataclass(frozen=True)
class LayerShape:
    """A layer as operators see it: channels out and in, input channels of a group, kernel lengths (() for dense).

    `positions` are the lengths of its output, where they are known.
    """

    outputs: int
    inputs: int
    inputs_per_group: int
    kernel: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()

    @property
    def taps(self) -> int:
        """Products per output value."""
        return self.inputs_per_group * math.prod(self.kernel)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[outputs, inputs of a group, kernel...]."""
        return (self.outputs, self.inputs_per_group, *self.kernel)

    def per_output(self, values: Tensor) -> Tensor:
        """[outputs] -> a shape that multiplies [N, outputs, positions...] (or [..., outputs] of a dense layer)."""
        return values.reshape(-1, *(1,) * len(self.kernel))

    def per_input(self, values: Tensor) -> Tensor:
        """[inputs] -> a shape that adds to [N, inputs, positions...] (or [..., inputs])."""
        return values.reshape(-1, *(1,) * len(self.kernel))


class Operator(nn.Module):
    """Signs with straight-through gradients and no scale: BNN, and the base of all others.

    Args:
        shape: of the layer it serves.
        scaled_gradient: the latent weight's gradient carries the scale, as the product rule says. Without it
            (BiBench's convolutions; the default) it does not: under Adam the two are alike, under SGD not.
    """

    weight_slope: Slope = Clip()
    input_slope: Slope = Clip()

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__()
        self.shape = shape
        self.scaled_gradient = scaled_gradient

    def weight(self, latent: Tensor) -> tuple[Tensor, Tensor | None]:
        """(values that enter the product, scale [outputs] of the product or None)."""
        scale = self.scale(latent)
        return self.sign_of_weight(latent, scale), scale

    def sign_of_weight(self, latent: Tensor, scale: Tensor | None) -> Tensor:
        """Signs of the weight with the gradient that `scaled_gradient` asks for."""
        factor = None
        if scale is not None and not self.scaled_gradient:
            factor = 1 / scale.clamp(min=1e-12)
            factor = factor.reshape(-1, *(1,) * (latent.dim() - 1))
        return sign_through(latent, self.weight_slope, factor)

    def scale(self, latent: Tensor) -> Tensor | None:
        """Constant [outputs] that multiplies the product."""
        return None

    def input(self, x: Tensor) -> Tensor:
        """Values of the input that enter the product."""
        return sign_through(x, self.input_slope)

    def output(self, y: Tensor, x: Tensor) -> Tensor:
        """Whatever else multiplies the product; `x` is the layer's real input."""
        return y

    def at(self, epoch: int, epochs: int) -> None:
        """Set what depends on the moment of the training; epochs count from 0."""

    def deployed_signs(self, latent: Tensor) -> Tensor:
        """The +-1 that a packed file holds: signs of what the forward takes signs of."""
        from .gradients import signs

        return signs(latent.detach())


def channel_mean(latent: Tensor) -> Tensor:
    """a_o: mean of |W| per output channel, without gradient."""
    return latent.detach().abs().flatten(1).mean(1)


def layer_mean(latent: Tensor) -> Tensor:
    """a: mean of |W| over the layer, once per output channel, without gradient."""
    return latent.detach().abs().mean().expand(latent.shape[0])


def make_operator(name: str, shape: LayerShape, scaled_gradient: bool = False) -> Operator:
    """The operator `name` for one layer; an unknown name is a `UsageError`."""
    if name not in OPERATORS:
        raise UsageError(
            f"there is no binarization operator {name!r}", hint=f"there are {', '.join(OPERATORS)}"
        )
    module = importlib.import_module(f"{__package__}.{OPERATORS[name].module}")
    made: Operator = module.CLASSES[name](shape, scaled_gradient=scaled_gradient)
    return made
