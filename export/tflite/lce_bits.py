"""Signs as Larq Compute Engine packs them: 32 channels to an int32, least significant bit first, bit 1 for -1."""

from __future__ import annotations

import numpy as np

from .neutral import Array

WORD_BITS = 32


def words(channels: int) -> int:
    """int32 numbers that `channels` bits take."""
    return -(-channels // WORD_BITS)


def pack_words(signs: Array) -> Array:
    """+-1 with channels on the last axis -> int32 with words there; unused bits are 0."""
    count = signs.shape[-1]
    bits = np.zeros((*signs.shape[:-1], words(count) * WORD_BITS), bool)
    bits[..., :count] = signs < 0
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<i4").astype(np.int32)


def unpack_words(packed: Array, channels: int) -> Array:
    """int8 +-1 of the first `channels` channels."""
    octets = np.ascontiguousarray(packed.astype("<i4")).view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little", count=channels)
    return np.asarray(1 - 2 * bits.astype(np.int8))
