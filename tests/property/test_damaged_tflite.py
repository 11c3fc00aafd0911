"""Whatever bytes come in: a model or an `InputError`, in bounded time and memory."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from edgepress.runtime.errors import InputError
from edgepress.runtime.tflite_schema import TfliteModel, read_model
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data import need_data
from support.lite_files import real_lite_files, tiny_dense


def _reads_or_refuses(data: bytes) -> TfliteModel | None:
    try:
        return read_model(data, where="x")
    except InputError:
        return None


def _cuts(size: int) -> list[int]:
    random = np.random.default_rng(size)
    return [0, 1, 4, 7, 8, 9, size // 2, size - 1, *random.integers(0, size, 25).tolist()]


def test_every_truncation_of_the_reference_files_is_refused() -> None:
    for path in real_lite_files(need_data("models").parent):
        data = path.read_bytes()
        for length in _cuts(len(data)):
            with pytest.raises(InputError):
                read_model(data[:length], where=path.name)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
def test_random_bytes_behind_the_identifier(tail: bytes) -> None:
    _reads_or_refuses(b"\x08\0\0\0TFL3" + tail)
    with pytest.raises(InputError):
        read_model(tail[:4] + b"TFLX" + tail)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_changed_words_of_a_sound_file(data: st.DataObject) -> None:
    content = bytearray(tiny_dense(metadata={"edgepress": b"{}"}))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 4))
        value = data.draw(st.sampled_from([0, 1, 4, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
        content[place : place + 4] = struct.pack("<I", value)
    _reads_or_refuses(bytes(content))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_changed_bytes_of_a_real_file(data: st.DataObject) -> None:
    content = bytearray(need_data("models/tflm/hello_world_int8.tflite").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    _reads_or_refuses(bytes(content))


def _table(fields: list[int]) -> bytes:
    """A vtable and its table whose 32-bit fields all follow the soffset."""
    vtable = struct.pack("<HH", 4 + 2 * len(fields), 4 + 4 * len(fields))
    vtable += struct.pack(
        f"<{len(fields)}H", *(4 + 4 * i if f else 0 for i, f in enumerate(fields))
    )
    return vtable


def test_one_graph_shared_by_thousands_of_parents_is_refused_early() -> None:
    """A small file whose list of graphs names one big graph again and again must not take hours."""
    count = 20_000
    vtable = struct.pack("<HHHHH", 10, 12, 4, 0, 8)  # Model: version, (codes), subgraphs
    body = bytearray(struct.pack("<I", 8 + len(vtable) + 2) + b"TFL3" + vtable + b"\0\0")
    model_at = len(body)
    body += struct.pack("<iII", model_at - 8, 3, 4)  # soffset, version, offset to the vector
    vector_at = len(body)
    end = vector_at + 4 + 4 * count
    body += struct.pack("<I", count)
    graph_at = end + 8
    body += b"".join(struct.pack("<I", graph_at - (vector_at + 4 + 4 * i)) for i in range(count))
    body += struct.pack("<HHHH", 6, 8, 4, 0)
    body += struct.pack("<iII", 8, 4, count)  # a SubGraph whose tensors are a long list
    body += b"".join(struct.pack("<I", 0) for _ in range(count))
    assert len(body) < 200_000
    with pytest.raises(InputError, match="without end|broken|offset"):
        read_model(bytes(body))
