"""Checkpoints of a training: written whole, checked by hash, bound to one training by key, loaded without pickles.

A file is a line of magic, the sha256 of the rest, then torch's own format. The one before the newest stays beside
it as `NAME.previous`; a damaged file falls back to that, and without one the training starts again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import UsageError
from ..runtime.files import atomic_path
from .task import Task
from .training_config import TrainConfig

if TYPE_CHECKING:
    import torch

MAGIC = b"edgepress checkpoint 1\n"
State = dict[str, Any]
_log = logging.getLogger(__name__)


def training_key(
    model: torch.nn.Module, task: Task, config: TrainConfig, teacher: torch.nn.Module | None
) -> dict[str, str]:
    """What must agree between two runs for one to continue the other, each part under its name."""
    import torch

    return {
        "options": json.dumps(asdict(config), sort_keys=True),
        "task": f"{task.name} {task.data_sha256}",
        "initial weights": state_sha256(model.state_dict()),
        "teacher": state_sha256(teacher.state_dict()) if teacher is not None else "",
        "torch version": str(torch.__version__),
    }


def state_sha256(state: Mapping[str, Any]) -> str:
    """Hash over names, types, shapes and values of a state dict."""
    import torch

    digest = hashlib.sha256()
    for name, value in state.items():
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save(path: Path, key: Mapping[str, str], state: State) -> None:
    """Write a checkpoint atomically; the one that was there becomes the previous one."""
    import torch

    buffer = io.BytesIO()
    torch.save({"key": dict(key), "state": state}, buffer)
    payload = buffer.getvalue()
    with atomic_path(path) as temporary:
        temporary.write_bytes(MAGIC + hashlib.sha256(payload).digest() + payload)
        if path.exists():
            path.replace(previous(path))


def previous(path: Path) -> Path:
    """Where the checkpoint before the newest is."""
    return path.with_name(f"{path.name}.previous")


def remove(path: Path) -> None:
    """Delete both generations."""
    for file in (path, previous(path)):
        with contextlib.suppress(FileNotFoundError):
            file.unlink()


def load(path: Path, key: Mapping[str, str]) -> tuple[State | None, tuple[str, ...]]:
    """The newest sound checkpoint, or None, and a note for every damaged one.

    Raises:
        UsageError: it belongs to another training; says in what it differs.
    """
    notes: list[str] = []
    for file in (path, previous(path)):
        if not file.is_file():
            continue
        content, damage = _read(file)
        if content is not None:
            _require_key(file, key, content["key"])
            state: State = content["state"]
            return state, tuple(notes)
        notes.append(f"the checkpoint {file.name} is damaged ({damage}) and was ignored")
        _log.warning(notes[-1])
    return None, tuple(notes)


def _read(file: Path) -> tuple[State | None, str]:
    """The content, or None and what is wrong with it."""
    import torch

    try:
        data = file.read_bytes()
    except OSError as error:
        return None, str(error.strerror)
    head = len(MAGIC) + 32
    if not data.startswith(MAGIC):
        return None, "it starts differently"
    if hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
        return None, "its hash does not match"
    try:
        content = torch.load(io.BytesIO(data[head:]), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a large family of errors
        return None, type(error).__name__
    if not isinstance(content, dict) or not {"key", "state"} <= set(content):
        return None, "parts are missing"
    return content, ""


def _require_key(file: Path, key: Mapping[str, str], found: Mapping[str, str]) -> None:
    differing = [name for name in key if found.get(name) != key[name]]
    if differing:
        raise UsageError(
            f"the checkpoint belongs to another training: it differs in {', '.join(differing)}",
            where=str(file),
            hint="delete it to start again, or choose another output folder",
        )
