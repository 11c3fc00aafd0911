"""Spoken digits: which digit was said, from log-mel features of 0.8 s of speech.

Free Spoken Digit Dataset, 5 speakers, 45 takes of each digit. File: `fsdd/fsdd_logmel.npz`, uint8 [2250,49,40]:
49 frames of 256 samples at 8 kHz, hop 128, 40 mel bands 60-4000 Hz, round(2 * (dB + 60)). Official split: takes 0-4
are test. Of the others, takes 40-44 validate, 38-39 calibrate, 5-37 train. Input: raw values 0..255, [1,49,40].
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...runtime.artifact import Normalisation
from ..task import Array, Split, Task
from .files import combined_sha256, find, read_arrays
from .judging import ACCURACY, accuracy, cross_entropy

FILE = "fsdd_logmel.npz"
TAKES = {"test": (0, 5), "train": (5, 38), "calibration": (38, 40), "validation": (40, 45)}
"""First take of each split, and the one behind its last."""
SOURCE = (
    "Free Spoken Digit Dataset, Zohar Jackson and contributors, commit 26eb9aaf; CC BY-SA 4.0; "
    "five speakers, takes 0-44"
)
MEAN, STD = 40.76, 44.32
"""Of the values of takes 5-44, the whole official training part."""


def make(name: str, root: Path | None) -> Task:
    """The task over `root`/fsdd."""
    (path,) = find(root, "fsdd", (FILE,))
    return Task(
        name=name,
        kind="classification",
        metric=ACCURACY,
        input_shapes=((1, 49, 40),),
        loaders={split: partial(_load, path, split) for split in TAKES},
        loss=cross_entropy,
        score=accuracy,
        labels=tuple("0123456789"),
        normalisation=Normalisation((MEAN,), (STD,)),
        data_sha256=combined_sha256([path]),
        sources=(SOURCE,),
    )


def rows_of(takes: Array, split: str) -> Array:
    """Positions of the clips whose take belongs to `split`."""
    first, end = TAKES[split]
    return np.flatnonzero((takes >= first) & (takes < end))


def _load(path: Path, split: str) -> Split:
    arrays = read_arrays(path, ("x", "y", "take"))
    rows = rows_of(arrays["take"], split)
    return Split(split, (arrays["x"][rows][:, None],), arrays["y"][rows].astype(np.int64))
