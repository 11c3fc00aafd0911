"""MNIST: handwritten digits, 28x28 grey (LeCun, Cortes, Burges).

Files below `mnist/`: `mnist_train.npz` (60,000) and `mnist_test_even.npz` (the 5,000 even-numbered test images).
5,000 training images are held out for validation, 1,000 for calibration. Input: raw pixels 0..255, [1,28,28];
normalisation: the training set's mean .13066 and deviation .30811 of pixel / 255.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...runtime.artifact import Normalisation
from ..task import Array, Split, Task
from .files import combined_sha256, find, read_arrays, shuffled
from .judging import ACCURACY, accuracy, cross_entropy

TRAIN, TEST = "mnist_train.npz", "mnist_test_even.npz"
VALIDATION, CALIBRATION = 5000, 1000
SOURCE = "MNIST, LeCun, Cortes, Burges; commonly stated as CC BY-SA 3.0; benchmark data only"


def make(name: str, root: Path | None) -> Task:
    """The task over `root`/mnist."""
    train, test = find(root, "mnist", (TRAIN, TEST))
    return Task(
        name=name,
        kind="classification",
        metric=ACCURACY,
        input_shapes=((1, 28, 28),),
        loaders={
            **{
                split: partial(_training_part, train, split)
                for split in ("train", "validation", "calibration")
            },
            "test": lambda: _split("test", test, "test", np.arange(5000)),
        },
        loss=cross_entropy,
        score=accuracy,
        labels=tuple("0123456789"),
        normalisation=Normalisation((0.13066 * 255,), (0.30811 * 255,)),
        data_sha256=combined_sha256([train, test]),
        sources=(SOURCE,),
    )


def training_indices(split: str) -> Array:
    """Sorted positions, among the 60,000, of a part of the training images."""
    order = shuffled(60000, seed=28)
    if split == "validation":
        return np.sort(order[:VALIDATION])
    order = order[VALIDATION:]
    return np.sort(order[:CALIBRATION] if split == "calibration" else order[CALIBRATION:])


def _training_part(path: Path, split: str) -> Split:
    return _split(split, path, "train", training_indices(split))


def _split(name: str, path: Path, part: str, rows: Array) -> Split:
    arrays = read_arrays(path, (f"x_{part}", f"y_{part}"))
    images = arrays[f"x_{part}"][rows][:, None]
    return Split(name, (images,), arrays[f"y_{part}"][rows].astype(np.int64))
