"""Estimates: what ships is what leaving out finds; bands, refusals, the user's own boards."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from edgepress.devices import estimate_sources
from edgepress.devices.calibration_data import Board, CalibrationSet, Row, calibration_sets
from edgepress.devices.estimate import estimate, estimates
from edgepress.devices.estimate_sources import Verdict, verdict
from edgepress.devices.latency_fit import fit_committee
from edgepress.devices.latency_model import BASELINE
from edgepress.devices.layers import LayerInfo, LayerTable, layer_table
from edgepress.devices.leave_one_out import (
    COVERAGE,
    REQUIRED,
    WIDEST_BAND,
    band,
    errors,
    folds,
    judge,
    quantile,
)
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.devices.operator_features import NetworkFeatures, operator_class, precision
from edgepress.devices.profile import load_profile
from edgepress.devices.user_calibration import Record, load_records, make_record, save_record
from edgepress.runtime.errors import InputError, UsageError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data import need_data

TINY = {"kws": "kws_dscnn_int8", "ic": "ic_resnet8_int8", "vww": "vww_mobilenetv1_025_int8"}


def conv(
    name: str = "conv",
    operator: str = "CONV_2D",
    source: tuple[int, ...] = (1, 32, 32, 16),
    target: tuple[int, ...] = (1, 32, 32, 16),
    products: int = 144,
    bits: tuple[int, int] = (8, 8),
    binary: bool = False,
) -> LayerInfo:
    macs = math.prod(target) * products
    return LayerInfo(
        name=name,
        operator=operator,
        input_shapes=(source,),
        output_shapes=(target,),
        parameters=products * 16,
        macs=macs,
        binary_macs=macs if binary else 0,
        bit_operations=macs * bits[0] * bits[1],
        weight_bytes=products * 16 * bits[0] // 8,
        weight_bits=bits[0],
        activation_bits=bits[1],
        quantization="",
    )


def network(*layers: LayerInfo) -> LayerTable:
    return LayerTable("made.tflite", "tflite", layers)


def small(macs: int) -> LayerTable:
    return network(conv(products=max(macs // (32 * 32 * 16), 1) // 16 * 16 + 16))


# --- what ships is what the exercises find ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ncnn-float", "ncnn-int8"])
@pytest.mark.parametrize("kind", REQUIRED)
def test_shipped_verdicts_are_those_of_the_exercises(name: str, kind: str) -> None:
    check(name, kind)


def test_shipped_verdict_of_microcontrollers_is_that_of_the_exercise() -> None:
    check("mlperf-tiny-int8", "model")


@pytest.mark.slow
def test_shipped_verdict_of_microcontrollers_with_boards_left_out() -> None:
    check("mlperf-tiny-int8", "board")


def check(name: str, kind: str) -> None:
    found, shipped = judge(calibration_sets()[name], kind), verdict(name)
    said = [complaint for complaint in shipped.complaints if f"one {kind} out" in complaint]
    assert said == list(found.complaints)
    if kind == "model":
        assert shipped.band == pytest.approx(found.band, abs=1e-3)
    assert found.widest <= WIDEST_BAND
    if shipped.ships:
        assert found.median < found.baseline_median
        assert COVERAGE[0] <= found.coverage <= COVERAGE[1]


def test_a_table_of_noise_is_refused() -> None:
    table = calibration_sets()["ncnn-int8"]
    scatter = [0.2, 5.0, 0.5, 3.0, 0.1, 8.0, 1.0]
    rows = tuple(
        dataclasses.replace(row, ms=row.ms * scatter[i % 7]) for i, row in enumerate(table.rows)
    )
    assert judge(dataclasses.replace(table, rows=rows), "model").complaints


def test_nothing_left_out_is_trained_on() -> None:
    rows = calibration_sets()["ncnn-float"].rows
    for kind in ("model", "board", "both"):
        for train, out in folds(rows, kind):
            for i in out:
                names = {rows[j].network for j in train}
                boards = {rows[j].board.name for j in train}
                assert kind == "board" or rows[i].network not in names
                assert kind == "model" or rows[i].board.name not in boards


def test_the_left_out_row_does_not_move_its_prediction() -> None:
    rows = list(calibration_sets()["ncnn-int8"].rows)
    before = errors(rows, "model")
    place = next(i for i, (_, out) in enumerate(folds(rows, "model")) for _ in out)
    first = next(folds(rows, "model"))[1][0]
    rows[first] = dataclasses.replace(rows[first], ms=rows[first].ms * math.e)
    assert errors(rows, "model")[place] == pytest.approx(before[place] - 1.0)


def test_the_band_is_the_conformal_quantile_widened_by_the_number_of_groups() -> None:
    assert quantile([0.1 * i for i in range(1, 20)]) == pytest.approx(1.8)  # ceil(0.9 x 20) = 18th
    assert quantile([0.1, -0.5]) == 0.5
    rows = calibration_sets()["ncnn-float"].rows
    wanted = math.exp(quantile(errors(rows, "board")) * math.sqrt(1 + 1 / 4))
    assert band(rows, "board") == pytest.approx(wanted)


def test_macs_alone_is_the_mean_cost_per_mac() -> None:
    rows = [row for row in calibration_sets()["ncnn-float"].rows if row.board.name == "pi4"]
    fitted = fit_committee(rows, (BASELINE,))
    logs = [math.log(row.ms / row.features.total_macs) for row in rows]
    one = rows[0]
    cycles = math.exp(fitted.predict(one.features, one.board.core, one.software, one.arm))
    ms = cycles / (one.board.clock_mhz * 1e3 * one.board.peak_macs_per_cycle)
    assert ms == pytest.approx(math.exp(sum(logs) / len(logs)) * one.features.total_macs, rel=1e-3)


# --- estimates of files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_published_rows_lie_in_the_bands_of_their_files(name: str) -> None:
    path = need_data(f"models/mlperf_tiny/{TINY[name]}.tflite")
    rows = {
        row.software: row.ms
        for row in calibration_sets()["mlperf-tiny-int8"].rows
        if (row.board.name, row.network) == ("stm32l4r5", name)
    }
    found = estimates(layer_table(path), load_profile("stm32l4r5"))
    assert {one.engine for one in found} == set(rows)
    for one in found:
        assert one.values["latency_low_ms"] < rows[one.engine] < one.values["latency_high_ms"]
        assert one.evidence is Evidence.ESTIMATED
        assert "MLPerf Tiny" in one.fingerprint["calibration"]


@given(st.integers(300_000, 20_000_000), st.integers(300_000, 20_000_000))
@settings(max_examples=25, deadline=None)
def test_more_macs_take_longer_and_the_band_holds_the_centre(one: int, other: int) -> None:
    less, more = sorted((small(one), small(other)), key=lambda table: table.macs)
    board = load_profile("stm32l4r5")
    first, second = (estimate(table, board, records=()).values for table in (less, more))
    assert first["latency_ms"] <= second["latency_ms"]
    for values in (first, second):
        low, high = values["latency_low_ms"], values["latency_high_ms"]
        assert values["latency_floor_ms"] <= low <= values["latency_ms"] <= high
        assert high / low <= WIDEST_BAND**2 + 1e-9


@given(st.floats(0.1, 10))
@settings(max_examples=10, deadline=None)
def test_other_units_of_time_scale_every_prediction(factor: float) -> None:
    rows = calibration_sets()["ncnn-int8"].rows
    scaled = [dataclasses.replace(row, ms=row.ms * factor) for row in rows]
    one = rows[0]
    place = (one.features, one.board.core, one.software, one.arm)
    before = fit_committee(rows[:8]).predict(*place)
    assert fit_committee(scaled[:8]).predict(*place) == pytest.approx(
        before + math.log(factor), abs=1e-4
    )


def told(table: LayerTable, device: str, engine: str | None = None, threads: int = 1) -> str:
    """The reason why no ms is told; fails if one is."""
    found = estimate(table, load_profile(device), engine, threads, records=())
    assert not {"latency_ms", "latency_low_ms", "latency_high_ms"} & set(found.values)
    assert found.notes[0].startswith("no estimate of ms: ")
    return found.notes[0]


def test_binary_and_mixed_networks_get_a_reason() -> None:
    assert "'conv' is binary" in told(network(conv(bits=(1, 1), binary=True)), "stm32l4r5")
    mixed = network(conv(), conv(name="b", bits=(4, 8)))
    assert "different precision" in told(mixed, "stm32l4r5")
    assert "4-bit weights" in told(network(conv(bits=(4, 8))), "stm32l4r5")
    assert "no layer with weights" in told(network(), "stm32l4r5")


def test_operators_without_a_class_get_a_reason() -> None:
    lstm = conv(name="lstm", operator="UNIDIRECTIONAL_SEQUENCE_LSTM")
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in told(network(conv(), lstm), "stm32l4r5")


def test_boards_software_threads_and_sizes_without_rows_get_a_reason() -> None:
    table = network(conv())
    assert "no published latencies of Ambiq Apollo510" in told(table, "apollo510")
    assert "only of ncnn" in told(table, "pi4", engine="litert")
    assert "4 threads" in told(table, "pi4", threads=4)
    assert "says nothing outside" in told(table, "pi4")
    assert "no published float latencies" in told(network(conv(bits=(32, 32))), "stm32l4r5")


def test_a_refused_table_tells_no_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Verdict(False, 1.5, ("too wrong",))
    monkeypatch.setattr(estimate_sources, "verdict", lambda name: refused)
    assert "too wrong" in told(network(conv()), "stm32l4r5")


def test_a_floor_is_told_in_words_where_there_is_no_estimate() -> None:
    found = estimate(network(conv()), load_profile("apollo510"), records=())
    assert set(found.values) == {"latency_floor_ms"}
    assert any(note.startswith("not faster than ") for note in found.notes)


# --- classes ---------------------------------------------------------------------------------------------------


def test_classes_of_convolutions() -> None:
    onnx = {"operator": "Conv", "source": (1, 16, 32, 32), "target": (1, 16, 32, 32)}
    assert operator_class(conv(**onnx, products=16), "onnx") == "pointwise"  # type: ignore[arg-type]
    assert operator_class(conv(**onnx, products=144), "onnx") == "winograd"  # type: ignore[arg-type]
    assert operator_class(conv(**onnx, products=9), "onnx") == "depthwise"  # type: ignore[arg-type]
    assert operator_class(conv(**onnx, products=400), "onnx") == "spatial"  # type: ignore[arg-type]
    halved = conv(target=(1, 16, 16, 16))
    assert operator_class(halved, "tflite") == "spatial"
    assert operator_class(conv(operator="DEPTHWISE_CONV_2D", products=9), "tflite") == "depthwise"
    assert precision(network(conv(bits=(16, 32)), conv(bits=(32, 32)))) == ("float", "")


# --- the user's own board --------------------------------------------------------------------------------------


def measured(ms: float, sha256: str = "ab" * 32) -> Measurement:
    values = {"latency_ms": ms} if ms else {}
    return Measurement(sha256, Evidence.MEASURED, "pi4", {}, "litert", "2.3.0", 1, values)


def records(tables: Sequence[LayerTable], speed: float = 1e6) -> list[Record]:
    """As a board would measure that takes 1 ms for `speed` MACs."""
    return [
        make_record(one, measured(one.macs / speed, f"{i:064d}")) for i, one in enumerate(tables)
    ]


def test_one_measured_network_calibrates_the_board() -> None:
    table, board = small(4_000_000), load_profile("pi4")
    known = records([table])
    found = estimate(table, board, records=known)
    assert found.engine == "litert"
    assert found.values["latency_ms"] == pytest.approx(known[0].latency_ms)
    width = found.values["latency_high_ms"] / found.values["latency_ms"]
    assert math.log(width) == pytest.approx(math.log(verdict("ncnn-int8").band) * math.sqrt(2))
    assert "1 measured on this board" in found.fingerprint["calibration"]


def test_five_measured_networks_make_their_own_band() -> None:
    tables = [small(n * 1_000_000) for n in (2, 3, 4, 5, 6)]
    found = estimate(small(4_500_000), load_profile("pi4"), records=records(tables))
    width = found.values["latency_high_ms"] / found.values["latency_ms"]
    assert 1 < width < verdict("ncnn-int8").band
    wild = [
        dataclasses.replace(one, latency_ms=one.latency_ms * factor)
        for one, factor in zip(records(tables), (1, 9, 1, 9, 1), strict=True)
    ]
    assert "the band would be" in reason_with(small(4_500_000), wild)


def reason_with(table: LayerTable, known: Sequence[Record]) -> str:
    found = estimate(table, load_profile("pi4"), records=known)
    assert "latency_ms" not in found.values
    return found.notes[0]


def test_a_calibration_says_nothing_of_other_sizes_threads_or_engines() -> None:
    known = records([small(4_000_000)])
    assert "says nothing outside" in reason_with(small(40_000_000), known)
    board = load_profile("pi4")
    assert "latency_ms" not in estimate(small(4_000_000), board, threads=2, records=known).values
    other = estimate(small(4_000_000), board, "onnxruntime", records=known)
    assert "latency_ms" not in other.values


def test_records_are_kept_and_damage_is_told(tmp_path: Path) -> None:
    record = records([small(4_000_000)])[0]
    path = save_record(record, tmp_path)
    save_record(record, tmp_path)
    assert load_records("pi4", tmp_path) == (record,)
    assert load_records("pi5", tmp_path) == ()
    path.write_text("{")
    with pytest.raises(InputError, match="not a calibration record"):
        load_records("pi4", tmp_path)


def test_only_measured_latencies_calibrate() -> None:
    table = small(4_000_000)
    with pytest.raises(UsageError, match="calibrates nothing"):
        make_record(table, dataclasses.replace(measured(3.0), evidence=Evidence.HOST))
    with pytest.raises(UsageError, match="no latency"):
        make_record(table, measured(0))
    with pytest.raises(UsageError, match="binary"):
        make_record(network(conv(bits=(1, 1), binary=True)), measured(3.0))


def test_the_model_finds_costs_that_were_put_in() -> None:
    """Made rows: depthwise MACs four times as dear as the others."""
    rows = []
    for core, name in (("a", "one"), ("b", "two")):
        board = Board(name, core, 100.0, 1.0)
        for number in range(1, 7):
            macs = {"pointwise": 10**6 * number, "depthwise": 10**6 * (7 - number)}
            ms = (macs["pointwise"] + 4 * macs["depthwise"]) / 1e5
            rows.append(Row(board, "s", "1", f"n{number}", NetworkFeatures(macs, 100, 5), ms))
    made = CalibrationSet("made", "made", "made", "mcu", "int8", 1, tuple(rows))
    found = judge(made, "model")
    assert found.median < 0.05 < found.baseline_median
