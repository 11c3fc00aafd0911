"""Resize in every mode TFLite's kernels or constant indices express, DepthToSpace, SpaceToDepth, Expand, Tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgepress.export.tflite.lower import lower
from edgepress.runtime.errors import UnsupportedOperatorError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.families import check, node, operators
from support.lowering import make_hub

COORDINATES = [
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "half_pixel_symmetric",
]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
SLOW = settings(max_examples=40, deadline=None, derandomize=True)


def resized(sizes: Any, **attributes: Any) -> tuple[list, dict]:
    nodes = [node("Resize", ["x", "", "", "sizes"], ["y"], **attributes)]
    return nodes, {"sizes": np.asarray(sizes, np.int64)}


@given(
    st.sampled_from(COORDINATES),
    st.sampled_from(ROUNDINGS),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@SLOW
def test_nearest_in_every_mode(
    coordinates: str, rounding: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    nodes, constants = resized(
        (1, 3, *after),
        mode="nearest",
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
    )
    check(nodes, {"x": (1, 3, *before)}, constants=constants)


@given(
    st.sampled_from(COORDINATES),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(2, 9), st.integers(2, 9)),
)
@SLOW
def test_linear_in_every_mode(
    coordinates: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    nodes, constants = resized(
        (1, 3, *after), mode="linear", coordinate_transformation_mode=coordinates
    )
    # XNNPACK interpolates in its own order of operations, on weights of 11 bits in int8
    check(nodes, {"x": (1, 3, *before)}, constants=constants, tolerance=2e-5, lsb=1)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_integer_upsampling_as_torch_exports_it(mode: str) -> None:
    coordinates = "asymmetric" if mode == "nearest" else "pytorch_half_pixel"
    attributes = {"coordinate_transformation_mode": coordinates, "nearest_mode": "floor"}
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Resize", ["c", "", "scales"], ["r"], mode=mode, **attributes),
        node("Conv", ["r", "w"], ["y"]),
    ]
    w = np.random.default_rng(0).normal(size=(4, 4, 1, 1)).astype(np.float32)
    constants = {"w": w, "scales": np.asarray([1, 1, 2, 2], np.float32)}
    # lsb 3: a step of either of the first two operators grows in the last convolution
    made, _ = check(nodes, {"x": (1, 4, 4, 4)}, constants=constants, layouts=["nhwc"], lsb=3)
    code = "RESIZE_NEAREST_NEIGHBOR" if mode == "nearest" else "RESIZE_BILINEAR"
    assert operators(made) == ["CONV_2D", code, "CONV_2D"]


def test_resize_of_a_series_and_of_channels() -> None:
    for mode in ("nearest", "linear"):
        nodes, constants = resized((1, 3, 8), mode=mode)
        check(nodes, {"x": (1, 3, 4)}, constants=constants)
    nodes, constants = resized((1, 6, 4, 4), mode="nearest")
    check(nodes, {"x": (1, 3, 4, 4)}, constants=constants)


def test_scale_that_is_not_out_over_in() -> None:
    scales = np.asarray([1, 1, 1.3, 1.3], np.float32)
    attributes = {"coordinate_transformation_mode": "half_pixel"}
    for mode in ("nearest", "linear"):
        nodes = [node("Resize", ["x", "", "scales"], ["y"], mode=mode, **attributes)]
        if mode == "nearest":
            check(nodes, {"x": (1, 2, 5, 5)}, constants={"scales": scales})
        else:
            model = make_hub(nodes, {"x": (1, 2, 5, 5)}, ["y"], {"scales": scales})
            with pytest.raises(UnsupportedOperatorError, match="half_pixel"):
                lower(model)


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"mode": "cubic"}, "cubic"),
        ({"mode": "linear", "antialias": 1}, "antialias"),
    ],
)
def test_refusals_name_the_attribute(attributes: dict, match: str) -> None:
    nodes, constants = resized((1, 2, 3, 3), **attributes)
    with pytest.raises(UnsupportedOperatorError, match=match):
        lower(make_hub(nodes, {"x": (1, 2, 6, 6)}, ["y"], constants))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("shape", [(1, 8, 2, 3), (1, 4, 4, 4), (2, 12, 3, 2)])
def test_depth_to_space(mode: str, shape: tuple[int, ...]) -> None:
    check([node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)], {"x": shape})


@pytest.mark.parametrize("shape", [(1, 2, 4, 6), (1, 4, 4, 4), (2, 3, 2, 2)])
def test_space_to_depth(shape: tuple[int, ...]) -> None:
    check([node("SpaceToDepth", ["x"], ["y"], blocksize=2)], {"x": shape})


@pytest.mark.parametrize(
    ("shape", "target"),
    [((1, 4, 1, 1), (1, 4, 4, 4)), ((3, 1), (2, 3, 4)), ((1,), (5,)), ((1, 3, 4), (1, 3, 4))],
)
def test_expand(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    nodes = [node("Expand", ["x", "shape"], ["e"]), node("Relu", ["e"], ["y"])]
    check(nodes, {"x": shape}, constants={"shape": np.asarray(target, np.int64)})


def test_tile() -> None:
    for shape in [(1, 3, 2, 2), (1, 3, 4), (2, 3)]:
        repeats = np.arange(1, len(shape) + 1)
        check([node("Tile", ["x", "n"], ["y"])], {"x": shape}, constants={"n": repeats})
