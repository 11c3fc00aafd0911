"""What a binarization is asked for and what it chose; readable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.errors import UsageError
from .catalogue import OPERATORS

ACTIVATIONS = ("hardtanh", "rprelu", "keep")


@dataclass(frozen=True)
class BinarizeConfig:
    """How a float model becomes binary; a value that cannot be is a `UsageError`.

    Attributes:
        operator: a name of `catalogue.OPERATORS`.
        keep_float: layers that stay real: names or globs.
        first, last: binarize the layers next to the inputs and outputs too.
        shortcuts: binarize 1x1 convolutions that stand in a shortcut.
        depthwise: binarize depthwise convolutions (few taps: they lose most).
        border: what padding holds: 0, 1 or -1. 0 is a third value and needs a correction in integer kernels.
        activation: what replaces a ReLU in front of a sign (after a ReLU every sign is +1): "hardtanh",
            "rprelu" (learned, real-valued; for networks with real shortcuts), or "keep".
        scaled_gradient: latent gradients carry the weight scale.
    """

    operator: str = "react"
    keep_float: tuple[str, ...] = ()
    first: bool = False
    last: bool = False
    shortcuts: bool = False
    depthwise: bool = False
    border: int = 1
    activation: str = "hardtanh"
    scaled_gradient: bool = False

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("operator", self.operator, tuple(OPERATORS)),
            ("border", self.border, (0, 1, -1)),
            ("activation", self.activation, ACTIVATIONS),
        ):
            if value not in allowed:
                raise UsageError(
                    f"{name} is {value!r}", hint=f"it can be {', '.join(map(str, allowed))}"
                )


@dataclass(frozen=True)
class LayerChoice:
    """One layer of the model: binary or not, and why not."""

    name: str
    kind: str
    weights: int
    binary: bool
    reason: str = ""
