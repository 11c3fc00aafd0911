"""Signs as Larq Compute Engine packs them: 32 channels to an int32, least significant bit first, bit 1 for -1."""

from __future__ import annotations

import numpy as np

from ...runtime.lce_kernels import WORD_BITS, pack, unpack
from .neutral import Array

__all__ = ["WORD_BITS", "pack_words", "unpack_words", "words"]


def words(channels: int) -> int:
    """int32 numbers that `channels` bits take."""
    return -(-channels // WORD_BITS)


def pack_words(signs: Array) -> Array:
    """+-1 with channels on the last axis -> int32 with words there; unused bits are 0."""
    return pack(np.asarray(signs) < 0)


def unpack_words(packed: Array, channels: int) -> Array:
    """int8 +-1 of the first `channels` channels."""
    return np.asarray(1 - 2 * unpack(packed)[..., :channels].astype(np.int8))
