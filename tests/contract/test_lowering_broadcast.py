"""Broadcasting over many axes: engines would abort the process, so axes are merged or the model is refused."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.export.tflite.broadcast import merged_axes
from edgepress.export.tflite.lower import lower
from edgepress.runtime.errors import UnsupportedOperatorError
from hypothesis import given
from hypothesis import strategies as st
from support.families import check, node
from support.lowering import make_hub

FIVE = (2, 3, 2, 4, 3)
MERGEABLE = [(2, 3, 1, 1, 1), (1, 3, 2, 4, 3), (1, 1, 1, 1, 1), (2, 3, 1, 4, 3), FIVE]
SCATTERED = (1, 3, 1, 4, 1)


@pytest.mark.parametrize("other", MERGEABLE)
@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Max", "Min"])
def test_arithmetic_over_five_axes(op: str, other: tuple[int, ...]) -> None:
    check([node(op, ["x", "b"], ["y"])], {"x": FIVE, "b": other})


@pytest.mark.parametrize("other", MERGEABLE)
def test_choice_power_and_comparison_over_five_axes(other: tuple[int, ...]) -> None:
    nodes = [
        node("Greater", ["x", "b"], ["c"]),
        node("Abs", ["x"], ["a"]),
        node("Pow", ["a", "b"], ["p"]),
        node("Where", ["c", "p", "k"], ["y"]),
    ]
    check(nodes, {"x": FIVE, "b": other}, constants={"k": np.float32(0.5)}, lsb=None)


@pytest.mark.parametrize("op", ["Add", "Sub", "Max", "Min"])
def test_five_separate_axes_that_run(op: str) -> None:
    check([node(op, ["x", "b"], ["y"])], {"x": FIVE, "b": SCATTERED})


@pytest.mark.parametrize("op", ["Mul", "Pow"])
def test_five_separate_axes_that_would_abort_are_refused(op: str) -> None:
    model = make_hub([node(op, ["x", "b"], ["y"])], {"x": FIVE, "b": SCATTERED}, ["y"], {})
    with pytest.raises(UnsupportedOperatorError, match="broadcasting over 5 axes"):
        lower(model, io_layout="nchw")


@given(
    st.lists(st.integers(1, 3), min_size=5, max_size=6),
    st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=3),
)
def test_merging_changes_no_result(shape: list[int], masks: list[list[bool]]) -> None:
    masks = [[False] * 6, *masks]
    shapes = [tuple(1 if one else n for n, one in zip(shape, m, strict=False)) for m in masks]
    groups = merged_axes(shapes)
    assert sorted(axis for group in groups for axis in group) == list(range(len(shape)))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in shapes]
    merged = [a.reshape([int(np.prod([a.shape[i] for i in g])) for g in groups]) for a in arrays]
    np.testing.assert_array_equal(sum(arrays).reshape(-1), sum(merged).reshape(-1))
