"""Grouped convolutions of exported C: parts that differ in weights alone become one operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from edgepress.export.c.fuse_groups import GROUPED_CONV, fuse_groups
from edgepress.export.c.fuse_pads import fuse_pads
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor

SAME, OTHER = LiteQuantization((0.1,), (3,)), LiteQuantization((0.2,), (3,))


def model(change: Callable[[LiteModel], object] = lambda made: None) -> LiteModel:
    """A padded image in two parts, a 3 x 3 convolution of each, and their results side by side."""
    made = LiteModel()

    def activation(name: str, *shape: int) -> int:
        return made.add_tensor(LiteTensor(name, shape, "int8", quantization=SAME))

    def constant(name: str, data: np.ndarray, scale: tuple[float, ...] = ()) -> int:
        held = LiteQuantization(scale, (0,) * len(scale)) if scale else None
        return made.add_tensor(LiteTensor(name, data.shape, data.dtype.name, data, held))

    x, padded = activation("x", 1, 4, 5, 4), activation("padded", 1, 6, 7, 4)
    widths = constant("widths", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    axis = constant("axis", np.array(3, np.int32))
    parts = [activation(f"part{g}", 1, 6, 7, 2) for g in range(2)]
    results = [activation(f"result{g}", 1, 4, 5, 3) for g in range(2)]
    y = activation("y", 1, 4, 5, 6)
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    made.operators = [
        LiteOperator("PAD", (x, widths), (padded,)),
        LiteOperator("SPLIT", (axis, padded), tuple(parts), {"num_splits": 2}),
    ]
    for g, scale in enumerate([(0.5,), (0.1, 0.2, 0.3)]):
        w = constant(f"w{g}", np.full((3, 3, 3, 2), g, np.int8), scale)
        b = constant(f"b{g}", np.full(3, 10 + g, np.int32))
        made.operators.append(LiteOperator("CONV_2D", (parts[g], w, b), (results[g],), options))
    made.operators.append(LiteOperator("CONCATENATION", tuple(results), (y,), {"axis": 3}))
    made.inputs, made.outputs = [x], [y]
    change(made)
    return made


def index_of(made: LiteModel, name: str) -> int:
    return next(n for n, tensor in enumerate(made.tensors) if tensor.name == name)


def test_parts_become_one_operator_that_pads() -> None:
    given = model()
    count = len(given.tensors)
    found = fuse_pads(fuse_groups(given))
    assert [operator.code for operator in found.operators] == [GROUPED_CONV]
    assert len(given.tensors) == count
    only = found.operators[0]
    assert (only.inputs[0], only.outputs) == (given.inputs[0], tuple(given.outputs))
    assert (only.options["groups"], only.options["pad_h"]) == (2, 1)
    weights, bias = (found.tensors[index] for index in only.inputs[1:])
    assert weights.data is not None and bias.data is not None and weights.quantization is not None
    np.testing.assert_array_equal(weights.data[:, 0, 0, 0], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(bias.data, [10, 10, 10, 11, 11, 11])
    assert weights.quantization.scale == (0.5, 0.5, 0.5, 0.1, 0.2, 0.3)


def is_read_elsewhere(made: LiteModel) -> None:
    made.outputs.append(index_of(made, "result1"))


def has_another_scale(made: LiteModel) -> None:
    made.tensors[index_of(made, "result1")].quantization = OTHER


def has_another_stride(made: LiteModel) -> None:
    made.operators[3].options = {**made.operators[3].options, "stride_h": 2}


def is_turned_around(made: LiteModel) -> None:
    made.operators[4].inputs = made.operators[4].inputs[::-1]


def lies_on_another_axis(made: LiteModel) -> None:
    made.operators[4].options = {"axis": 1}


def has_one_bias(made: LiteModel) -> None:
    made.operators[2].inputs = (*made.operators[2].inputs[:2], -1)


@pytest.mark.parametrize(
    "change",
    [
        is_read_elsewhere,
        has_another_scale,
        has_another_stride,
        is_turned_around,
        lies_on_another_axis,
        has_one_bias,
    ],
)
def test_others_stay_apart(change: Callable[[LiteModel], None]) -> None:
    given = model(change)
    assert fuse_groups(given) is given
