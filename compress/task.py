"""A task: how a model is fed and judged.

Inputs are numpy arrays of raw values in the model's own axis order (NCHW images, NCL series) with
the batch first; `Task.normalise` turns them into what the torch model was trained on. Splits are
loaded on demand and never overlap; `calibration` feeds observers, `test` is touched by reports only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.artifact import Normalisation
from ..runtime.errors import UsageError

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
SPLITS = ("train", "validation", "test", "calibration")


@dataclass(frozen=True)
class Split:
    """Raw inputs (one array per model input, equal first dimension) and their targets."""

    name: str
    inputs: tuple[Array, ...]
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)

    def head(self, count: int) -> Split:
        """The first `count` samples."""
        return Split(self.name, tuple(x[:count] for x in self.inputs), self.targets[:count])

    def spread(self, count: int) -> Split:
        """`count` samples at equal distances: splits often lie person by person or class by class."""
        if count >= len(self):
            return self
        rows = np.arange(count) * len(self) // max(count, 1)
        return Split(self.name, tuple(x[rows] for x in self.inputs), self.targets[rows])


@dataclass(frozen=True)
class Metric:
    """Name, unit and direction of the figure a task is judged by."""

    name: str
    unit: str
    higher_is_better: bool


@dataclass(frozen=True)
class Task:
    """How to feed and judge a model.

    Attributes:
        name: unique name, part of every cache key.
        kind: "classification", "regression", "anomaly" or "stream".
        metric: what `score` gives.
        input_shapes: one shape per model input, without the batch.
        labels: class names in output order, empty if there are none.
        normalisation: raw -> trained-on values for the first input, None if raw is what it takes.
        loaders: split name -> function that loads it; the four of `SPLITS`, further test splits
            under names starting with "test_".
        loss: (model output(s), targets) -> scalar torch tensor, differentiable.
        score: (output array(s) over a whole split, the split) -> the metric's value.
        augment: (batch tensor, torch generator) -> batch tensor, on normalised training batches; None for none.
        data_sha256: hash over the bytes of every file the splits are made of.
        sources: where the data comes from, for reports (name, licence).
        options: choices that made this task (which split rule, which subset), for reports.
        limits: why a split is not there, for data that cannot serve every purpose.
        seen: splits that the weights in hand were trained on elsewhere; scores on them say so.
    """

    name: str
    kind: str
    metric: Metric
    input_shapes: tuple[tuple[int, ...], ...]
    loaders: Mapping[str, Callable[[], Split]]
    loss: Callable[[Any, torch.Tensor], torch.Tensor]
    score: Callable[[Any, Split], float]
    labels: tuple[str, ...] = ()
    normalisation: Normalisation | None = None
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None
    data_sha256: str = ""
    sources: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    limits: str = ""
    seen: tuple[str, ...] = ()

    def load(self, split: str) -> Split:
        """Load a split by name; an unknown name is a `UsageError`."""
        if split not in self.loaders:
            known = ", ".join(self.loaders)
            hint = self.limits if self.limits and split in SPLITS else f"it has {known}"
            raise UsageError(f"task {self.name} has no split {split!r}", hint=hint)
        return self.loaders[split]()

    def normalise(self, raw: Array) -> Array:
        """float32 values the torch model takes: (raw - mean) / std along the channel axis."""
        values = np.asarray(raw, dtype=np.float32)
        norm = self.normalisation
        if norm is None:
            return values
        shape = [1] * values.ndim
        shape[norm.axis] = -1
        mean = np.asarray(norm.mean, np.float32).reshape(shape)
        std = np.asarray(norm.std, np.float32).reshape(shape)
        return np.asarray((values - mean) / std, dtype=np.float32)
