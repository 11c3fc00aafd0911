"""Random changes to normalised training batches, each with its own torch generator.

Imports torch inside its functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def crop_and_flip(batch: torch.Tensor, generator: torch.Generator, margin: int) -> torch.Tensor:
    """Each image [C,H,W] padded with zeros by `margin`, cropped back at a random place, mirrored half the time.

    (He et al., CVPR 2016, section 4.2.)
    """
    import torch
    import torch.nn.functional as F

    count, _, height, width = batch.shape
    device = batch.device
    shift = torch.randint(0, 2 * margin + 1, (2, count, 1), generator=generator)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.arange(width).expand(count, width)
    columns = torch.where(mirrored, width - 1 - columns, columns) + shift[1]
    rows = torch.arange(height) + shift[0]
    padded = F.pad(batch, (margin,) * 4).permute(0, 2, 3, 1)
    sample = torch.arange(count).reshape(-1, 1, 1)
    picked = padded[sample.to(device), rows[:, :, None].to(device), columns[:, None].to(device)]
    return picked.permute(0, 3, 1, 2).contiguous()
