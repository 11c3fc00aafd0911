"""An exported C folder opened for comparison: compiled here, fed and read in real values. It shows no inner values.

One that keeps a state goes on from sample to sample (`parity_stream.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .parity_axes import settle_axes
from .parity_distance import Array


class CSubject:
    """A folder run by the native engine."""

    def __init__(self, path: Path, engine: str, layout: str = ""):
        from ..runtime.session import open_session

        self.path = Path(path)
        self.session: Any = open_session(self.path, engine or None)
        self.layout = layout

    def settle(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Find out where channels lie at the borders; see `parity_axes.settle_axes`."""
        self.session.artifact = settle_axes(
            self.session.artifact,
            [np.asarray(value).shape for value in inputs],
            [np.asarray(value).shape for value in outputs],
            self.layout,
        )

    def run(self, values: Sequence[Array]) -> list[Array]:
        """Real outputs for real inputs in ONNX's axis order."""
        from ..runtime.session import run_real

        return [
            np.asarray(value) for value in run_real(self.session, list(values), self.session.step)
        ]

    def output_step(self, index: int) -> float | None:
        """Quantization step of an output, None if it is float."""
        scale: float | None = self.session.artifact.outputs[index].scale
        return scale
