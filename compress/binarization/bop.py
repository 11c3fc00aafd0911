"""Bop: an optimizer for weights that are bits, without latent weights (Helwegen et al., NeurIPS 2019).

    m <- m + gamma (gradient - m);   w <- -w where |m| > threshold and sign(m) = sign(w)

Groups with "binary": True are moved by it, all others by Adam: a network also has real parameters.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

GAMMA, THRESHOLD = 1e-4, 1e-8


class Bop(torch.optim.Adam):
    """Adam whose groups with "binary" flip signs instead; a group may hold its own "gamma" and "threshold".

    The weights of a binary group should be +-1 (`to_signs`); their learning rate has no meaning, but where the
    schedule shrinks it, gamma shrinks with it, as the authors let it decay.
    """

    param_groups: list[dict[str, Any]]

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float = 1e-3, **adam: Any):
        super().__init__(list(groups), lr=lr, **adam)
        for group in self.param_groups:
            group.setdefault("binary", False)
            group.setdefault("gamma", GAMMA)
            group.setdefault("threshold", THRESHOLD)
            group.setdefault("first_lr", group["lr"])

    def step(self, closure: Any = None) -> Any:
        """Flip what the averaged gradient wants flipped, and let Adam move the rest."""
        everything = self.param_groups
        self.param_groups = [group for group in everything if not group["binary"]]
        loss = super().step(closure)
        self.param_groups = everything
        for group in everything:
            if group["binary"]:
                self._flip(group)
        return loss

    @torch.no_grad()
    def _flip(self, group: dict[str, Any]) -> None:
        gamma = group["gamma"] * group["lr"] / group["first_lr"]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros(())  # Adam looks for it when a state is loaded
                state["momentum"] = torch.zeros_like(weight)
            momentum = state["momentum"]
            momentum.lerp_(weight.grad, gamma)
            flips = weight * momentum > group["threshold"]
            weight.copy_(torch.where(flips, -weight, weight))


@torch.no_grad()
def to_signs(weights: Iterable[torch.Tensor]) -> None:
    """Make latent weights +-1, in place."""
    from .gradients import signs

    for weight in weights:
        weight.copy_(signs(weight))
