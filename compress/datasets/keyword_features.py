"""Keyword features: 700 MFCC inputs of MLPerf Tiny's keyword spotting, with 12 classes. For judging only.

File: `kws_mlperf_tiny/kws01_700.npz`, the int8 values the reference model takes; here they are real values again,
0.5847029 * (q - 83), float32 [1,49,10]. All of them are test data: there is nothing to train, validate or calibrate
with, and asking for it is an error. Networks for these features come trained; quantize them with features of your own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..task import Split, Task
from .files import combined_sha256, find, read_arrays
from .judging import ACCURACY, accuracy, cross_entropy

FILE = "kws01_700.npz"
SCALE, ZERO_POINT = 0.5847029, 83
LABELS = ("Down", "Go", "Left", "No", "Off", "On", "Right", "Stop", "Up", "Yes", "Silence", "Unknown")  # fmt: skip
SOURCE = (
    "MLPerf Tiny kws01 (700 of 1,000), from Speech Commands v2, P. Warden 2018; CC BY 4.0; "
    "features as the int8 reference model takes them"
)
LIMITS = (
    "its 700 samples are test data: they judge finished models and must not train, validate or calibrate "
    "them; bring features of your own as a task, or use spoken-digits"
)


def make(name: str, root: Path | None) -> Task:
    """The task over `root`/kws_mlperf_tiny."""
    (path,) = find(root, "kws_mlperf_tiny", (FILE,))
    return Task(
        name=name,
        kind="classification",
        metric=ACCURACY,
        input_shapes=((1, 49, 10),),
        loaders={"test": lambda: _load(path)},
        loss=cross_entropy,
        score=accuracy,
        labels=LABELS,
        data_sha256=combined_sha256([path]),
        sources=(SOURCE,),
        limits=LIMITS,
    )


def _load(path: Path) -> Split:
    arrays = read_arrays(path, ("x", "y"))
    values = (arrays["x"].astype(np.float32) - ZERO_POINT) * np.float32(SCALE)
    return Split("test", (values.transpose(0, 3, 1, 2),), arrays["y"].astype(np.int64))
