"""Operator options as FlexBuffers maps: written, read by us and by the flatbuffers package, damaged."""

from __future__ import annotations

import pytest
from edgepress.export.tflite.flexmap import flexmap
from edgepress.runtime.errors import InputError
from edgepress.runtime.flexmap import read_flexmap
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES = {"channels_in": 300, "padding": 1, "stride_width": -2, "stride_height": 70_000}

names = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=20)


@given(st.dictionaries(names, st.integers(-(2**40), 2**40), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_numbers_come_back(values: dict[str, int]) -> None:
    data = flexmap(values)
    assert read_flexmap(data) == values == flexbuffers.Loads(data)


def test_the_order_of_options_does_not_matter() -> None:
    assert flexmap(VALUES) == flexmap(dict(reversed(VALUES.items())))


def test_other_kinds_of_numbers_are_read() -> None:
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("a")
        builder.Bool(True)
        builder.Key("b")
        builder.UInt(200)
        builder.Key("c")
        builder.IndirectInt(-5)
    assert read_flexmap(bytes(builder.Finish())) == {"a": 1, "b": 200, "c": -5}


def test_what_is_no_map_of_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="no map"):
        read_flexmap(flexbuffers.Dumps([1, 2]))
    with pytest.raises(InputError, match="name is no whole number"):
        read_flexmap(flexbuffers.Dumps({"name": "text"}))


def test_damaged_bytes_are_refused_or_numbers() -> None:
    data = flexmap(VALUES)
    pieces = [data[:n] for n in range(len(data))]
    pieces += [data[n:] for n in range(1, len(data))]
    for index in range(len(data)):
        for value in (0, 1, 127, 255):
            pieces.append(data[:index] + bytes([value]) + data[index + 1 :])
    refused = 0
    for piece in pieces:
        try:
            found = read_flexmap(piece, "net.tflite")
        except InputError as error:
            refused += 1
            assert "damaged operator options" in str(error) and error.where == "net.tflite"
        else:
            assert all(isinstance(v, int) for v in found.values())
    assert refused > len(data)
