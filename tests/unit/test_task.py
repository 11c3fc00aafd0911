"""Parts of a split: the beginning, or samples spread over all of it."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.compress.task import Split


def people(count: int = 10) -> Split:
    """Rows in the order of their owner, as recordings often lie."""
    rows = np.arange(count)
    return Split("test", (rows[:, None].astype(np.float32), rows * 2), rows)


@pytest.mark.parametrize(("count", "rows"), [(5, [0, 2, 4, 6, 8]), (3, [0, 3, 6]), (1, [0])])
def test_spread_reaches_over_the_whole_split(count: int, rows: list[int]) -> None:
    part = people().spread(count)
    assert part.targets.tolist() == rows
    assert part.inputs[0][:, 0].tolist() == rows and part.inputs[1].tolist() == [
        2 * r for r in rows
    ]


def test_spread_never_invents_samples() -> None:
    assert len(people(4).spread(9)) == 4
    assert len(people(4).spread(0)) == 0


def test_head_is_the_beginning() -> None:
    assert people().head(2).targets.tolist() == [0, 1]
