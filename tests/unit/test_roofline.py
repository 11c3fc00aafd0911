"""Roofline floors: from peak, clock and bandwidth; below every published latency; never called an estimate."""

from __future__ import annotations

import pytest
from edgepress.devices.calibration_data import calibration_sets
from edgepress.devices.operator_features import MAC_CLASSES, OperatorFeatures
from edgepress.devices.profile import load_profile
from edgepress.devices.roofline import floor, instruction_floor_ms


def operator(kind: str, macs: int, weights: int = 0, values: int = 0) -> OperatorFeatures:
    return OperatorFeatures("layer", kind, macs, 1, weights, values)


def test_arithmetic_is_macs_by_peak_and_clock() -> None:
    found = floor([operator("pointwise", 240_000)], load_profile("stm32l4r5"), "int8")
    assert found.ms == pytest.approx(240_000 / (2 * 120e3))  # 2 MACs a cycle at 120 MHz
    assert found.operators[0].bound == "arithmetic"


def test_winograd_lowers_the_floor_on_linux_only() -> None:
    pi, board = load_profile("pi3bplus"), load_profile("stm32l4r5")
    plain, fast = (floor([operator(k, 10**6)], pi, "int8").ms for k in ("spatial", "winograd"))
    assert plain == pytest.approx(4.0 * (fast or 0))
    assert (
        floor([operator("winograd", 10**6)], board, "int8").ms
        == floor([operator("spatial", 10**6)], board, "int8").ms
    )


def test_only_bytes_beyond_the_caches_take_time() -> None:
    pi = load_profile("pi-zero-2w")  # 4 x (32 + 32 + 512) KiB counted as cache, 2 x 1300 MB/s
    cache = 4 * (32 + 32 + 512) * 1024
    assert floor([operator("other", 0, weights=cache)], pi, "int8").ms == 0
    found = floor([operator("other", 0, weights=cache + 2_600_000)], pi, "int8")
    assert found.ms == pytest.approx(1.0)
    assert found.operators[0].bound == "memory"


def test_threads_add_cores_and_no_more_than_there_are() -> None:
    row, pi = [operator("pointwise", 10**7)], load_profile("pi4")
    one, four, nine = (floor(row, pi, "float", threads).ms for threads in (1, 4, 9))
    assert one == pytest.approx(4 * (four or 0))
    assert four == nine


def test_half_precision_doubles_the_peak_where_the_core_has_it() -> None:
    row = [operator("pointwise", 16 * 2400 * 1000)]
    assert floor(row, load_profile("pi5"), "float").ms == pytest.approx(1.0)


def test_no_floor_without_a_peak() -> None:
    found = floor([operator("pointwise", 10)], load_profile("stm32l4r5"), "float")
    assert found.ms is None
    assert "not known" in found.reason


@pytest.mark.parametrize("name", sorted(calibration_sets()))
def test_nothing_published_is_faster_than_its_floor(name: str) -> None:
    known = {"stm32l4r5", "stm32h7a3", "nrf5340", "pi-zero-2w", "pi3bplus", "pi4", "pi5"}
    rows = [row for row in calibration_sets()[name].rows if row.board.name in known]
    assert rows
    for row in rows:
        operators = [operator(kind, int(row.features.value(kind))) for kind in MAC_CLASSES]
        precision = calibration_sets()[name].precision
        found = floor(operators, load_profile(row.board.name), precision)
        assert found.ms is not None and 0 < found.ms < row.ms, row


def test_instructions_give_a_floor() -> None:
    assert instruction_floor_ms(1_510_392, load_profile("pi5")) == pytest.approx(0.157, abs=0.001)
    assert instruction_floor_ms(1.0, load_profile("stm32l4r5")) is None
