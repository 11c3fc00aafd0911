"""Padding of exported C: done by convolutions, where it is theirs alone and no larger than their windows."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.export.c.fuse_pads import fuse_pads
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor

SIDES = [[0, 0], [1, 2], [0, 1], [0, 0]]


def model(sides: list[list[int]], *, padding: str = "VALID", shared: bool = False) -> LiteModel:
    """An image, padded, under a 3 x 3 convolution."""
    same = LiteQuantization((0.1,), (3,))
    made = LiteModel()
    x = made.add_tensor(LiteTensor("x", (1, 4, 5, 2), "int8", quantization=same))
    widths = made.add_tensor(LiteTensor("widths", (4, 2), "int32", data=np.array(sides, np.int32)))
    shape = tuple(n + sum(side) for n, side in zip((1, 4, 5, 2), sides, strict=True))
    padded = made.add_tensor(LiteTensor("padded", shape, "int8", quantization=same))
    weights = np.ones((4, 3, 3, 2), np.int8)
    w = made.add_tensor(LiteTensor("w", weights.shape, "int8", data=weights))
    y = made.add_tensor(LiteTensor("y", (1, 5, 4, 4), "int8", quantization=same))
    options = {"padding": padding, "stride_h": 1, "stride_w": 1}
    made.operators = [
        LiteOperator("PAD", (x, widths), (padded,)),
        LiteOperator("CONV_2D", (padded, w), (y,), options),
    ]
    made.inputs, made.outputs = [x], [y, padded] if shared else [y]
    return made


def test_the_convolution_pads() -> None:
    found = fuse_pads(model(SIDES))
    assert [operator.code for operator in found.operators] == ["CONV_2D"]
    assert found.operators[0].inputs[0] == 0
    assert (found.operators[0].options["pad_h"], found.operators[0].options["pad_w"]) == (1, 0)


@pytest.mark.parametrize(
    ("sides", "options"),
    [
        (SIDES, {"shared": True}),
        (SIDES, {"padding": "SAME"}),
        ([[0, 0], [3, 0], [0, 0], [0, 0]], {}),
        ([[0, 0], [1, 1], [0, 0], [0, 1]], {}),
    ],
    ids=["also an output", "padded twice", "beyond the window", "channels"],
)
def test_other_padding_stays(sides: list[list[int]], options: dict[str, object]) -> None:
    found = fuse_pads(model(sides, **options))  # type: ignore[arg-type]
    assert [operator.code for operator in found.operators] == ["PAD", "CONV_2D"]
