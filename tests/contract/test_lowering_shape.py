"""Reshape, Squeeze, Unsqueeze, Transpose, Expand, Tile, DepthToSpace, SpaceToDepth in every engine."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.export.tflite.lower import lower
from hypothesis import given, settings
from hypothesis import strategies as st
from support.families import check, node, operators
from support.lowering import make_hub

SLOW = settings(max_examples=25, deadline=None, derandomize=True)


def conv(x: str, y: str) -> list:
    """A 1x1 convolution, so that what follows finds its input channels last."""
    return [node("Conv", [x, "w"], [y])]


def weight(channels: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(channels, channels, 1, 1)).astype(np.float32)


@given(
    st.permutations(range(4)),
    st.sampled_from([(1, 3, 4, 5), (1, 4, 4, 4), (2, 3, 1, 3), (1, 1, 6, 2)]),
    st.booleans(),
)
@SLOW
def test_transpose_of_any_order(perm: list[int], shape: tuple[int, ...], after_conv: bool) -> None:
    nodes = conv("x", "c") if after_conv else []
    nodes += [
        node("Transpose", ["c" if after_conv else "x"], ["t"], perm=perm),
        node("Relu", ["t"], ["y"]),
    ]
    check(nodes, {"x": shape}, constants={"w": weight(shape[1])} if after_conv else {})


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
def test_transpose_of_other_ranks(rank: int) -> None:
    shape = (2, 3, 4, 2, 3)[:rank]
    check([node("Transpose", ["x"], ["y"])], {"x": shape})


def test_transpose_and_back_costs_nothing() -> None:
    nodes = conv("x", "c") + [
        node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        node("Mul", ["t", "s"], ["m"]),
        node("Transpose", ["m"], ["y"], perm=[0, 3, 1, 2]),
    ]
    scale = np.linspace(1, 2, 4, dtype=np.float32)
    made, _ = check(
        nodes, {"x": (1, 4, 4, 4)}, constants={"w": weight(4), "s": scale}, layouts=["nhwc"]
    )
    assert operators(made) == ["CONV_2D", "MUL"]


RESHAPES = [
    ((1, 8, 4, 4), (1, 2, 4, 4, 4)),
    ((1, 8, 4, 4), (1, 8, 16)),
    ((1, 4, 4, 4), (1, 4, 16)),
    ((1, 4, 4, 4), (1, 16, 4)),
    ((1, 8, 2, 3), (8, 6)),
    ((1, 6, 4, 4), (1, 3, 32)),
    ((2, 4, 2, 2), (4, 2, 2, 2)),
    ((1, 1, 1, 1), (1,)),
    ((1, 4, 1, 1), (4,)),
    ((1, 4, 4, 4), (4, 4, 4)),
    ((1, 12, 2, 2), (1, 2, 2, 3, 2, 2)),
]


@pytest.mark.parametrize("after_conv", [False, True])
@pytest.mark.parametrize(("shape", "target"), RESHAPES)
def test_reshape(shape: tuple[int, ...], target: tuple[int, ...], after_conv: bool) -> None:
    nodes = conv("x", "c") if after_conv else []
    nodes += [
        node("Reshape", ["c" if after_conv else "x", "shape"], ["r"]),
        node("Relu", ["r"], ["y"]),
    ]
    constants = {"shape": np.asarray(target, np.int64), "w": weight(shape[1])}
    check(
        nodes,
        {"x": shape},
        constants={k: v for k, v in constants.items() if after_conv or k != "w"},
    )


@pytest.mark.parametrize("axes", [[2], [3], [2, 3], [-1, 0]])
def test_squeeze_and_unsqueeze(axes: list[int]) -> None:
    shape = (1, 5, 1, 1)
    nodes = conv("x", "c") + [
        node("Squeeze", ["c", "axes"], ["s"]),
        node("Relu", ["s"], ["r"]),
        node("Unsqueeze", ["r", "back"], ["y"]),
    ]
    back = sorted(axis % 4 for axis in axes)
    constants = {"w": weight(5), "axes": np.asarray(axes), "back": np.asarray(back)}
    check(nodes, {"x": shape}, constants=constants)


def test_scalars() -> None:
    nodes = [
        node("Squeeze", ["x"], ["s"]),
        node("Add", ["s", "one"], ["a"]),
        node("Unsqueeze", ["a", "axes"], ["y"]),
    ]
    check(nodes, {"x": (1, 1)}, ["a", "y"], {"one": np.float32(1.0), "axes": np.asarray([0])})


def shuffle(shape: tuple[int, ...], groups: int) -> tuple[list, dict]:
    n, c, h, w = shape
    nodes = [
        *conv("x", "c"),
        node("Reshape", ["c", "grouped"], ["g"]),
        node("Transpose", ["g"], ["t"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["t", "flat"], ["f"]),
        node("Conv", ["f", "w"], ["y"]),
    ]
    grouped = np.asarray([n, groups, c // groups, h, w])
    return nodes, {"w": weight(c), "grouped": grouped, "flat": np.asarray(shape)}


@pytest.mark.parametrize("shape", [(1, 8, 4, 4), (1, 4, 4, 4), (2, 6, 3, 5)])
def test_channel_shuffle_turns_once(shape: tuple[int, ...]) -> None:
    nodes, constants = shuffle(shape, 2)
    made, int8 = check(
        nodes, {"x": shape}, constants=constants, layouts=["nhwc"], lsb=2
    )  # two convolutions round
    for form in (made, int8):
        assert form is not None and operators(form).count("TRANSPOSE") == 1


def test_orders_are_those_of_the_values_that_tensors_are_named_after() -> None:
    nodes = [
        *conv("x", "c"),
        node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
        node("Relu", ["c"], ["z"]),
    ]
    model = make_hub(nodes, {"x": (1, 4, 4, 4)}, ["y", "z"], {"w": weight(4)})
    lowered = lower(model)
    assert operators(lowered) == ["CONV_2D", "RELU"]
    assert lowered.orders["y"] == (0, 1, 2, 3)  # the memory of c, which is y as ONNX has it
    assert lowered.orders["z"] == (0, 2, 3, 1)


def test_one_tensor_for_two_outputs_is_copied() -> None:
    nodes = [*conv("x", "y"), node("Transpose", ["y"], ["z"], perm=[0, 1, 2, 3])]
    made, _ = check(nodes, {"x": (1, 4, 4, 4)}, ["y", "z"], {"w": weight(4)}, layouts=["nhwc"])
    assert operators(made) == ["CONV_2D", "RESHAPE"]
    assert len(set(made.model.outputs)) == 2
