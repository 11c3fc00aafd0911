"""Operators that normalise a weight before its sign: ReCU, IR-Net, AdaBin. Their latent weights are not clipped.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .gradients import Identity, Poly, Slope, Tanh, sign_through, signs
from .operators import LayerShape, Operator, channel_mean
from .schedules import ede_steepness, recu_bound, recu_tau

EPSILON = 1e-5


def _per_filter(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (like.dim() - 1))


def centred(latent: Tensor) -> Tensor:
    """W - mean over each output channel."""
    return latent - _per_filter(latent.flatten(1).mean(1), latent)


class Recu(Operator):
    """ReCU: weights normalised and clamped at a quantile that rises, inputs divided by their deviation."""

    input_slope = Poly()

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.alpha = nn.Parameter(torch.rand(shape.outputs))
        self.tau = recu_tau(0, 1)

    def weight(self, latent: Tensor) -> tuple[Tensor, None]:
        """sgn(clamp(W1, -Q, Q)), gradients through clamp and normalisation."""
        normal = centred(latent)
        deviation = (normal.flatten(1).var(1) + EPSILON).sqrt() / (2 * math.sqrt(2))
        normal = normal / _per_filter(deviation, latent)
        bound = recu_bound(self.tau, float(normal.detach().abs().mean()))
        return sign_through(normal.clamp(-bound, bound), Identity()), None

    def input(self, x: Tensor) -> Tensor:
        """sgn(x / std of the sample); a positive factor, so the sign is that of x."""
        if not self.training:
            return signs(x)
        axes = tuple(range(1, x.dim()))
        return super().input(x / (x.var(axes, keepdim=True) + EPSILON).sqrt())

    def output(self, y: Tensor, x: Tensor) -> Tensor:
        """y alpha."""
        return y * self.shape.per_output(self.alpha)

    def at(self, epoch: int, epochs: int) -> None:
        """tau rises."""
        self.tau = recu_tau(epoch, epochs)

    def deployed_signs(self, latent: Tensor) -> Tensor:
        """Scaling and clamping keep signs: those of W - mean."""
        return signs(centred(latent.detach()))


class Irnet(Operator):
    """IR-Net: standardised weights, power-of-two scales, gradients of a tanh that steepens."""

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.at(0, 1)

    def weight(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """(sgn(Wn), 2^round(log2 mean |Wn|)), gradients through the standardisation."""
        normal = centred(latent)
        deviation = normal.flatten(1).std(1).clamp(min=1e-12)
        normal = normal / _per_filter(deviation, latent)
        scale = 2.0 ** channel_mean(normal).clamp(min=1e-12).log2().round()
        return self.sign_of_weight(normal, scale), scale

    def at(self, epoch: int, epochs: int) -> None:
        """The tanh steepens."""
        slope: Slope = Tanh(ede_steepness(epoch, epochs))
        self.weight_slope = self.input_slope = slope

    def deployed_signs(self, latent: Tensor) -> Tensor:
        """Standardisation keeps signs: those of W - mean."""
        return signs(centred(latent.detach()))


class Adabin(Operator):
    """AdaBin: weights take two values a - b apart around b, inputs a_x around b_x (paper's form)."""

    input_slope = Poly()
    shift_inside = False

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.input_scale = nn.Parameter(torch.ones(()))
        self.input_shift = nn.Parameter(torch.zeros(()))
        self.at(0, 1)

    def weight(self, latent: Tensor) -> tuple[Tensor, None]:
        """a sgn((W - b) / a) + b; gradients also through a and b."""
        centre = _per_filter(latent.flatten(1).mean(1), latent)
        spread = (latent - centre).flatten(1).square().mean(1).clamp(min=1e-24).sqrt()
        spread = _per_filter(spread, latent)
        return spread * sign_through((latent - centre) / spread, self.weight_slope) + centre, None

    def input(self, x: Tensor) -> Tensor:
        """a_x s + b_x, or a_x (s + b_x) in the released code's form."""
        s = sign_through((x - self.input_shift) / self.input_scale, self.input_slope)
        if self.shift_inside:
            return self.input_scale * (s + self.input_shift)
        return self.input_scale * s + self.input_shift

    def at(self, epoch: int, epochs: int) -> None:
        """The weights' tanh steepens."""
        self.weight_slope = Tanh(ede_steepness(epoch, epochs))

    def deployed_signs(self, latent: Tensor) -> Tensor:
        """Signs of W - mean; the offset b needs a second popcount."""
        return signs(centred(latent.detach()))


class AdabinCode(Adabin):
    """AdaBin as its released code computes inputs."""

    shift_inside = True


CLASSES: dict[str, type[Operator]] = {
    "recu": Recu,
    "irnet": Irnet,
    "adabin": Adabin,
    "adabin-code": AdabinCode,
}
"""Name -> class."""
