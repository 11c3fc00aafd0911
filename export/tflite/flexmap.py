"""Integers by name as a FlexBuffers map: how custom operators of TFLite keep their options."""

from __future__ import annotations

from collections.abc import Mapping

from flatbuffers import flexbuffers


def flexmap(values: Mapping[str, int]) -> bytes:
    """The map's bytes; names in alphabetical order, so the same values give the same bytes."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name in sorted(values):
            builder.Key(name)
            builder.Int(int(values[name]))
    return bytes(builder.Finish())
