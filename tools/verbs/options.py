"""Options that several verbs share: where a model, its weights and its data come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

_MODEL = (
    click.option(
        "--weights", type=PATH, help="Weights: .npz, .pt/.pth (no pickled code), .safetensors."
    ),
    click.option(
        "--random-weights", is_flag=True, help="Let a zoo network be untrained (for trials)."
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random weights."
    ),
    click.option(
        "--no-user-code", is_flag=True, help="Refuse module:factory, which runs your code."
    ),
)
_SEEN = (
    click.option(
        "--weights-saw",
        default="",
        metavar="SPLITS",
        help="Splits the weights were trained on (train,validation): scores on them are marked.",
    ),
)
_PTQ = (
    click.option(
        "--calibration",
        type=PATH,
        help="Raw inputs to calibrate on: .npz, one array per model input.",
    ),
    click.option(
        "--calibration-samples",
        type=click.IntRange(1),
        default=256,
        show_default=True,
        help="At most so many of them.",
    ),
    click.option(
        "--observer",
        type=click.Choice(["auto", "minmax", "moving-average", "percentile", "entropy", "mse"]),
        default="auto",
        show_default=True,
        help="How ranges are found; auto compares all on calibration data.",
    ),
    click.option(
        "--keep-float", multiple=True, metavar="LAYER", help="Layer that stays float (repeatable)."
    ),
    click.option(
        "--io",
        type=click.Choice(["int8", "float"]),
        default="int8",
        show_default=True,
        help="Inputs and outputs of int8 files.",
    ),
)
_DATA = (
    click.option("--task", metavar="NAME", help="Data set, or package.module:factory of a Task."),
    click.option("--data", type=PATH, help="Folder of the data sets (else EDGEPRESS_DATA)."),
    click.option(
        "--normalisation",
        type=click.Choice(["auto", "fold", "none"]),
        default="auto",
        show_default=True,
        help="Fold the task's input normalisation into the files, which then take raw values.",
    ),
)


def _all(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def model_options(function: F) -> F:
    """--weights, --random-weights, --seed, --no-user-code."""
    return _all(_MODEL)(function)


def data_options(function: F) -> F:
    """--task, --data, --normalisation."""
    return _all(_DATA)(function)


def given_model(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `open_source` takes of the options of a verb that has model, data and calibration options."""
    keys = ("weights", "random_weights", "seed", "no_user_code", "task", "data", "normalisation")
    given = {key: options[key] for key in (*keys, "weights_saw", "threads")}
    return {**given, "inputs_file": options["calibration"]}


def ptq_options(function: F) -> F:
    """--calibration, --calibration-samples, --observer, --keep-float, --io; --weights-saw for its receipts."""
    return _all((*_PTQ, *_SEEN))(function)


def shapes_option(function: F) -> F:
    """--input-shape, repeatable, one per model input."""
    return click.option(
        "--input-shape",
        "input_shapes",
        multiple=True,
        callback=_shapes,
        metavar="1,3,32,32",
        help="Shape of a model input, batch of 1 first (repeatable); where no task or inputs tell.",
    )(function)


def _shapes(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[int, ...], ...]:
    found = []
    for text in values:
        parts = text.replace("x", ",").split(",")
        if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            hint = "write whole numbers from 1 on, as in 1,3,32,32"
            raise click.BadParameter(f"{text!r} is no shape: {hint}", context, parameter)
        shape = tuple(int(part) for part in parts)
        if shape[0] != 1:
            hint = "files are made for single samples, so the first number is 1"
            raise click.BadParameter(
                f"{text!r} has a batch of {shape[0]}: {hint}", context, parameter
            )
        found.append(shape)
    return tuple(found)


def listing(
    known: tuple[str, ...],
) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Callback for a comma-separated option whose items must be `known`; doubles count once."""

    def callback(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
        items = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        for item in items:
            if item not in known:
                near = get_close_matches(item, known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                text = f"{item!r} is none of {', '.join(known)}{hint}"
                raise click.BadParameter(text, context, parameter)
        return items

    return callback


def out_options(function: F) -> F:
    """--out FOLDER and --force."""
    function = click.option("--force", is_flag=True, help="Overwrite files that are there.")(
        function
    )
    return click.option("--out", type=PATH, required=True, help="Folder to write into.")(function)


def threads_option(function: F) -> F:
    """--threads, 1 by default."""
    return click.option(
        "--threads",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        help="Threads to use.",
    )(function)
