"""Operators whose surrogate sharpens during training: FDA (Fourier series, noise branch) and ReSTE (power).

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .gradients import Fourier, Reste, Slope, sign_through
from .operators import LayerShape, Operator, channel_mean, layer_mean
from .schedules import fda_noise, fda_terms, reste_power


class FdaPlain(Operator):
    """FDA without its noise branch."""

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.at(0, 1)

    def scale(self, latent: Tensor) -> Tensor:
        """a_o."""
        return channel_mean(latent)

    def at(self, epoch: int, epochs: int) -> None:
        """More terms of the series."""
        slope: Slope = Fourier(fda_terms(epoch, epochs))
        self.weight_slope = self.input_slope = slope


class Noise(nn.Module):
    """e(v) = FC2(relu(FC1(v))) + 0.1 sin(v) over the last axis, no biases; hidden width d/64, else d/4."""

    def __init__(self, width: int):
        super().__init__()
        hidden = width // 64 or max(1, width // 4)
        self.inner = nn.Linear(width, hidden, bias=False)
        self.outer = nn.Linear(hidden, width, bias=False)

    def forward(self, v: Tensor) -> Tensor:
        """[..., d] -> [..., d]."""
        result: Tensor = self.outer(torch.relu(self.inner(v))) + 0.1 * torch.sin(v)
        return result


class Fda(FdaPlain):
    """FDA: small networks model what the truncated series leaves out.

    Their share falls to 0 at the end of the training, and outside training they are off: what is validated is
    what is deployed, plain signs.
    """

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.weight_noise = Noise(shape.taps)
        self.input_noise = Noise(shape.inputs)
        self.share = 0.0

    def weight(self, latent: Tensor) -> tuple[Tensor, Tensor | None]:
        """sgn(W) + l e(W), scale a_o."""
        values, scale = super().weight(latent)
        if self.training and self.share:
            noise = self.weight_noise(latent.flatten(1)).reshape(latent.shape)
            values = values + self.share * noise
        return values, scale

    def input(self, x: Tensor) -> Tensor:
        """sgn(X) + l e(X), e along channels."""
        values = sign_through(x, self.input_slope)
        if not (self.training and self.share):
            return values
        last = x.movedim(1, -1) if self.shape.kernel else x
        noise = self.input_noise(last)
        return values + self.share * (noise.movedim(-1, 1) if self.shape.kernel else noise)

    def at(self, epoch: int, epochs: int) -> None:
        """More terms, less noise."""
        super().at(epoch, epochs)
        self.share = fda_noise(epoch, epochs)


class ReSte(Operator):
    """ReSTE: the surrogate goes from the identity to the power 1/3; one scale per layer."""

    def __init__(self, shape: LayerShape, scaled_gradient: bool = False):
        super().__init__(shape, scaled_gradient)
        self.at(0, 1)

    def scale(self, latent: Tensor) -> Tensor:
        """a."""
        return layer_mean(latent)

    def at(self, epoch: int, epochs: int) -> None:
        """The power grows."""
        slope: Slope = Reste(reste_power(epoch, epochs))
        self.weight_slope = self.input_slope = slope


CLASSES: dict[str, type[Operator]] = {"fda": Fda, "fda-plain": FdaPlain, "reste": ReSte}
"""Name -> class."""
