"""Data sets as tasks: splits that never overlap, the documented counts, clear errors."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from edgepress.compress import datasets
from edgepress.compress.archives import npz_bytes
from edgepress.compress.datasets import (
    cifar10,
    files,
    mnist,
    spoken_digits,
    spoken_frames,
    watch_har,
)
from edgepress.compress.datasets.augment import crop_and_flip
from edgepress.compress.task import SPLITS, Split, Task
from edgepress.runtime.errors import InputError, UsageError
from edgepress.runtime.files import sha256_bytes
from edgepress.tools import make_har_subset
from support.data import need_data

COUNTS = {
    "watch-har": (16822, 5519, 5572, 512),
    "watch-har-window": (16547, 5683, 5683, 512),
    "cifar10": (32000, 3000, 1000, 1000),
    "mnist": (54000, 5000, 5000, 1000),
    "spoken-digits": (1650, 250, 250, 100),
    "spoken-digits-frames": (12273, 1791, 1802, 671),
}
"""Samples in train, validation, test, calibration."""
FOLDERS = {
    "watch-har": "har",
    "watch-har-window": "har",
    "cifar10": "cifar10",
    "mnist": "mnist",
    "spoken-digits": "fsdd",
    "spoken-digits-frames": "fsdd",
    "keyword-features": "kws_mlperf_tiny",
}


def _task(name: str) -> Task:
    return datasets.task(name, need_data(FOLDERS[name]).parent)


def _disjoint(parts: dict[str, set]) -> None:
    for (a, left), (b, right) in itertools.combinations(parts.items(), 2):
        assert not left & right, f"{a} and {b} share {len(left & right)} samples"


def _contents(split: Split) -> set[bytes]:
    return {hashlib.blake2b(row.tobytes(), digest_size=12).digest() for row in split.inputs[0]}


@pytest.mark.parametrize("name", COUNTS)
def test_splits_have_the_documented_sizes_and_shapes(name: str) -> None:
    task = _task(name)
    splits = [task.load(split) for split in SPLITS]
    assert tuple(len(split) for split in splits) == COUNTS[name]
    for split in splits:
        assert split.inputs[0].shape[1:] == task.input_shapes[0]
        assert len(split.inputs[0]) == len(split)
        if task.labels:
            assert set(np.unique(split.targets)) == set(range(len(task.labels)))


@pytest.mark.parametrize("name", [n for n in COUNTS if n != "cifar10"])
def test_the_normalisation_is_that_of_the_training_part(name: str) -> None:
    """CIFAR-10 has the one its pretrained networks were trained with."""
    task = _task(name)
    values = task.normalise(task.load("train").inputs[0])
    assert abs(float(values.mean())) < 0.02
    assert abs(float(values.std()) - 1) < 0.02


def test_cifar10_images_are_in_one_split_only() -> None:
    task = _task("cifar10")
    parts = {name: _contents(task.load(name)) for name in task.loaders}
    assert sum(len(part) for part in parts.values()) == 41000 + 4500  # no duplicates inside either
    _disjoint(parts)


def test_cifar10_pixels_and_labels_are_those_of_the_files() -> None:
    """The first mosaic, decoded another way; channel means as published for the training images."""
    from PIL import Image

    folder = need_data("cifar10")
    rows = cifar10.training_indices("train")
    train = _task("cifar10").load("train")
    pixels = np.asarray(Image.open(folder / "train_00.webp").convert("RGB"))
    tile = int(rows[7])
    row, column = divmod(tile, 40)
    expected = pixels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
    assert np.array_equal(train.inputs[0][7].transpose(1, 2, 0), expected)
    means = train.inputs[0].mean((0, 2, 3)) / 255
    assert np.allclose(means, [0.49140, 0.48216, 0.44653], atol=0.002)
    labels = np.load(folder / "train_labels.npz")["y_train"]
    assert np.array_equal(train.targets, labels[rows])


def test_cifar10_test_images_need_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    task = _task("cifar10")
    monkeypatch.setattr(cifar10, "_decode", None)
    assert len(task.load("test")) == 1000


def test_training_indices_are_cut_without_rest() -> None:
    parts = [
        cifar10.training_indices(n) for n in ("train", "validation", "calibration", "test_holdout")
    ]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(40000))
    parts = [mnist.training_indices(n) for n in ("train", "validation", "calibration")]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(60000))


@pytest.mark.parametrize("bundled", [True, False])
def test_watch_people_are_in_one_split_only(bundled: bool) -> None:
    path = watch_har.BUNDLED if bundled else need_data("har") / watch_har.FULL
    subject = files.read_arrays(path, ("subject",))["subject"]
    rows = {split: watch_har._indices(path, "split_subject", split) for split in SPLITS}
    _disjoint({split: set(found.tolist()) for split, found in rows.items()})
    people = {split: set(subject[found].tolist()) for split, found in rows.items()}
    assert people.pop("calibration") <= people["train"]
    _disjoint(people)


def test_watch_windows_are_the_file_s_in_si_units() -> None:
    full = np.load(need_data("har") / watch_har.FULL)
    rows = np.flatnonzero(full["split_subject"] == 2)
    expected = full["x_q"][rows].astype(np.float32) * full["scale"]
    found = _task("watch-har").load("test")
    assert np.array_equal(found.inputs[0].transpose(0, 2, 1), expected)
    assert np.array_equal(found.targets, full["y"][rows])


def test_the_bundled_recordings_are_what_the_tool_makes() -> None:
    source = need_data("har") / watch_har.FULL
    arrays = make_har_subset.subset(files.read_arrays(source, np.load(source).files))
    archive = watch_har.BUNDLED.read_bytes()
    assert len(archive) <= 5_000_000
    stored = np.load(watch_har.BUNDLED)
    assert set(stored.files) == set(arrays)
    assert all(np.array_equal(stored[key], arrays[key]) for key in arrays)
    page = watch_har.BUNDLED.with_suffix(".md").read_text()
    assert sha256_bytes(archive) in page
    assert "CC BY 4.0" in page


def test_the_bundled_recordings_hold_whole_people_and_all_activities() -> None:
    task = datasets.task("watch-har-subset")
    assert [len(task.load(split)) for split in SPLITS] == [6958, 2493, 2486, 512]
    assert all(len(np.unique(task.load(split).targets)) == 7 for split in SPLITS)


def test_the_full_recordings_are_used_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    root = need_data("har").parent
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    assert datasets.task("watch-har").options["subset"]
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(root))
    assert not datasets.task("watch-har").options["subset"]
    assert datasets.task("watch-har-subset").options["subset"]


def test_spoken_takes_are_in_one_split_only() -> None:
    takes = {s: set(range(*spoken_digits.TAKES[s])) for s in spoken_digits.TAKES}
    _disjoint(takes)
    assert takes["test"] == {0, 1, 2, 3, 4}
    assert set().union(*takes.values()) == set(range(45))


def test_a_tone_lights_up_its_mel_band() -> None:
    time_s = np.arange(4000) / spoken_frames.RATE_HZ
    tone = np.round(8000 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.int16)
    spectrum = spoken_frames.log_mel(tone)
    band = int(spectrum.mean(0).argmax())
    corners = np.linspace(*(2595 * np.log10(1 + hz / 700) for hz in (60, 4000)), 130)
    centre_hz = 700 * (10 ** (corners[band + 1] / 2595) - 1)
    assert abs(centre_hz - 1000) < 15
    assert spectrum.shape == ((4000 - 512) // 256 + 1, 128)


def test_no_mel_band_is_empty_and_silence_is_the_floor() -> None:
    assert (spoken_frames.mel_filters().max(1) > 0).all()
    silent = spoken_frames.log_mel(np.zeros(10, np.int16))
    assert silent.shape == (spoken_frames.FRAMES, 128)
    assert np.allclose(silent, -60)


def test_windows_are_five_frames_one_after_the_other() -> None:
    spectrum = np.arange(7 * 128, dtype=np.float32).reshape(7, 128)
    cut = spoken_frames.windows(spectrum)
    assert cut.shape == (3, 640)
    assert np.array_equal(cut[2], spectrum[2:7].reshape(-1))


def test_the_autoencoder_s_target_is_its_normalised_input() -> None:
    task = _task("spoken-digits-frames")
    split = task.load("test")
    assert np.array_equal(split.targets, task.normalise(split.inputs[0]))
    assert task.score(split.targets, split) == 0
    assert task.score([split.targets + 0.5], split) == pytest.approx(0.25, rel=1e-5)


def test_keyword_features_judge_and_do_nothing_else() -> None:
    task = _task("keyword-features")
    assert set(task.loaders) == {"test"}
    assert len(task.load("test")) == 700
    for split in ("train", "validation", "calibration"):
        with pytest.raises(UsageError, match="judge finished models"):
            task.load(split)


def test_keyword_features_go_back_to_the_file_s_integers() -> None:
    stored = np.load(need_data("kws_mlperf_tiny") / "kws01_700.npz")["x"]
    values = _task("keyword-features").load("test").inputs[0]
    assert np.array_equal(np.round(values[:, 0] / 0.5847029 + 83), stored[..., 0])


def test_an_unknown_split_names_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match="no split 'tset'.*\n.*train, validation, test, calibration"
    ):
        datasets.task("toy").load("tset")


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean spoken-digits"):
        datasets.task("spoken-digit")


@pytest.mark.parametrize("name", [n for n in FOLDERS if n != "watch-har"])
def test_missing_data_says_which_file_and_where_to_put_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    with pytest.raises(InputError, match="--data DIR or set EDGEPRESS_DATA"):
        datasets.task(name)
    with pytest.raises(InputError, match=rf"{FOLDERS[name]}/.*missing(.|\n)*put it there"):
        datasets.task(name, tmp_path)


def _mnist_folder(root: Path, train: bytes) -> Path:
    folder = root / "mnist"
    folder.mkdir(exist_ok=True)
    (folder / mnist.TRAIN).write_bytes(train)
    (folder / mnist.TEST).write_bytes(b"")
    return root


def test_damaged_data_is_one_clear_error(tmp_path: Path) -> None:
    archive = npz_bytes({"x_train": np.zeros((2, 28, 28), np.uint8)})
    for train, message in (
        (archive[:-9], "damaged"),
        (b"", "damaged"),
        (archive, "no array y_train"),
    ):
        task = datasets.task("mnist", _mnist_folder(tmp_path, train))
        with pytest.raises(InputError, match=message):
            task.load("train")


def test_the_hash_covers_every_file(tmp_path: Path) -> None:
    first = datasets.task("mnist", _mnist_folder(tmp_path, b"a")).data_sha256
    second = datasets.task("mnist", _mnist_folder(tmp_path, b"bb")).data_sha256
    (tmp_path / "mnist" / mnist.TEST).write_bytes(b"ccc")
    assert len({first, second, datasets.task("mnist", tmp_path).data_sha256}) == 3


def test_shuffling_never_changes() -> None:
    """Splits would move if it did."""
    order = files.shuffled(1000, seed=10)
    assert np.array_equal(np.sort(order), np.arange(1000))
    assert order[:6].tolist() == SHUFFLED_10
    assert not np.array_equal(order, files.shuffled(1000, seed=11))


SHUFFLED_10 = [114, 930, 728, 282, 492, 497]


def _cropped(batch: torch.Tensor, seed: int, margin: int) -> torch.Tensor:
    return crop_and_flip(batch, torch.Generator().manual_seed(seed), margin)


def test_crops_and_flips_are_shifts_of_the_image() -> None:
    batch = torch.arange(1, 1 + 6 * 3 * 5 * 5, dtype=torch.float32).reshape(6, 3, 5, 5)
    result = _cropped(batch, 0, 2)
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2))
    for image, changed in zip(padded, result, strict=True):
        crops = [image[:, y : y + 5, x : x + 5] for y in range(5) for x in range(5)]
        assert any(torch.equal(changed, c) or torch.equal(changed, c.flip(2)) for c in crops)
    assert torch.equal(result, _cropped(batch, 0, 2))
    assert not torch.equal(result, _cropped(batch, 1, 2))


def test_crops_of_margin_zero_only_mirror_and_do_so_half_the_time() -> None:
    batch = torch.arange(400 * 4, dtype=torch.float32).reshape(400, 1, 2, 2)
    result = _cropped(batch, 0, 0)
    mirrored = (result == batch.flip(3)).flatten(1).all(1)
    assert ((result == batch).flatten(1).all(1) | mirrored).all()
    assert 150 < int(mirrored.sum()) < 250
