"""Seeds as functions of what they are for, and random states given back as they were.

Everything random in step n of a training is seeded with (seed, n): a resumed training needs no saved
generator states and cannot drift.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive(seed: int, *purpose: object) -> int:
    """A 63-bit seed from a seed and what it is for."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch (all devices)."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - users' layers and augmentations draw from it
    torch.manual_seed(seed)


@contextmanager
def preserved() -> Iterator[None]:
    """Whatever happens inside, the global generators are afterwards as they were."""
    import torch

    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002
