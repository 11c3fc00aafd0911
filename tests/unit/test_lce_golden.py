"""The reference against Larq Compute Engine 0.16 itself: outputs its interpreter gave for files of our writer.

`python -m edgepress.tools.bench.lce_golden` makes the outputs again where a wheel of LCE is at hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime.engines import choose_engine
from edgepress.runtime.lce_operators import FORMULA, LCE, LCE_REFERENCE
from edgepress.runtime.session_lce import LceSession
from edgepress.tools.bench.lce_golden import CASES, case

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "lce_golden.npz")


def _run(name: str, rounding: str) -> np.ndarray:
    data, x = case(name)
    module = choose_engine("tflite", None, "")[1]
    return LceSession(module, Path(name), data, 1, rounding).run([x])[0]


@pytest.mark.parametrize("name", CASES)
def test_lce_itself_gives_the_same_bits(name: str) -> None:
    for rounding, kernel in ((LCE, "default"), (LCE_REFERENCE, "reference")):
        found, right = _run(name, rounding), GOLDEN[f"{name}/{kernel}"]
        assert found.dtype == right.dtype and np.array_equal(found, right)
    right = GOLDEN[f"{name}/reference"]
    assert len(np.unique(right)) > 1


@pytest.mark.parametrize("name", CASES)
def test_the_models_own_rounding_is_next_to_it(name: str) -> None:
    """Bits are equal; sums of up to 1,000 times a factor, plus a bias, differ in float32's last digits."""
    found, right = _run(name, FORMULA), GOLDEN[f"{name}/default"]
    if CASES[name].get("result", "float32") == "float32" and "pool" not in CASES[name]:
        assert np.abs(found - right).max() < 1e-6 * 720 * 4
    else:
        assert np.array_equal(found, right)
