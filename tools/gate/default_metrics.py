"""Which numbers a gate holds where it names none: all that are exact and can be had of its model on its device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ...runtime.c_folder import is_folder
from ...runtime.errors import EdgepressError
from .folder_measurers import counted_metrics
from .measurers import HOST, can_count

OF_FILES = ("file_bytes", "parameters", "macs")
OF_FOLDERS = ("macs", "weight_bytes", "arena_bytes")
"""The bytes of exported C are those of its text, comments included, so they are held only where they are named."""


def default_metrics(model: Path, device: str, has_task: bool) -> tuple[str, ...]:
    """Metrics of a gate without `metrics`.

    What is installed here does not count: a missing extra is an error that says how to install it, so that a number
    is not left out on one machine and gated on another.

    Args:
        model: the file, or a folder of exported C; Vela's cycles are those of TFLite files.
        has_task: whether the gate names what it is scored on.
    """
    names: list[str]
    if is_folder(model):
        names = [*OF_FOLDERS, *counted_metrics(device)]
    else:
        names = [*OF_FILES, *(["instructions"] if can_count(device) else [])]
        names += _of_microcontrollers(device) if model.suffix == ".tflite" else []
    return (*names, *(["accuracy"] if has_task else []))


def _of_microcontrollers(device: str) -> Iterator[str]:
    from ...devices.ethosu import vela_configs
    from ...devices.profile import load_profile

    if device == HOST or "://" in device:
        return
    try:
        profile = load_profile(device)
    except EdgepressError:
        return  # a board of `boards:`, or a wrong name, which is told when the gate is run
    if profile.device_class == "mcu":
        yield "arena_bytes"
    with contextlib.suppress(EdgepressError):
        vela_configs(profile)
        yield "vela_cycles"
