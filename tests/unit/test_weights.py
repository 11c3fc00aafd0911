"""Weights in and out: the same values come back, nothing from a file is executed, every error names its cause."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from edgepress.compress.archives import npz_bytes
from edgepress.compress.weights import load_weights, save_weights
from edgepress.runtime.errors import InputError
from edgepress.runtime.files import sha256_file
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn


def _net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def _same(a: nn.Module, b: nn.Module) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return all(torch.equal(left[key], right[key]) for key in left)


def _arrays(model: nn.Module) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in model.state_dict().items()}


def _refused(path: Path, message: str) -> None:
    """Loading fails with `message` and leaves the model alone."""
    model = _net(1)
    with pytest.raises(InputError, match=message) as caught:
        load_weights(model, path)
    assert str(path) in str(caught.value)
    assert _same(model, _net(1))


def _save_npz(model: nn.Module, path: Path) -> None:
    save_weights(model, path)


def _save_pt(model: nn.Module, path: Path) -> None:
    torch.save(model.state_dict(), path)


def _save_wrapped(model: nn.Module, path: Path) -> None:
    parallel = {f"module.{k}": v for k, v in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": parallel}, path)


def _save_legacy(model: nn.Module, path: Path) -> None:
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)


def _save_safetensors(model: nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(model.state_dict(), path)


SAVERS = (_save_npz, _save_pt, _save_wrapped, _save_legacy, _save_safetensors)


@pytest.mark.parametrize("save", SAVERS)
def test_every_format_is_known_by_its_content(save, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    save(_net(0), path)
    model = _net(1)
    assert load_weights(model, path) == sha256_file(path)
    assert _same(model, _net(0))


@pytest.mark.parametrize("save", SAVERS)
def test_cut_short_anywhere_it_is_refused(save, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    save(_net(0), path)
    data = path.read_bytes()
    for part in (1, 9, len(data) // 3, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:part])
        _refused(path, "damaged|neither|cut short|not a plain|misses")


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x10" + b"\0" * 7 + b"{"]),
)
def test_random_bytes_are_refused(data: bytes, head: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        path.write_bytes(head + data)
        with pytest.raises(InputError):
            load_weights(_net(), path)


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    state = _arrays(_net())
    first = save_weights(state, tmp_path / "a.npz").read_bytes()
    second = save_weights(dict(reversed(state.items())), tmp_path / "b.npz").read_bytes()
    assert first == second
    assert set(np.load(tmp_path / "a.npz").files) == set(state)


class _Bomb:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("new", [True, False])
def test_pickled_code_is_refused_and_never_runs(new: bool, tmp_path: Path) -> None:
    path, marker = tmp_path / "bomb.pt", tmp_path / "ran"
    torch.save({"weight": _Bomb(marker)}, path, _use_new_zipfile_serialization=new)
    _refused(path, "pickled Python objects, which are never executed")
    assert not marker.exists()


def test_a_whole_pickled_module_is_refused_with_what_to_save(tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    torch.save(_net(), path)
    _refused(path, r"never executed: torch\.nn(.|\n)*model\.state_dict\(\)")


def test_arrays_of_python_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, **{"0.weight": np.array([{}, 1], dtype=object)})
    _refused(path, "0.weight holds pickled Python objects")


@pytest.mark.parametrize(
    "name", ["../0.weight.npy", "/etc/x.npy", "a/b.npy", "c:\\x.npy", "readme.txt"]
)
def test_members_with_paths_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tricky.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    _refused(path, "not a plain .npy member")


@pytest.mark.parametrize("key", ["0.weight", "unknown"])
def test_a_header_that_claims_a_huge_array_is_refused_unread(key: str, tmp_path: Path) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    )
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{key}.npy", content.getvalue())
    _refused(path, "has shape|cut short")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_name_the_tensor(value: float, tmp_path: Path) -> None:
    arrays = {k: v.copy() for k, v in _arrays(_net()).items()}
    arrays["3.weight"][1, 2] = value
    (tmp_path / "bad.npz").write_bytes(npz_bytes(arrays))
    _refused(tmp_path / "bad.npz", "1 of 24 values of 3.weight are NaN or infinite")


def test_a_value_beyond_the_model_s_type_is_refused(tmp_path: Path) -> None:
    arrays = _arrays(_net())
    arrays["3.bias"] = np.array([1e300, 0, 0])
    (tmp_path / "big.npz").write_bytes(npz_bytes(arrays))
    _refused(tmp_path / "big.npz", "a value of 3.bias is too large")


def test_missing_unexpected_and_misshapen_keys_are_named(tmp_path: Path) -> None:
    arrays = _arrays(_net())
    without = {k: v for k, v in arrays.items() if k != "3.bias"}
    (tmp_path / "a.npz").write_bytes(npz_bytes(without))
    _refused(tmp_path / "a.npz", "misses 3.bias")
    (tmp_path / "b.npz").write_bytes(npz_bytes({**arrays, "4.bias": arrays["3.bias"]}))
    _refused(tmp_path / "b.npz", "has the unknown 4.bias")
    (tmp_path / "c.npz").write_bytes(npz_bytes({**arrays, "3.bias": np.zeros(4, np.float32)}))
    _refused(tmp_path / "c.npz", r"3.bias has shape \[4\], the model needs \[3\]")
    (tmp_path / "d.npz").write_bytes(npz_bytes({**arrays, "3.bias": np.array(["a", "b", "c"])}))
    _refused(tmp_path / "d.npz", "3.bias holds <U1, not numbers")


def test_counters_of_batch_norm_may_be_missing(tmp_path: Path) -> None:
    arrays = {k: v for k, v in _arrays(_net(0)).items() if "num_batches" not in k}
    (tmp_path / "a.npz").write_bytes(npz_bytes(arrays))
    model = _net(1)
    load_weights(model, tmp_path / "a.npz")
    assert _same(model, _net(0))


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    _refused(tmp_path / "list.pt", "not a dictionary of tensors")


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    _refused(tmp_path / "none.npz", "cannot read the file")
