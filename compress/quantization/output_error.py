"""How far outputs are from the float model's: one small table of figures for choosing and for reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_BEST_DB = 200.0
"""Said of outputs without any error."""


class OutputError:
    """Gathers one pair of outputs after the other.

    Args:
        classifier: whether the first output ranks classes; None: if it is one row of at least two numbers.
    """

    def __init__(self, classifier: bool | None = None):
        self.classifier = classifier
        self._signal: Array = np.zeros(0)
        self._noise: Array = np.zeros(0)
        self._largest = 0.0
        self._agree, self._divergence, self._samples = 0, 0.0, 0

    def add(self, expected: Sequence[Array], found: Sequence[Array]) -> None:
        """One sample: outputs of the float model and of the quantized one."""
        right = [np.asarray(v, np.float64) for v in expected]
        wrong = [np.asarray(v, np.float64) - r for v, r in zip(found, right, strict=True)]
        if not self._samples:
            self._signal, self._noise = np.zeros(len(right)), np.zeros(len(right))
        self._signal = self._signal + [np.square(v).sum() for v in right]
        self._noise = self._noise + [np.square(v).sum() for v in wrong]
        self._largest = max(self._largest, *(float(np.abs(v).max(initial=0.0)) for v in wrong))
        self._samples += 1
        self._classes(right[0], right[0] + wrong[0])

    def _classes(self, right: Array, found: Array) -> None:
        if self.classifier is None:
            self.classifier = right.ndim == 2 and right.shape[1] > 1
        if not self.classifier:
            return
        right, found = (v.reshape(-1, v.shape[-1]) for v in (right, found))
        p, q = _probabilities(right), _probabilities(found)
        self._agree += int(np.all(right.argmax(1) == found.argmax(1)))
        self._divergence += float(np.sum(p * (np.log(p) - np.log(q)), axis=1).mean())

    def values(self) -> dict[str, float]:
        """sqnr_db (of the worst output), max_error; for classifiers agreement (share) and kl (nats), too."""
        held = self._signal > 0
        ratio = np.full(len(self._signal), 10.0 ** (_BEST_DB / 10))
        np.divide(self._signal, self._noise, out=ratio, where=held & (self._noise > 0))
        worst = 10.0 * float(np.log10(ratio.min(initial=10.0 ** (_BEST_DB / 10))))
        found = {"sqnr_db": min(worst, _BEST_DB), "max_error": self._largest}
        if self.classifier and self._samples:
            found["agreement"] = self._agree / self._samples
            found["kl"] = self._divergence / self._samples
        return found


def _probabilities(values: Array) -> Array:
    """Softmax of rows, unless they are probabilities already; never 0."""
    if values.min() >= 0.0 and np.allclose(values.sum(axis=1), 1.0, atol=0.05):
        p = values
    else:
        p = np.exp(values - values.max(axis=1, keepdims=True))
    p = np.maximum(p, 1e-12)
    return np.asarray(p / p.sum(axis=1, keepdims=True))
