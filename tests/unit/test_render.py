"""Numbers, tables, progress lines and chart axes as people read them."""

from __future__ import annotations

import io

import pytest
from edgepress.tools.console_progress import (
    BarProgress,
    ConsoleProgress,
    PlainProgress,
    make_progress,
)
from edgepress.tools.render import kib, number, seconds, shape, table, value_with_unit
from edgepress.tools.report.svg import Point, scatter, ticks
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (12_505_748, "12,505,748"),
        (0.84213, "0.8421"),
        (1234.567, "1,235"),
        (99.996, "100"),
        (0.000123456, "0.000123"),
        (-0.15, "-0.15"),
        (3.0, "3"),
        (float("inf"), "inf"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@given(st.floats(1e-3, 1e9))
def test_numbers_keep_four_digits(value: float) -> None:
    shown = float(number(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=5.1e-4)
    digits = number(value).replace(",", "").replace(".", "").strip("0")
    assert len(digits) <= 4 or float(value).is_integer() or value >= 1e4


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (98_496, "96.19 KiB"), (None, "-")],
)
def test_kib(size: int | None, text: str) -> None:
    assert kib(size) == text


def test_units() -> None:
    assert value_with_unit(2048, "B") == "2 KiB"
    assert value_with_unit(1.0, "points") == "1 point"
    assert value_with_unit(0.5, "points") == "0.5 points"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")],
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text


def test_shape() -> None:
    assert [shape((1, -1, 3)), shape(())] == ["1x?x3", "scalar"]


def test_table_aligns_columns() -> None:
    lines = table(("name", "n"), [("a", "1"), ("long name", "123")], right=(1,)).splitlines()
    assert lines[0] == "name         n"
    assert lines[2:] == ["a            1", "long name  123"]


# ------------------------------------------------------------------- progress


def test_plain_lines_say_stage_share_facts_and_time_left() -> None:
    now = [0.0]
    out = io.StringIO()
    progress = PlainProgress(out, clock=lambda: now[0])
    progress.stage("train", 10)
    for step in range(10):
        now[0] += 2
        progress.advance(epoch=f"{step + 1}/10", loss=0.123456)
    progress.close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "train ..."
    assert lines[1] == "train: 30%, epoch 3/10, loss 0.1235, about 14 s left"
    assert lines[-1] == "train: done in 20 s, epoch 10/10, loss 0.1235"
    assert len(lines) == 5  # start, every five seconds, end


def test_a_stage_that_fails_says_how_far_it_came() -> None:
    out = io.StringIO()
    with PlainProgress(out, clock=lambda: 0.0) as progress:
        progress.stage("train", 10)
        progress.advance(3)
    assert "stopped after 3 of 10" in out.getvalue()


def test_a_stage_of_unknown_length() -> None:
    now = [0.0]
    out = io.StringIO()
    with PlainProgress(out, clock=lambda: now[0]) as progress:
        progress.stage("search", 0)
        now[0] = 6
        progress.advance(4)
    assert "search: 4 done\n" in out.getvalue() and "left" not in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_stream_decides_what_is_shown() -> None:
    assert isinstance(make_progress(stream=Terminal()), BarProgress)
    assert isinstance(make_progress(stream=io.StringIO()), PlainProgress)
    quiet = make_progress(enabled=False, stream=Terminal())
    assert type(quiet) is ConsoleProgress


@pytest.mark.parametrize("width", [80, 140])
def test_the_bar_shows_stage_share_and_facts(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with make_progress(stream=out) as progress:
        progress.stage("train", 4)
        progress.advance(2, loss=0.5, validation=91.25, epoch="2/4")
        progress.bar.refresh()
        progress.stage("export", 1)
    for word in ("train", " 50 %", "epoch 2/4", "stopped at 50 %", "export"):
        assert word in out.getvalue()


# ------------------------------------------------------------------- axes


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_cover_the_range_with_few_round_numbers(low: float, width: float) -> None:
    found = ticks(low, low + width)
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step and found[-1] >= low + width - 1e-6 * step
    assert 2 <= len(found) <= 13


def test_a_scatter_of_one_point() -> None:
    drawing = scatter([Point(1.0, 50.0, "a & b", 0, callout="here")], "x", "y", "t")
    assert "a &amp; b" in drawing and "here" in drawing and "nan" not in drawing
    assert scatter([], "x", "y", "t") == ""
