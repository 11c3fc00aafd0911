"""Options of verbs that use a device: which, and how a board is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ...devices.board_options import BoardOptions

F = TypeVar("F", bound=Callable[..., Any])

DEVICE_HELP = "host, a board (ssh://user@host[:port], adb://serial), or a device's name (pi4): emulated, counts only."


def _cpus(_: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in value.split(",") if part.strip())
    except ValueError:
        numbers = (-1,)
    if any(number < 0 for number in numbers):
        raise click.BadParameter(f"{value!r} is no list of processor numbers, such as 2,3")
    return numbers


_REACH = (
    click.option("--device", default="host", show_default=True, help=DEVICE_HELP),
    click.option(
        "--python", default="python3", show_default=True, help="Python on the board (ssh)."
    ),
    click.option("--adb", default="adb", show_default=True, help="adb program to use."),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(1),
        default=600.0,
        show_default=True,
        help="Seconds one process on the board may take.",
    ),
)
_MEASURE = (
    click.option(
        "--cpus", default="", callback=_cpus, help="Processors of the board to stay on, e.g. 2,3."
    ),
    click.option(
        "--set-governor",
        is_flag=True,
        flag_value="performance",
        default="",
        help="Set the board's governor to performance while it measures; put back afterwards.",
    ),
    click.option("--cooling", default="", help="Free text, kept with the measurement: heat sink."),
    click.option("--power-source", default="", help="Free text, kept with the measurement: USB."),
    click.option(
        "--program",
        type=click.Path(path_type=Path),
        help="benchmark_model or a static program for adb; device:PATH for one that is there.",
    ),
)


_OBEYED_BY = {
    "cpus": ("ssh", "adb"),
    "set_governor": ("ssh",),
    "cooling": ("ssh", "adb"),
    "power_source": ("ssh", "adb"),
    "program": ("adb",),
}
"""Option -> the ways to a board that obey it; elsewhere it would be passed over in silence."""


def reach_options(function: F) -> F:
    """--device, --python, --adb, --timeout."""
    return _all(_REACH, function)


def measure_options(function: F) -> F:
    """--cpus, --set-governor, --cooling, --power-source, --program."""
    return _all(_MEASURE, function)


def _all(options: tuple[Callable[[F], F], ...], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def board_options(given: Mapping[str, Any]) -> BoardOptions:
    """The options of a call as a record.

    Raises:
        UsageError: an option that this device does not obey.
    """
    from dataclasses import fields

    from ...devices.board_options import BoardOptions
    from ...runtime.errors import UsageError

    device = given["device"]
    for name, schemes in _OBEYED_BY.items():
        if given.get(name) and device.partition("://")[0] not in schemes:
            raise UsageError(
                f"--{name.replace('_', '-')} has no effect on {device}",
                hint=f"leave it out; it is for {' and '.join(f'{s}://' for s in schemes)}",
            )
    names = {field.name for field in fields(BoardOptions)}
    return BoardOptions(**{key: value for key, value in given.items() if key in names})
