"""A part of a TFLite file as a file of its own: a run of operators, with inputs and outputs where it was cut.

Nothing moves: lists of inputs and outputs are appended and the subgraph's offsets pointed at them. A list of
operators stores, in front of its first entry, how many there are; the entry before the first operator that is wanted
is overwritten with the new count, and the subgraph's offset pointed there. Constants and tensors keep their numbers.
"""

from __future__ import annotations

import struct
from typing import Sequence

from .flatbuffer import Flatbuffer, root
from .tflite_model import TfliteModel


def island(
    data: bytes,
    first: int,
    count: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    where: str = "",
) -> bytes:
    """`data` whose main graph has operators `first` to `first + count` only.

    Args:
        data: a file that `tflite_schema.read_model` accepts.
        inputs, outputs: tensors of the part.
    """
    source = Flatbuffer(data, where)
    subgraph = root(source, "Model").get("subgraphs")[0]
    made = bytearray(data + b"\0" * (-len(data) % 4))
    place = subgraph.place("operators")
    start = source.follow(place) + 4 * first
    struct.pack_into("<I", made, start, count)
    struct.pack_into("<I", made, place, start - place)
    for name, indices in (("inputs", inputs), ("outputs", outputs)):
        place = subgraph.place(name)
        if not place:
            raise source.fail(f"its graph has no {name}")
        struct.pack_into("<I", made, place, len(made) - place)
        made += struct.pack(f"<I{len(indices)}i", len(indices), *indices)
    return bytes(made)


def borders(model: TfliteModel, first: int, count: int) -> "tuple[list[int], list[int]]":
    """(tensors that operators `first` to `first + count` read from elsewhere, tensors they make)."""
    graph = model.main
    part = graph.operators[first : first + count]
    made = [index for operator in part for index in operator.outputs if index >= 0]
    read = [index for operator in part for index in operator.inputs if index >= 0]
    known = set(made)
    foreign = [
        i for i in dict.fromkeys(read) if i not in known and not graph.tensors[i].is_constant
    ]
    return foreign, made
