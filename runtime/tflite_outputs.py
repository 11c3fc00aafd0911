"""A copy of a TFLite file in which inner tensors are outputs, too, so that an engine keeps them.

Kernels may write their result over an input nobody needs any more (TensorFlow 2.14's ADD does, even
in an interpreter told to preserve all tensors); a graph output is always needed. The new list is
appended to the file and the subgraph's offset pointed at it: nothing else moves.
"""

from __future__ import annotations

import struct
from typing import List

from .flatbuffer import Flatbuffer, root
from .tflite_model import TfliteModel


def with_inner_outputs(data: bytes, model: TfliteModel, where: str = "") -> bytes:
    """`data` with every computed tensor of the main subgraph behind its outputs.

    `model` is the parsed file. A file whose subgraph stores no outputs is given back as it is.
    """
    subgraph = root(Flatbuffer(data, where), "Model").get("subgraphs")[0]
    place = subgraph.place("outputs")
    if not place:
        return data
    outputs = _all_outputs(model)
    padded = bytearray(data + b"\0" * (-len(data) % 4))
    struct.pack_into("<I", padded, place, len(padded) - place)
    return bytes(padded) + struct.pack(f"<I{len(outputs)}i", len(outputs), *outputs)


def _all_outputs(model: TfliteModel) -> List[int]:
    main = model.main
    computed = [i for operator in main.operators for i in operator.outputs if i >= 0]
    inner = (i for i in computed if not main.tensors[i].is_variable)
    return list(dict.fromkeys([*main.outputs, *inner]))
