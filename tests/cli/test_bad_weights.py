"""Weights that cannot be used end in exit code 2 and one message; nothing is written, and code in them never runs."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.commands import call, refused

RANDOM = np.random.default_rng(7).integers(0, 256, 4096, np.uint8).tobytes()


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """Weights of the smallest network of the zoo."""
    import torch
    from edgepress.compress.zoo import build

    torch.manual_seed(0)
    return {key: value.numpy() for key, value in build("toy_cnn").state_dict().items()}


def export_toy(path: Path, out: Path) -> object:
    return call("export", "toy_cnn", "--weights", path, "--format", "onnx", "--out", out, "-q")


def test_weights_good_ones_are_taken(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "w.npz", **weights)
    assert export_toy(tmp_path / "w.npz", tmp_path / "out").code == 0


@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_truncated_npz_weights(
    tmp_path: Path, weights: dict[str, np.ndarray], share: float
) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, **weights)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(export_toy(path, tmp_path / "out"), "w.npz")
    refused(call("inspect", path), "w.npz")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["w.npz", "w.pt", "w.safetensors"])
@pytest.mark.parametrize("content", [RANDOM, b"", b"PK\x03\x04" + RANDOM, b"\x80\x02" + RANDOM])
def test_random_bytes_as_weights(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused(export_toy(path, tmp_path / "out"), name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(
    tmp_path: Path, weights: dict[str, np.ndarray], value: float
) -> None:
    key = next(k for k, v in weights.items() if v.dtype.kind == "f" and v.ndim > 1)
    spoilt = {**weights, key: weights[key].copy()}
    spoilt[key].flat[0] = value
    np.savez(tmp_path / "w.npz", **spoilt)
    refused(export_toy(tmp_path / "w.npz", tmp_path / "out"), "w.npz", key)


def test_weights_missing_unexpected_and_of_wrong_shape(
    tmp_path: Path, weights: dict[str, np.ndarray]
) -> None:
    key = next(k for k, v in weights.items() if v.ndim > 1)
    path, out = tmp_path / "w.npz", tmp_path / "out"
    np.savez(path, **{k: v for k, v in weights.items() if k != key})
    refused(export_toy(path, out), key)
    np.savez(path, **weights, extra=np.zeros(3))
    refused(export_toy(path, out), "extra")
    np.savez(path, **{**weights, key: weights[key][:1]})
    refused(export_toy(path, out), key)
    refused(export_toy(tmp_path / "none.npz", out), "none.npz", "no such file")
    refused(call("export", "toy_cnn", "--out", out), "without trained weights", "--weights")
    assert not out.exists()


class Payload:
    """Unpickling it runs a command."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.mark}",))


@pytest.mark.parametrize("form", ["pickle", "torch", "npz"])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, form: str) -> None:
    mark, path = tmp_path / "executed", tmp_path / "evil.pt"
    payload = Payload(mark)
    if form == "pickle":
        path.write_bytes(pickle.dumps(payload, protocol=2))
    elif form == "torch":
        import torch

        torch.save({"weight": payload}, path)
    else:
        path = path.with_suffix(".npz")
        array = np.empty(1, object)
        array[0] = payload
        with zipfile.ZipFile(path, "w") as archive, archive.open("weight.npy", "w") as stream:
            np.lib.format.write_array(stream, array, allow_pickle=True)
    refused(export_toy(path, tmp_path / "out"), path.name)
    if form == "npz":
        refused(call("inspect", path), path.name)
    assert not mark.exists() and not (tmp_path / "out").exists()


def test_an_archive_member_outside_its_folder(
    tmp_path: Path, weights: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, **weights)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../escaped.npy", b"x")
    refused(export_toy(path, tmp_path / "out"), "w.npz")
    assert not list(tmp_path.parent.rglob("escaped*"))
