"""CIFAR-10: ten classes of 32x32 RGB photos (Krizhevsky, Learning Multiple Layers of Features, 2009).

Files below `cifar10/`: 40 lossless WebP mosaics of 1,000 training images each, `train_labels.npz`, the first 1,000
test images exactly (`test`), 4,500 others as JPEG (`test_jpeg`: accuracies there are about 11 points lower, never
mix the two). From the 40,000 training images 3,000 are held out for validation, 4,000 as `test_holdout` (for
networks trained here; a network trained elsewhere on all 50,000 has seen them) and 1,000 for calibration.

Input: raw pixels 0..255, [3,32,32] RGB. Normalisation: mean .485 .456 .406, std .229 .224 .225 of pixel / 255.
Decoded images stay in memory and are never written.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.artifact import Normalisation
from ...runtime.errors import InputError, MissingToolError
from ..task import Array, Split, Task
from .augment import crop_and_flip
from .files import combined_sha256, find, read_arrays, shuffled
from .judging import ACCURACY, accuracy, cross_entropy

if TYPE_CHECKING:
    import torch

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MOSAICS = tuple(f"train_{index:02d}.webp" for index in range(40))
FILES = (*MOSAICS, "train_labels.npz", "test_exact_1000.npz", "test_jpeg_4500.npz")
PER_MOSAIC = 1000
HELD_OUT = (("validation", 3000), ("test_holdout", 4000), ("calibration", 1000))
"""Taken in this order from a fixed shuffle of the training images; the rest is `train`."""
SOURCE = (
    "CIFAR-10, A. Krizhevsky 2009; no formal licence, research and benchmark use, cite the report"
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RAW = Normalisation(tuple(255 * m for m in MEAN), tuple(255 * s for s in STD))


def make(name: str, root: Path | None) -> Task:
    """The task over `root`/cifar10."""
    paths = find(root, "cifar10", FILES)
    folder = paths[0].parent
    parts = ("train", "validation", "calibration", "test_holdout")
    return Task(
        name=name,
        kind="classification",
        metric=ACCURACY,
        input_shapes=((3, 32, 32),),
        loaders={
            **{split: functools.partial(_training_part, folder, split) for split in parts},
            "test": lambda: _test(folder),
            "test_jpeg": lambda: _test_jpeg(folder),
        },
        loss=cross_entropy,
        score=accuracy,
        labels=LABELS,
        normalisation=RAW,
        augment=_augment,
        data_sha256=combined_sha256(paths),
        sources=(SOURCE,),
    )


def training_indices(split: str) -> Array:
    """Sorted positions, among the 40,000, of a part of the training images."""
    order = shuffled(len(MOSAICS) * PER_MOSAIC, seed=10)
    start = 0
    for name, count in HELD_OUT:
        if name == split:
            return np.sort(order[start : start + count])
        start += count
    return np.sort(order[start:])


def _augment(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return crop_and_flip(batch, generator, margin=4)


def _training_part(folder: Path, split: str) -> Split:
    rows = training_indices(split)
    labels = read_arrays(folder / "train_labels.npz", ("y_train",))["y_train"]
    images = np.empty((len(rows), 3, 32, 32), np.uint8)
    for index in range(len(MOSAICS)):
        mine = np.flatnonzero(rows // PER_MOSAIC == index)
        images[mine] = _mosaic(folder / MOSAICS[index])[rows[mine] % PER_MOSAIC]
    return Split(split, (images,), labels[rows].astype(np.int64))


def _test(folder: Path) -> Split:
    arrays = read_arrays(folder / "test_exact_1000.npz", ("x_test", "y_test"))
    images = np.ascontiguousarray(arrays["x_test"].transpose(0, 3, 1, 2))
    return Split("test", (images,), arrays["y_test"].astype(np.int64))


def _test_jpeg(folder: Path) -> Split:
    path = folder / "test_jpeg_4500.npz"
    targets = read_arrays(path, ("y",))["y"].astype(np.int64)
    return Split("test_jpeg", (_decoded_jpegs(path),), targets)


@functools.lru_cache(maxsize=1)
def _decoded_jpegs(path: Path) -> Array:
    arrays = read_arrays(path, ("jpeg", "offset"))
    data, offset = arrays["jpeg"].tobytes(), arrays["offset"]
    spans = zip(offset[:-1], offset[1:], strict=True)
    images = np.stack([_decode(data[start:end], path) for start, end in spans])
    return _shared(images.transpose(0, 3, 1, 2))


def _shared(images: Array) -> Array:
    """Contiguous and not writable: the caches below hand the same array out again and again."""
    contiguous = np.ascontiguousarray(images)
    contiguous.setflags(write=False)
    return contiguous


@functools.lru_cache(maxsize=len(MOSAICS))
def _mosaic(path: Path) -> Array:
    """uint8 [1000,3,32,32] of one mosaic: 25 rows of 40 tiles."""
    pixels = _decode(path.read_bytes(), path)
    if pixels.shape != (800, 1280, 3):
        raise InputError(
            f"the mosaic has shape {pixels.shape}, expected (800, 1280, 3)", where=str(path)
        )
    tiles = pixels.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3)
    return _shared(tiles.reshape(PER_MOSAIC, 3, 32, 32))


def _decode(data: bytes, path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingToolError(
            "decoding CIFAR-10 needs Pillow", hint="pip install 'edgepress[torch]'"
        ) from error
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except Exception as error:  # Pillow raises a large family of errors
        raise InputError(f"the image is damaged ({error})", where=str(path)) from error
