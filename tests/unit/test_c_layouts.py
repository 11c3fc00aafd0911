"""Layouts of packed int8 weights: which element lies where, and which weights they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from edgepress.export.c.layout_mve import MVE
from edgepress.export.c.layout_neon import NEON, NEON_DOT
from edgepress.export.c.layout_smlad import SMLAD
from edgepress.runtime.errors import UnsupportedOperatorError


def test_an_incomplete_step_lies_in_front() -> None:
    """Five outputs, depth 18: two elements and zeros, then sixteen."""
    weights = np.arange(90, dtype=np.int8).reshape(5, 18)
    packed = MVE.matrix(weights).reshape(2, 2, 4, 16)
    np.testing.assert_array_equal(packed[0, 0, 3, :2], weights[3, :2])
    assert not packed[0, 0, :, 2:].any()
    np.testing.assert_array_equal(packed[1, 1, 0], weights[4, 2:])
    assert not packed[1, :, 1:].any()


def test_a_lane_holds_two_outputs() -> None:
    """256 times the second and the first, elements in the order 0, 2, 1, 3; zeros fill up."""
    weights = np.array([[1, -2, 3, -4, 5], [10, 20, -30, 40, 50], [7, 0, 0, 0, -127]], np.int8)
    lanes = SMLAD.matrix(weights).view("<i2").reshape(2, 8)
    first = [2561, -7677, 5118, 10236, 12805, 0, 0, 0]
    np.testing.assert_array_equal(lanes[0], first)
    np.testing.assert_array_equal(lanes[1], [7, 0, 0, 0, -127, 0, 0, 0])


def test_weights_beyond_a_lane_are_refused() -> None:
    SMLAD.matrix(np.array([[5], [-128]], np.int8))
    with pytest.raises(UnsupportedOperatorError, match="-128"):
        SMLAD.matrix(np.array([[-5], [-128]], np.int8))


def test_the_last_outputs_are_a_block_of_eight() -> None:
    """Nineteen outputs, depth 6: sixteen with two steps of four, then three of eight."""
    weights = np.arange(114, dtype=np.int8).reshape(19, 6)
    packed = NEON_DOT.matrix(weights)
    assert packed.size == 16 * 8 + 8 * 8
    np.testing.assert_array_equal(packed[:128].reshape(2, 16, 4)[0, 5], weights[5, :4])
    np.testing.assert_array_equal(packed[128:].reshape(2, 8, 4)[1, 2], [*weights[18, 4:], 0, 0])


def test_the_last_eight_of_a_run_stand_alone() -> None:
    """Four outputs, depth 24: [4][16], then [4][8]."""
    weights = np.arange(96, dtype=np.int8).reshape(4, 24)
    packed = NEON.matrix(weights)
    np.testing.assert_array_equal(packed[:64].reshape(4, 16), weights[:, :16])
    np.testing.assert_array_equal(packed[64:96].reshape(4, 8), weights[:, 16:])


def test_products_that_would_not_fit_are_refused() -> None:
    """Two weights of -128 that are added in sixteen bits; with the dot product there is no such sum."""
    weights = np.zeros((4, 16), np.int8)
    weights[1, [3, 4]] = -128
    NEON.matrix(weights)
    weights[1, 11] = -128
    with pytest.raises(UnsupportedOperatorError) as caught:
        NEON.matrix(weights)
    assert caught.value.hint
    NEON_DOT.matrix(weights)
