"""Log-mel frames of spoken digits, for an autoencoder: the model gives back what it is fed.

Computed from the audio in `fsdd/fsdd_audio.npz` (8 kHz) with the durations of MLPerf Tiny's anomaly detection
(Koizumi et al., DCASE 2020 task 2): frames of 64 ms (512 samples, symmetric Hann window, zero-padded to an FFT of
1024 so that no mel band is empty), hop 32 ms (256 samples), power spectrum, 128 triangular mel bands 60-4000 Hz
(mel = 2595 log10(1 + f / 700)), 10 log10(p + 1e-6) dB with samples in [-1, 1). One input is five frames in a row,
frame by frame: [640]; windows advance by one frame. Clips shorter than five frames get zeros behind.

Normalisation: one mean and one deviation for all values. Targets are the normalised inputs, so the metric is the
mean squared reconstruction error in units of that deviation squared. Splits by take as in `spoken_digits`.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ...runtime.artifact import Normalisation
from ..task import Array, Split, Task
from .files import combined_sha256, find, read_arrays
from .judging import SQUARED_ERROR, mean_squared_error, squared_error
from .spoken_digits import SOURCE, TAKES, rows_of

FILE = "fsdd_audio.npz"
RATE_HZ, WINDOW, HOP, FFT = 8000, 512, 256, 1024
BANDS, LOW_HZ, HIGH_HZ = 128, 60.0, 4000.0
FRAMES = 5
FLOOR = 1e-6
MEAN_DB, STD_DB = -17.8, 15.8
"""Of the windows of takes 5-37, rounded."""


def make(name: str, root: Path | None) -> Task:
    """The task over `root`/fsdd."""
    (path,) = find(root, "fsdd", (FILE,))
    return Task(
        name=name,
        kind="regression",
        metric=SQUARED_ERROR,
        input_shapes=((BANDS * FRAMES,),),
        loaders={split: functools.partial(_load, path, split) for split in TAKES},
        loss=squared_error,
        score=mean_squared_error,
        normalisation=Normalisation((MEAN_DB,), (STD_DB,)),
        data_sha256=combined_sha256([path]),
        sources=(SOURCE,),
    )


def log_mel(samples: Array) -> Array:
    """float32 [frames, 128] in dB of int16 samples; at least `FRAMES` frames."""
    needed = WINDOW + (FRAMES - 1) * HOP
    signal = np.zeros(max(needed, len(samples)), np.float64)
    signal[: len(samples)] = samples / 32768.0
    starts = np.arange(0, len(signal) - WINDOW + 1, HOP)
    frames = signal[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2
    decibels = 10.0 * np.log10(power @ mel_filters().T + FLOOR)
    return np.asarray(decibels, dtype=np.float32)


@functools.lru_cache(maxsize=1)
def mel_filters() -> Array:
    """[bands, FFT bins]: triangles with corners equally spaced in mel, peak 1."""
    mel = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    hz = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    bins = np.arange(FFT // 2 + 1) * RATE_HZ / FFT
    low, centre, high = hz[:-2, None], hz[1:-1, None], hz[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    filters: Array = np.maximum(0.0, np.minimum(rising, falling))
    return filters


def _mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def windows(spectrum: Array) -> Array:
    """[frames, 128] -> [frames - 4, 640], each row five frames one after the other."""
    starts = np.arange(len(spectrum) - FRAMES + 1)
    return spectrum[starts[:, None] + np.arange(FRAMES)].reshape(len(starts), -1)


@functools.lru_cache(maxsize=len(TAKES))
def _features(path: Path, split: str) -> Array:
    arrays = read_arrays(path, ("pcm", "offset", "take"))
    pcm, offset = arrays["pcm"], arrays["offset"]
    rows = rows_of(arrays["take"], split)
    cut = np.concatenate([windows(log_mel(pcm[offset[i] : offset[i + 1]])) for i in rows])
    cut.setflags(write=False)  # the cache hands the same array out again and again
    return cut


def _load(path: Path, split: str) -> Split:
    values = _features(path, split)
    targets = (values - np.float32(MEAN_DB)) / np.float32(STD_DB)
    return Split(split, (values,), targets)
