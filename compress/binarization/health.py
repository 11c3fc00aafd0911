"""How a trained binary network is doing, layer by layer, and whether its integer form gives the same.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from .binarize import binary_layers
from .fold import Folded, fold


@dataclass(frozen=True)
class IntegerCheck:
    """The integer form against the simulation: outputs compared, outputs that differ, samples."""

    outputs: int
    different: int
    samples: int


def layer_health(model: fx.GraphModule, folded: Folded) -> dict[str, dict[str, float]]:
    """Per binary layer: positive_weights (share, 0.5 is balanced), clipped_weights (share at |w| >= 1, whose
    gradient is 0), and constant_channels (share whose bit never changes; linked layers only).
    """
    found: dict[str, dict[str, float]] = {}
    for name, layer in binary_layers(model).items():
        latent = layer.weight.detach()
        found[name] = {
            "positive_weights": float((layer.signs() > 0).float().mean()),
            "clipped_weights": float((latent.abs() >= 1).float().mean()),
        }
    for link in folded.links:
        if link.staircase is not None:
            found[link.layer]["constant_channels"] = float(link.staircase.constant.mean())
    return found


def links_note(folded: Folded) -> str:
    """One sentence: which layers hand over bits, and what keeps the others real."""
    linked = [link.layer for link in folded.links if link.staircase is not None]
    real = [link for link in folded.links if link.staircase is None]
    reasons = "; ".join(dict.fromkeys(f"{link.layer}: {link.reason}" for link in real[:3]))
    more = f"; and {len(real) - 3} more" if len(real) > 3 else ""
    return (
        f"{len(linked)} of {len(folded.links)} binary layers end in integer thresholds; "
        f"real sums stay where they are needed ({reasons}{more})"
    )


def check_integer_form(
    model: fx.GraphModule, inputs: tuple[torch.Tensor, ...]
) -> tuple[Folded, IntegerCheck]:
    """Fold `model` and compare all outputs for a batch of inputs."""
    folded = fold(model)
    training = model.training
    model.eval()
    with torch.no_grad():
        expected: Any = model(*inputs)
    model.train(training)
    found = folded(*inputs)
    pairs = zip(_flat(expected), _flat(found), strict=True)
    counts = [(a.numel(), int((a != b).sum())) for a, b in pairs]
    outputs, different = (sum(values) for values in zip(*counts, strict=True))
    return folded, IntegerCheck(outputs, different, len(inputs[0]))


def _flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in _flat(item)]
    return [value]
