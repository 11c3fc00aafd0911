"""Damage to inputs: the same every time, worse with every severity, of the shape and range it came in."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.compress.datasets.corruptions import SEVERITIES, corrupt, kinds_for
from edgepress.runtime.errors import UsageError

IMAGE_KINDS, SERIES_KINDS = kinds_for((3, 32, 32)), kinds_for((6, 40))


def _images(count: int = 24) -> np.ndarray:
    """Smooth structures with edges, as photos have them; uint8 [N,3,32,32]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:32, 0:32] / 32
    waves = [
        0.5
        + 0.3 * np.sin(2 * np.pi * (f[0] * x + f[1] * y) + f[2])
        + 0.2 * ((x - f[3]) ** 2 < 0.02)
        for f in rng.uniform(0, 4, (count * 3, 4)) % np.array([4, 4, 6.3, 1])
    ]
    return (np.clip(waves, 0, 1) * 255).astype(np.uint8).reshape(count, 3, 32, 32)


def _series(count: int = 24) -> np.ndarray:
    """Swings of different speed and size per channel; float32 [N,6,40]."""
    rng = np.random.default_rng(1)
    time = np.arange(40) / 20
    speed, phase = rng.uniform(0.5, 3, (count, 6, 1)), rng.uniform(0, 6.3, (count, 6, 1))
    sizes = np.array([9, 6, 3, 2, 1, 0.5])[:, None] * rng.uniform(0.2, 2, (count, 1, 1))
    return (sizes * np.sin(2 * np.pi * speed * time + phase)).astype(np.float32)


CASES = [*((kind, _images) for kind in IMAGE_KINDS), *((kind, _series) for kind in SERIES_KINDS)]


@pytest.mark.parametrize(("kind", "make"), CASES)
def test_distortion_grows_with_severity(kind: str, make: object) -> None:
    clean = make()  # type: ignore[operator]
    before = clean.copy()
    distances = [
        float(np.mean((corrupt(clean, kind, s).astype(float) - clean) ** 2)) for s in SEVERITIES
    ]
    assert distances[0] > 0
    assert all(a < b for a, b in zip(distances, distances[1:], strict=False)), distances
    assert np.array_equal(clean, before)


@pytest.mark.parametrize(("kind", "make"), CASES)
def test_damage_is_repeatable_and_keeps_form_and_range(kind: str, make: object) -> None:
    clean = make()  # type: ignore[operator]
    once, again = corrupt(clean, kind, 3), corrupt(clean, kind, 3)
    assert np.array_equal(once, again)
    assert once.dtype == clean.dtype and once.shape == clean.shape
    assert np.isfinite(once.astype(float)).all()


def test_random_kinds_follow_the_seed() -> None:
    images = _images(4)
    for kind in ("gaussian-noise", "shot-noise", "impulse-noise", "fog", "occlusion"):
        assert not np.array_equal(
            corrupt(images, kind, 3, seed=0), corrupt(images, kind, 3, seed=1)
        )


def test_what_two_kinds_are_on_paper() -> None:
    """Brightness adds its share of the range; clipping ends at its number of deviations."""
    flat = np.full((1, 1, 8, 8), 100, np.uint8)
    assert (corrupt(flat, "brightness", 1) == round(100 + 0.08 * 255)).all()
    series = np.random.default_rng(0).standard_normal((50, 2, 40))
    clipped = corrupt(series, "clipping", 4)
    deviations = (clipped - series.mean((0, 2), keepdims=True)) / series.std((0, 2), keepdims=True)
    assert np.abs(deviations).max() == pytest.approx(1.0, rel=1e-5)


def test_images_of_floats_keep_their_own_range() -> None:
    images = _images().astype(np.float32) / 255 * 3 - 1
    worse = corrupt(images, "gaussian-noise", 5)
    assert worse.min() >= images.min() - 1e-5 and worse.max() <= images.max() + 1e-5


def test_jpeg_of_odd_sizes_and_of_flat_images() -> None:
    """A constant block has one coefficient; sides that are no multiple of 8 come back in full."""
    images = _images(2)[:, :, :29, :27]
    assert corrupt(images, "jpeg", 2).shape == images.shape
    flat = np.full((1, 1, 16, 16), 128, np.uint8)
    assert np.unique(corrupt(flat, "jpeg", 1)).size == 1


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="no corruption 'fogg'"):
        corrupt(_images(1), "fogg", 1)
    with pytest.raises(UsageError, match="no corruption 'fog'"):
        corrupt(_series(1), "fog", 1)
    with pytest.raises(UsageError, match="severity is 6"):
        corrupt(_images(1), "fog", 6)
    with pytest.raises(UsageError, match="no corruptions for inputs of shape"):
        kinds_for((640,))
