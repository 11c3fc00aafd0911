"""A run folder: what lies where, who may use it, and which steps in it are finished.

    recipe.yaml     the resolved recipe; its text is the identity of the folder
    manifest.json   hashes of all inputs, versions, seed, host
    steps/NN-name/  receipt.json, the step's files, and step.json: its key and the hash of every output, written last
    artifacts/      NAME.PRECISION.{onnx,tflite}
    measurements/   one Measurement per file and engine
    verdicts.json   the budget, report.json|md|html

A step counts as finished if step.json holds the right key and every output has the right hash.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..runtime.codec import from_json, to_json
from ..runtime.errors import InputError, UsageError
from ..runtime.files import sha256_file, sweep, write_text

OURS = ("steps", "artifacts", "measurements")
FILES = ("recipe.yaml", "manifest.json", "verdicts.json", "report.json", "report.md", "report.html")
LOCK = ".lock"


@dataclass(frozen=True)
class StepRecord:
    """step.json: proof that a step is finished. `outputs` maps paths in the run folder to sha256."""

    name: str
    key: str
    outputs: dict[str, str]
    origin: str = "computed"
    schema: str = "edgepress-step/1"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    def step(self, folder: str) -> Path:
        """Folder of a step ("01-train")."""
        return self.path / "steps" / folder

    def finished(self, folder: str, key: str) -> StepRecord | None:
        """The record of a step if it is finished under `key` and its outputs are undamaged."""
        record = self.record(folder)
        if record is None or record.key != key:
            return None
        return record if all(self._intact(p, h) for p, h in record.outputs.items()) else None

    def record(self, folder: str) -> StepRecord | None:
        """What step.json says; None if there is none or it is damaged."""
        try:
            data = json.loads((self.step(folder) / "step.json").read_text("utf-8"))
            return from_json(StepRecord, data)
        except (OSError, ValueError, InputError):
            return None

    def _intact(self, relative: str, sha256: str) -> bool:
        try:
            return sha256_file(inside(self.path, relative)) == sha256
        except (OSError, InputError):
            return False

    def begin(self, folder: str, key: str) -> None:
        """Ready a step's folder: what an interrupted step of the same key left (a checkpoint) stays."""
        here = self.step(folder)
        begun = here / "begun"
        same = begun.is_file() and begun.read_text("utf-8") == key
        if not same:
            self.forget(folder)
        else:
            (here / "step.json").unlink(missing_ok=True)
        here.mkdir(parents=True, exist_ok=True)
        write_text(begun, key)

    def forget(self, folder: str) -> None:
        """Remove a step and all its outputs."""
        record = self.record(folder)
        for relative in record.outputs if record else ():
            with contextlib.suppress(InputError):
                inside(self.path, relative).unlink(missing_ok=True)
        shutil.rmtree(self.step(folder), ignore_errors=True)

    def finish(self, folder: str, record: StepRecord) -> None:
        """Write step.json: from here on the step is done."""
        write_json(self.step(folder) / "step.json", record)
        (self.step(folder) / "begun").unlink(missing_ok=True)

    def keep_only(self, folders: Mapping[str, Any]) -> None:
        """Remove steps that the plan does not have (an older plan of the same recipe numbered them otherwise)."""
        steps = self.path / "steps"
        for stale in sorted(steps.iterdir()) if steps.is_dir() else ():
            if stale.name not in folders:
                self.forget(stale.name)


def write_json(path: Path, value: Any) -> Path:
    """Write a record or plain values as JSON, atomically."""
    text = json.dumps(to_json(value), indent=1, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def inside(folder: Path, relative: str) -> Path:
    """`folder/relative`, refused if it leaves the folder."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InputError(f"the path {relative!r} leaves the run folder", where=str(folder))
    return folder.joinpath(*path.parts)


@contextlib.contextmanager
def open_run_folder(
    out: Path, recipe_text: str, *, force: bool = False, resume: bool = True
) -> Iterator[RunFolder]:
    """The run folder `out`, locked for us; a new one is made, one of the same recipe is taken up again.

    Args:
        out: the folder.
        recipe_text: the resolved recipe.
        force: start over: what an earlier run left is removed; files of others stay.
        resume: False refuses a folder that holds a run.

    Raises:
        UsageError: a file, another recipe's run, something that is no run folder, or another run is in it.
    """
    out = Path(out)
    _judge(out, recipe_text, force, resume)
    out.mkdir(parents=True, exist_ok=True)
    with _lock(out):
        _judge(out, recipe_text, force, resume)
        sweep(out)
        if force or not (out / "recipe.yaml").exists():
            write_text(out / "recipe.yaml", recipe_text)
        if force:
            _clear(out)
        yield RunFolder(out)


def _judge(out: Path, recipe_text: str, force: bool, resume: bool) -> None:
    """Refuse what must not be written into."""
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=str(out), hint="choose a folder")
    if force or not out.is_dir():
        return
    recipe = out / "recipe.yaml"
    if not recipe.exists():
        others = [
            p.name for p in out.iterdir() if p.name != LOCK and not p.name.startswith(".recipe.")
        ]
        if others:
            raise UsageError(
                f"the folder is not empty and holds no run ({sorted(others)[0]}, ...)",
                where=str(out),
                hint="choose another folder, or --force to write into it",
            )
        return
    if recipe.read_bytes() != recipe_text.encode():
        raise UsageError(
            "the folder holds a run of another recipe or other settings",
            where=str(out),
            hint="choose another folder with --out, or --force to replace that run",
        )
    if not resume:
        raise UsageError("the folder holds a run", where=str(out), hint="--force to replace it")


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    """One run at a time; the system drops the lock when a process dies."""
    with (out / LOCK).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "another run is working in this folder",
                where=str(out),
                hint="wait for it, or choose another folder with --out",
            ) from error
        yield


def _clear(out: Path) -> None:
    """Remove what an earlier run made; the new recipe and files of others stay."""
    for name in FILES[1:]:
        (out / name).unlink(missing_ok=True)
    for name in OURS:
        shutil.rmtree(out / name, ignore_errors=True)
