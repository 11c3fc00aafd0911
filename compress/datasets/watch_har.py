"""Watch HAR: which of seven hand activities, from two seconds of a smartwatch's accelerometer and gyroscope.

WISDM Smartphone and Smartwatch Activity and Biometrics Dataset (Weiss, IEEE Access 7, 2019): 20 Hz, windows of
40 samples that do not overlap. Input [6,40]: acc x, y, z in m/s^2, gyroscope x, y, z in rad/s.

`watch-har` splits by subject, so that test people are strangers; it reads `har/wisdm_watch_hand7_w40.npz` from
the data folder if it is there, else the bundled subset of 20 subjects (`watch-har-subset` always reads that one).
`watch-har-window` splits at random and has the same people in train and test: only for comparison with papers
that do so. Calibration windows are taken out of the train part; the normalisation is that of the train part.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...runtime.artifact import Normalisation
from ..task import Array, Split, Task
from .files import combined_sha256, find, read_arrays, shuffled
from .judging import ACCURACY, accuracy, cross_entropy

FULL = "wisdm_watch_hand7_w40.npz"
BUNDLED = Path(__file__).parent / "bundled" / "watch_har.npz"
CALIBRATION_WINDOWS = 512
PARTS = {"train": 0, "validation": 1, "test": 2}
_KEYS = ("scale", "y", "class_names")
SOURCE = "WISDM Lab, Fordham University; Weiss, IEEE Access 7, 2019; UCI 507; CC BY 4.0"


def make(name: str, root: Path | None) -> Task:
    """The task; only `watch-har-window` needs the data folder."""
    path = _choose(name, root)
    by = "split_window" if name == "watch-har-window" else "split_subject"
    small = path == BUNDLED
    mean, std = _statistics(path, by)
    return Task(
        name=name,
        kind="classification",
        metric=ACCURACY,
        input_shapes=((6, 40),),
        loaders={
            split: partial(_load, path, by, split)
            for split in ("train", "validation", "test", "calibration")
        },
        loss=cross_entropy,
        score=accuracy,
        labels=tuple(str(label) for label in read_arrays(path, _KEYS)["class_names"]),
        normalisation=Normalisation(mean, std),
        data_sha256=combined_sha256([path]),
        sources=(f"{SOURCE}; {'bundled subset' if small else FULL}, {by}",),
        options={"split": by, "subset": small},
    )


def _choose(name: str, root: Path | None) -> Path:
    if name == "watch-har-window":
        return find(root, "har", [FULL])[0]
    full = root / "har" / FULL if root else None
    return full if name == "watch-har" and full and full.is_file() else BUNDLED


def _indices(path: Path, by: str, split: str) -> Array:
    parts = read_arrays(path, (by,))[by]
    if split not in ("train", "calibration"):
        return np.flatnonzero(parts == PARTS[split])
    train = np.flatnonzero(parts == PARTS["train"])
    chosen = shuffled(len(train), seed=40)[:CALIBRATION_WINDOWS]
    return train[chosen] if split == "calibration" else np.delete(train, chosen)


def _load(path: Path, by: str, split: str) -> Split:
    rows = _indices(path, by, split)
    scale = read_arrays(path, _KEYS)["scale"].astype(np.float32)
    windows = samples(path)[rows].astype(np.float32) * scale[:, None]
    return Split(split, (windows,), read_arrays(path, _KEYS)["y"][rows].astype(np.int64))


def samples(path: Path) -> Array:
    """int16 [windows, 6, 40] of the full file (`x_q`, time first) or the bundled one (low and high bytes)."""
    if path != BUNDLED:
        return read_arrays(path, ("x_q",))["x_q"].transpose(0, 2, 1)
    halves = read_arrays(path, ("x_low", "x_high"))
    return (halves["x_high"].astype(np.int16) << 8) | halves["x_low"].astype(np.int16)


def _statistics(path: Path, by: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Channel mean and standard deviation of the whole train part, calibration windows included."""
    train = np.flatnonzero(read_arrays(path, (by,))[by] == PARTS["train"])
    scale = read_arrays(path, _KEYS)["scale"].astype(np.float64)
    values = samples(path)[train].astype(np.float64).transpose(1, 0, 2).reshape(6, -1)
    return (
        tuple(round(float(v), 6) for v in values.mean(1) * scale),
        tuple(round(float(v), 6) for v in values.std(1) * scale),
    )
