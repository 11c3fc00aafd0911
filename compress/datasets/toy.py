"""A made-up task for smoke tests: which third of an 8x8 image is bright. No figure on it says anything.

It is the only synthetic data set here and is drawn from fixed seeds; nothing is read from disk.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...runtime.files import sha256_bytes
from ..task import Split, Task
from .judging import ACCURACY, accuracy, cross_entropy

COUNTS = {"train": 192, "validation": 64, "test": 64, "calibration": 32}


def make(name: str, root: Path | None) -> Task:
    """The task; `root` is not looked at."""
    return Task(
        name=name,
        kind="classification",
        metric=ACCURACY,
        input_shapes=((1, 8, 8),),
        loaders={split: partial(_load, split) for split in COUNTS},
        loss=cross_entropy,
        score=accuracy,
        labels=("top", "middle", "bottom"),
        data_sha256=sha256_bytes(b"toy 1"),
        sources=("synthetic, for smoke tests only",),
    )


def _load(split: str) -> Split:
    generator = np.random.Generator(np.random.PCG64(list(COUNTS).index(split)))
    targets = generator.integers(0, 3, COUNTS[split])
    images = generator.random((COUNTS[split], 1, 8, 8), dtype=np.float32)
    for row, target in enumerate(targets):
        images[row, 0, target * 3 : target * 3 + 2] += 0.7
    return Split(split, (images,), targets)
