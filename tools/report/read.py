"""Reads the records of a run folder; a damaged one is an `InputError` that names its file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ...compress.receipt import Receipt
from ...devices.measurement import Measurement
from ...runtime.codec import from_json
from ...runtime.errors import EdgepressError, InputError

T = TypeVar("T")

AGAIN = "run the recipe again with --force, or restore the file"


def read_json(path: Path) -> Any:
    """The JSON value in `path`, None if there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read it: {error}", where=str(path), hint=AGAIN) from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(path), hint=AGAIN) from error


def record(cls: type[T], data: Any, path: Path) -> T:
    """The record `data` holds."""
    try:
        return from_json(cls, data)
    except EdgepressError as error:
        where = f"{path} ({error.where})" if error.where else str(path)
        raise InputError(error.what, where=where, hint=AGAIN) from error


def step_folders(run_folder: Path) -> list[tuple[int, str, Path]]:
    """(number, name, path) of steps/NN-name, in order."""
    found = []
    for path in sorted((run_folder / "steps").glob("*-*")):
        number, _, name = path.name.partition("-")
        if path.is_dir() and number.isdigit():
            found.append((int(number), name, path))
    return sorted(found)


def receipts(run_folder: Path) -> Iterator[tuple[int, Receipt]]:
    """Receipts of the finished steps with their numbers, in order."""
    for number, _, folder in step_folders(run_folder):
        path = folder / "receipt.json"
        data = read_json(path)
        if data is not None:
            yield number, record(Receipt, data, path)


def in_steps(run_folder: Path, name: str) -> tuple[Path, Any] | None:
    """Path and content of the last steps/*/`name`."""
    for _, _, folder in reversed(step_folders(run_folder)):
        data = read_json(folder / name)
        if data is not None:
            return folder / name, data
    return None


def measurements(run_folder: Path) -> list[Measurement]:
    """Measurements in the order of their file names."""
    paths = sorted((run_folder / "measurements").glob("*.json"))
    return [record(Measurement, read_json(path), path) for path in paths]


def recipe(run_folder: Path) -> dict[str, Any]:
    """The resolved recipe, empty if it is missing."""
    path = run_folder / "recipe.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}", where=str(path), hint=AGAIN) from error
    return value if isinstance(value, dict) else {}


def without_layers(receipt: Receipt) -> Receipt:
    """The receipt without its per-layer rows, which the report keeps in a list of their own."""
    return replace(receipt, layers=())
