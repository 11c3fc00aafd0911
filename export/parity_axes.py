"""Where channels lie at the borders of a TFLite file that does not say so, because others wrote it.

Samples have channels on axis 1. A shape that fits one way only decides: [1, 3, 32, 32] against [1, 32, 32, 3] is
channels last. A shape that fits both ways is asked about, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..runtime.artifact import Artifact, TensorSpec
from ..runtime.errors import InputError

Shape = tuple[int, ...]

LAYOUTS = ("nhwc", "nchw")
_LAST = {3: "NLC", 4: "NHWC", 5: "NDHWC"}
_FIRST = {3: "NCL", 4: "NCHW", 5: "NCDHW"}


def settle_axes(
    artifact: Artifact, inputs: Sequence[Shape], outputs: Sequence[Shape], layout: str = ""
) -> Artifact:
    """The artifact with a layout for every input and output of 3 to 5 axes.

    Args:
        artifact: of a TFLite file.
        inputs, outputs: shapes of one sample and of what the reference gives for it, channels on axis 1; `outputs`
            may be empty where nothing is known of them.
        layout: "nhwc" or "nchw" decides where shapes fit both ways; "" asks.

    Raises:
        InputError: a number of inputs or a shape that does not fit either way, or one that fits both.
    """
    where = str(artifact.path)
    if len(inputs) != len(artifact.inputs):
        names = ", ".join(spec.name for spec in artifact.inputs)
        raise InputError(
            f"takes {len(artifact.inputs)} inputs ({names}), the samples have {len(inputs)}",
            where=where,
            hint="give one array per input of the model",
        )
    fed = [
        _input(s, shape, layout, where) for s, shape in zip(artifact.inputs, inputs, strict=True)
    ]
    read = list(artifact.outputs)
    if len(outputs) == len(read):
        read = [_output(s, shape, layout, where) for s, shape in zip(read, outputs, strict=True)]
    return replace(artifact, inputs=tuple(fed), outputs=tuple(read))


def _input(spec: TensorSpec, shape: Shape, layout: str, where: str) -> TensorSpec:
    plain, moved = _fits(spec.shape, shape), _fits(spec.shape, channels_last(shape))
    stated = spec.layout == _LAST.get(len(spec.shape))
    if not (moved if stated else plain if spec.layout else plain or moved):
        raise InputError(
            f"input '{spec.name}' takes {_text(spec.shape, spec.layout)}, the samples are "
            f"{_text(shape)} (channels on axis 1)",
            where=where,
            hint="compare on samples of the shape the model was made for: --task NAME or --inputs FILE",
        )
    return spec if spec.layout else _named(spec, shape, layout, f"input '{spec.name}'", where)


def _output(spec: TensorSpec, shape: Shape, layout: str, where: str) -> TensorSpec:
    """Outputs that fit neither way stay as they are: the comparison tells the shapes."""
    return spec if spec.layout else _named(spec, shape, layout, f"output '{spec.name}'", where)


def _named(spec: TensorSpec, shape: Shape, layout: str, what: str, where: str) -> TensorSpec:
    rank = len(spec.shape)
    if rank not in _LAST or len(shape) != rank:
        return spec
    plain, moved = _fits(spec.shape, shape), _fits(spec.shape, channels_last(shape))
    if plain and moved and not _same_memory(shape):
        if not layout:
            raise InputError(
                f"{what} is {_text(spec.shape)}, which fits with channels first and last, and the file "
                "does not say which",
                where=where,
                hint="say it: --file-layout nhwc (usual in TensorFlow) or --file-layout nchw",
            )
        return replace(spec, layout=(_LAST if layout == "nhwc" else _FIRST)[rank])
    return replace(spec, layout=_LAST[rank]) if moved and not plain else spec


def channels_last(shape: Shape) -> Shape:
    """The shape with axis 1 moved to the end."""
    return (*shape[:1], *shape[2:], *shape[1:2])


def _fits(free: Shape, shape: Shape) -> bool:
    return len(free) == len(shape) and all(n in (-1, m) for n, m in zip(free, shape, strict=True))


def _same_memory(shape: Shape) -> bool:
    """Whether moving axis 1 to the end moves no value: it, or all axes behind it, have length 1."""
    return shape[1] == 1 or all(n == 1 for n in shape[2:])


def _text(shape: Shape, layout: str = "") -> str:
    return f"[{', '.join('?' if n < 0 else str(n) for n in shape)}]{' ' if layout else ''}{layout}"
