"""MACs of one operator from its shapes; the convention is told in `layers`."""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int, ...]


def size(shape: Sequence[int]) -> int:
    """Elements of a tensor; 1 for a scalar, -1 where a length is unknown."""
    return -1 if any(n < 0 for n in shape) else math.prod(shape)


def _product(*factors: int) -> int | None:
    """The product, None if a factor is unknown."""
    return None if any(f < 0 for f in factors) else math.prod(factors)


def convolution(output: Shape, products_per_value: Sequence[int]) -> int | None:
    """Every output value sums `products_per_value` (kernel lengths, input channels per group)."""
    return _product(size(output), size(products_per_value))


def transposed_convolution(source: Shape, products_per_value: Sequence[int]) -> int | None:
    """Every input value enters `products_per_value` (kernel lengths, output channels per group)."""
    return _product(size(source), size(products_per_value))


def matrix_product(output: Shape, inner: int) -> int | None:
    """Every output value sums `inner` products."""
    return _product(size(output), inner)


def recurrent(source: Shape, matrices: Sequence[Shape]) -> int | None:
    """Every step of every sequence multiplies each weight once; features are the last axis."""
    if not source or source[-1] <= 0:
        return None
    total = _product(size(source))
    weights = [size(matrix) for matrix in matrices]
    if total is None or any(w < 0 for w in weights):
        return None
    return total // source[-1] * sum(weights)


def window(output: Shape, lengths: Sequence[int]) -> int | None:
    """Pooling: every output value looks at a whole window (padding included)."""
    return _product(size(output), size(lengths))


def reduction(source: Shape, passes: int = 1) -> int | None:
    """Every input value is looked at `passes` times."""
    return _product(size(source), passes)
