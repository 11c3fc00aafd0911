"""A QONNX file with the proof that it holds the network: imported again, it gives the same outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.artifact import FileMetadata
from ...runtime.errors import ParityError
from .check import RTOL, random_feeds, relative_difference, run
from .intake import from_onnx
from .metadata import write_metadata
from .to_qonnx import to_qonnx

SAMPLES = 3


def exchanged(hub: Any, metadata: FileMetadata) -> tuple[bytes, tuple[str, ...]]:
    """(bytes of the QONNX file of a hub, remarks on the proof).

    Raises:
        UnsupportedOperatorError: as `to_qonnx`.
        ParityError: imported again, the file is another network.
    """
    made = write_metadata(to_qonnx(hub), metadata)
    data: bytes = made.SerializeToString(deterministic=True)
    again = from_onnx(data, "the QONNX file")
    identical, worst = 0, 0.0
    for seed in range(SAMPLES):
        feeds = random_feeds(hub, seed)
        pairs = list(zip(run(hub, feeds), run(again, feeds), strict=True))
        identical += all(np.array_equal(a, b) for a, b in pairs)
        worst = max(worst, *(relative_difference(a, b) for a, b in pairs))
    if not worst <= RTOL:
        raise ParityError(
            f"the QONNX file, imported again, differs by {worst:.2g} of the largest output",
            hint="this is a fault of the conversion; please report the model's operators",
        )
    remark = (
        f"imported again: the same outputs bit for bit on {identical} of {SAMPLES} random inputs, "
        f"at most {worst:.1g} of the largest apart; weights are stored as float32"
    )
    return data, (remark,)
