"""Plain records of quantization-aware training: how a module is prepared, and which tensors share a quantizer."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.artifact import Normalisation
from ...runtime.errors import UsageError


@dataclass(frozen=True)
class QatConfig:
    """How a float module is prepared.

    Attributes:
        normalisation: of the first input; the exported file then takes raw values, and training simulates
            the quantization of the raw values too. None if the model takes them as they are.
        io: "int8" quantizes the raw input; "float" leaves `input_normalisation` in float.
        input_range: (low, high) of the raw first input where it is known ((0, 255) for images);
            None takes it from the calibration batches.
        observer, percentile: range observer of inner tensors; inputs and outputs take min and max.
        learn_scales: train the activation scales until `freeze_fraction` of the steps.
    """

    normalisation: Normalisation | None = None
    io: str = "int8"
    input_range: tuple[float, float] | None = None
    observer: str = "percentile"
    percentile: float = 99.999
    learn_scales: bool = True
    freeze_fraction: float = 1 / 3

    def __post_init__(self) -> None:
        if self.io not in ("int8", "float"):
            raise UsageError(f"io {self.io!r} is unknown", hint="choose int8 or float")
        if not 0 <= self.freeze_fraction <= 1:
            raise UsageError(f"freeze_fraction {self.freeze_fraction} lies outside 0 to 1")


@dataclass(frozen=True)
class TensorGroup:
    """Tensors of the graph that share one quantizer, and what they are."""

    name: str
    tensors: tuple[str, ...]
    kinds: tuple[str, ...]
    fixed: bool
    is_input: bool
    is_output: bool
