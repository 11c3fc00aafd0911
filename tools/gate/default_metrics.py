"""Which numbers a gate holds where it names none: all that are exact and can be had of its model on its device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...runtime.errors import EdgepressError
from .measurers import HOST, can_count

OF_FILES = ("file_bytes", "parameters", "macs")


def default_metrics(model: str, device: str, has_task: bool) -> tuple[str, ...]:
    """Metrics of a gate without `metrics`.

    What is installed here does not count: a missing extra is an error that says how to install it, so that a number
    is not left out on one machine and gated on another.

    Args:
        model: name of the file; the arena and Vela's cycles are those of TFLite files.
        has_task: whether the gate names what it is scored on.
    """
    names = [*OF_FILES, *(["instructions"] if can_count(device) else [])]
    if model.endswith(".tflite"):
        names += _of_microcontrollers(device)
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
