"""Weights in and out of a torch model without ever running code from a file.

    sha256 = load_weights(model, Path("resnet20.npz"))       # .npz, .pt/.pth or .safetensors, judged by content
    save_weights(model, Path("out.npz"))                     # the same bytes for the same values

Every key of the model must be there with its shape and finite values (`num_batches_tracked` counters may be
missing); every key of the file must be known. Archives are read in place, nothing is unpacked to disk.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.artifact import read_model_bytes
from ..runtime.errors import InputError, MissingToolError
from ..runtime.files import sha256_bytes, write_bytes
from .archives import npz_bytes, read_npz

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]
Reader = Callable[[bytes, str, Shapes], dict[str, Array]]

OPTIONAL = "num_batches_tracked"
WRAPPERS = ("state_dict", "model_state_dict", "model")


def load_weights(model: torch.nn.Module, path: Path) -> str:
    """Load the weights at `path` into `model` in place; gives the sha256 of the file.

    Raises:
        InputError: the file is missing, damaged, of another format, holds pickled code, or its keys, shapes or
            values do not fit; the model is untouched then.
    """
    import torch

    data = read_model_bytes(path)
    where = str(path)
    own = model.state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items()}
    found = _reader(data, where)(data, where, shapes)
    found = _without_prefix(found, shapes)
    _check_keys(found, shapes, where)
    for key, value in found.items():
        _check_values(key, value, shapes[key], where)
    loaded = {k: torch.tensor(np.ascontiguousarray(v)).to(own[k].dtype) for k, v in found.items()}
    for key, value in loaded.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"a value of {key} is too large for {own[key].dtype}", where=where)
    model.load_state_dict({**own, **loaded})
    return sha256_bytes(data)


def save_weights(source: torch.nn.Module | Mapping[str, Any], path: Path) -> Path:
    """Write a model's state (or a state dict of tensors or arrays) as an uncompressed .npz, whole or not at all."""
    state = source if isinstance(source, Mapping) else source.state_dict()
    return write_bytes(path, npz_bytes({key: _to_numpy(value) for key, value in state.items()}))


def _to_numpy(value: Any) -> Array:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _reader(data: bytes, where: str) -> Reader:
    """The format, judged by content."""
    if zipfile.is_zipfile(io.BytesIO(data)) or data[:4] == b"PK\x03\x04":
        return _read_torch if _is_torch_archive(data) else read_npz
    if data[:2] == b"\x80\x02":
        return _read_torch
    header = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and header < len(data):
        return _read_safetensors
    raise InputError(
        f"neither .npz nor a torch checkpoint nor .safetensors (first bytes {data[:8].hex(' ')})",
        where=where,
        hint="save the weights again; the file may be damaged or of another format",
    )


def _is_torch_archive(data: bytes) -> bool:
    with contextlib.suppress(zipfile.BadZipFile, OSError, ValueError):
        return any(
            name.endswith("/data.pkl") for name in zipfile.ZipFile(io.BytesIO(data)).namelist()
        )
    return False


def _read_torch(data: bytes, where: str, shapes: Shapes) -> dict[str, Array]:
    """Tensors of a torch checkpoint, loaded with `weights_only=True`: pickled code is refused, never executed."""
    import pickle

    import torch

    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error) and "Unsupported" not in str(error):
            raise _damaged("torch checkpoint", where, error) from error
        raise InputError(
            f"the checkpoint holds pickled Python objects, which are never executed{_culprit(error)}",
            where=where,
            hint="save only the weights: torch.save(model.state_dict(), path)",
        ) from error
    except Exception as error:  # a damaged archive raises a large family of errors
        raise _damaged("torch checkpoint", where, error) from error
    return dict(_tensors(content, where))


def _tensors(content: Any, where: str) -> Iterator[tuple[str, Array]]:
    """Arrays of a state dict, which may be wrapped in a dict under a usual name."""
    import torch

    if isinstance(content, Mapping):
        inner = next((content[k] for k in WRAPPERS if isinstance(content.get(k), Mapping)), content)
        if inner and all(isinstance(value, torch.Tensor) for value in inner.values()):
            for key, value in inner.items():
                plain = value.detach()
                yield str(key), (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
            return
    raise InputError(
        "the checkpoint is not a dictionary of tensors",
        where=where,
        hint="save only the weights: torch.save(model.state_dict(), path)",
    )


def _read_safetensors(data: bytes, where: str, shapes: Shapes) -> dict[str, Array]:
    try:
        from safetensors.torch import load
    except ImportError as error:
        raise MissingToolError(
            "reading .safetensors needs the package safetensors",
            where=where,
            hint="pip install 'edgepress[torch]', or save the weights as .npz",
        ) from error
    try:
        content = load(data)
    except Exception as error:  # SafetensorError is a plain Exception
        raise _damaged(".safetensors file", where, error) from error
    return dict(_tensors(content, where))


def _damaged(kind: str, where: str, error: BaseException) -> InputError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0][:160] if lines else type(error).__name__
    return InputError(f"the {kind} is damaged ({reason})", where=where, hint="save it again")


def _culprit(error: BaseException) -> str:
    """ ": name" of the first class or function that torch refused to load."""
    match = re.search(r"GLOBAL (\S+)", str(error))
    return f": {match.group(1)}" if match else ""


def _without_prefix(found: dict[str, Array], shapes: Shapes) -> dict[str, Array]:
    """Keys without the "module." that torch's DataParallel puts in front of all of them."""
    prefix = "module."
    if all(k.startswith(prefix) for k in found) and not any(k.startswith(prefix) for k in shapes):
        return {key[len(prefix) :]: value for key, value in found.items()}
    return found


def _check_keys(found: Mapping[str, Array], shapes: Shapes, where: str) -> None:
    missing = [k for k in shapes if k not in found and not k.endswith(OPTIONAL)]
    unexpected = [k for k in found if k not in shapes]
    if not (missing or unexpected):
        return
    parts = [f"{kind} {_some(keys)}" for kind, keys in
             (("misses", missing), ("has the unknown", unexpected)) if keys]  # fmt: skip
    raise InputError(
        f"the file {' and '.join(parts)}", where=where, hint="are these the weights of this model?"
    )


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more


def _check_values(key: str, value: Array, shape: tuple[int, ...], where: str) -> None:
    if value.dtype.kind not in "fiub":
        raise InputError(f"{key} holds {value.dtype}, not numbers", where=where)
    if value.shape != shape:
        raise InputError(
            f"{key} has shape {list(value.shape)}, the model needs {list(shape)}",
            where=where,
            hint="are these the weights of this model?",
        )
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        bad = int(value.size - np.isfinite(value).sum())
        raise InputError(
            f"{bad} of {value.size} values of {key} are NaN or infinite",
            where=where,
            hint="training diverged, or the file is damaged",
        )
