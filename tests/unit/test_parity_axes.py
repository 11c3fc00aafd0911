"""Where channels lie in files that do not say so: told by shapes, asked where they fit both ways, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.export.parity_axes import settle_axes
from edgepress.runtime.artifact import Artifact, TensorSpec
from edgepress.runtime.errors import InputError

Shape = tuple[int, ...]


def artifact(inputs: list[Shape], outputs: list[Shape], layout: str = "") -> Artifact:
    made = [
        tuple(TensorSpec(f"{k}{i}", s, "float32", layout=layout) for i, s in enumerate(shapes))
        for k, shapes in (("x", inputs), ("y", outputs))
    ]
    return Artifact(Path("foreign.tflite"), "tflite", made[0], made[1], "", 0)


def layouts(found: Artifact) -> tuple[str, ...]:
    return tuple(spec.layout for spec in (*found.inputs, *found.outputs))


@pytest.mark.parametrize(
    ("file", "sample", "layout"),
    [
        ((1, 32, 32, 3), (1, 3, 32, 32), "NHWC"),
        ((-1, 32, 32, 3), (1, 3, 32, 32), "NHWC"),
        ((1, 3, 32, 32), (1, 3, 32, 32), ""),
        ((1, 40, 6), (1, 6, 40), "NLC"),
        ((1, 1, 1, 40), (1, 40, 1, 1), "NHWC"),
        ((1, 4, 4, 1), (1, 1, 4, 4), "NHWC"),
        ((1, 1, 4, 4), (1, 1, 4, 4), ""),
        ((1, 640), (1, 640), ""),
        ((1, 2, 4, 5, 3), (1, 3, 2, 4, 5), "NDHWC"),
    ],
)
def test_shapes_that_fit_one_way_decide(file: Shape, sample: Shape, layout: str) -> None:
    both = settle_axes(artifact([file], [file]), [sample], [sample])
    assert layouts(both) == (layout, layout)


def test_a_shape_that_fits_both_ways_is_asked_about() -> None:
    cube = artifact([(1, 4, 4, 4)], [(1, 5)])
    with pytest.raises(InputError, match=r"input 'x0' is \[1, 4, 4, 4\], which fits") as caught:
        settle_axes(cube, [(1, 4, 4, 4)], [(1, 5)])
    assert "--file-layout nhwc" in str(caught.value.hint)
    assert layouts(settle_axes(cube, [(1, 4, 4, 4)], [], "nhwc")) == ("NHWC", "")
    assert layouts(settle_axes(cube, [(1, 4, 4, 4)], [], "nchw")) == ("NCHW", "")
    with pytest.raises(InputError, match="output 'y0'"):
        settle_axes(artifact([(1, 5)], [(1, 4, 4, 4)]), [(1, 5)], [(1, 4, 4, 4)])


def test_what_the_file_states_is_kept() -> None:
    told = artifact([(1, 4, 4, 4)], [(1, 4, 4, 4)], "NCHW")
    assert settle_axes(told, [(1, 4, 4, 4)], [(1, 4, 4, 4)], "nhwc") == told


def test_an_answer_does_not_turn_what_shapes_tell() -> None:
    file = artifact([(1, 32, 32, 3)], [])
    assert layouts(settle_axes(file, [(1, 3, 32, 32)], [], "nchw")) == ("NHWC",)


def test_shapes_that_fit_neither_way_and_missing_inputs() -> None:
    file = artifact([(-1, 96, 96, 3)], [(1, 2)])
    with pytest.raises(
        InputError, match=r"takes \[\?, 96, 96, 3\], the samples are \[1, 3, 32, 32\]"
    ):
        settle_axes(file, [(1, 3, 32, 32)], [(1, 2)])
    stated = artifact([(1, 32, 32, 3)], [(1, 2)], "NHWC")
    with pytest.raises(InputError, match=r"takes \[1, 32, 32, 3\] NHWC, the samples are"):
        settle_axes(stated, [(1, 32, 32, 3)], [(1, 2)])
    with pytest.raises(InputError, match=r"takes 1 inputs \(x0\), the samples have 2"):
        settle_axes(file, [(1, 3, 96, 96)] * 2, [])


def test_an_output_of_another_shape_is_left_to_the_comparison() -> None:
    file = artifact([(1, 5)], [(1, 4, 5, 3)])
    assert layouts(settle_axes(file, [(1, 5)], [(1, 9, 9, 9)])) == ("", "")
